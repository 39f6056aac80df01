//! What each mutation does, one file per family. A function gets the mutation and the transaction,
//! checks in the order in which POSIX and Linux name the errors, and changes records; a failure drops
//! the transaction as a whole.

mod attributes;
mod chunks;
mod content;
mod copy;
mod create;
mod destage;
mod extents;
mod fail;
mod fallocate;
mod locks;
mod members;
mod names;
mod objects;
mod orphans;
mod publish;
mod reap;
mod remove;
mod rename;
mod repair;
mod run;
mod sessions;
mod write;
mod xattrs;

pub(crate) use fail::Fail;
pub(crate) use run::run;
