//! The records of the index, one file per kind **\[format\]**.
//!
//! Each value is encoded by [`codec`](super::codec): a version byte, then the fields in the order in
//! which the file of the record lists them. The first field is always `stamp`, the version of the index
//! that wrote the record: what changed since a version is told by it.

mod chunk;
mod counters;
mod dirent;
mod extent;
mod inode;
mod link;
mod lock;
mod member;
mod node;
mod object;
mod orphan;
mod reap;
mod session;
mod token;
mod undestaged;
mod usage;
mod volume;
mod voters;
mod xattr;

pub use chunk::{Chunk, Garbage, Sparse};
pub use counters::Counters;
pub use dirent::{Cookie, Dirent};
pub use extent::{ExtentRecord, ExtentSource};
pub use inode::{Inode, NewInode};
pub use link::Link;
pub use lock::{Lock, SessionLock};
pub use member::Member;
pub use node::Node;
pub use object::ObjectRecord;
pub use orphan::Orphan;
pub use reap::Reap;
pub use session::{Access, Kept, Session};
pub use token::Token;
pub use undestaged::Undestaged;
pub use usage::Usage;
pub use volume::Volume;
pub use voters::Voters;
pub use xattr::Xattr;

#[cfg(test)]
mod tests;
