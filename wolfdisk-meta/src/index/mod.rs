//! The versioned index: records, their keys and encodings, and the pure function that applies an entry.

pub mod acl;
mod apply;
pub mod checkpoint;
pub mod codec;
mod entry;
pub mod extent;
pub mod invariants;
pub mod key;
mod key_bytes;
pub mod op;
pub mod overlay;
mod read;
mod recent;
pub mod record;
pub mod records;
pub mod table;
mod tx;
mod versioned;

pub use key_bytes::KeyBytes;
pub use read::{
    ChunkRange, ChunkRanges, HeldLock, KeyPage, ListKeys, Listed, ListedKey, Listing, Map,
    MapPiece, MapSource, Step, UndestagedRange,
};
pub use versioned::{ApplyError, Genesis, Index};

#[cfg(test)]
mod tests;
