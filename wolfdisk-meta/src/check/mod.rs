//! Checking the index and what it relies on, beside the daemon's work or while nothing else runs.
//!
//! * [`job`] is one check as a tool follows it: how far it is, what it found.
//! * [`run`] does it, on a thread of its own: a checkpoint is written, and everything is read from the state
//!   that it holds, which stays as it is however long that takes. The reactor is not kept waiting.
//! * [`chunks`] compares the references with the chunk store, and says which files damage concerns.
//! * [`path`] says where an inode is.

pub mod chunks;
mod content;
pub mod job;
pub mod path;
pub mod run;
