//! The one Volume API behind every front-end: a mounted WolfDisk volume as a blocking, thread-safe
//! object without any FUSE or S3 type in it.
//!
//! Start at [`Volume`]. Everything it caches is held under rights that wolfdisk-meta gives and takes
//! back; see `session`. `unsafe` is confined to one module, which maps segments and shares memory.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod cache;
mod chunks;
mod convert;
mod counters;
mod data;
mod error;
mod ledger;
mod levels;
mod limits;
mod listener;
mod lock;
mod object;
mod reach;
mod read_data;
mod session;
#[cfg(test)]
mod tests;
mod transport;
mod types;
mod volume;

pub use counters::COUNTERS_FORMAT;
pub use error::{Error, Result};
pub use ledger::{Estate, FRONT_END_BYTES, Ledger};
pub use levels::{Level, SessionState};
pub use listener::CacheListener;
pub use lock::{LockKind, LockRequest, LockWait};
pub use object::{Content, Expected, KeyEntry, KeyPage, ListKeys, NewObject, Object};
pub use reach::{KnownNodes, MetaLine, Reach, Remote};
pub use read_data::{Piece, ReadData};
pub use types::{
    Attr, DirItem, Entry, FileKind, FileSystemStats, HandleId, Listing, Lookup, NewNode, OpenFlags,
    Opened, RenameFlags, SetAttr, SetTime, XattrMode,
};
pub use volume::{Volume, VolumeConfig};
pub use wolfdisk_common::object_key::{KeyError, ObjectKey};
