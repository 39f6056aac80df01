//! The versioned index: records, their keys and encodings, and the pure function that applies an entry.

pub mod acl;
mod apply;
pub mod checkpoint;
pub mod codec;
mod entry;
pub mod extent;
pub mod invariants;
pub mod key;
pub mod op;
pub mod overlay;
mod read;
pub mod record;
pub mod records;
mod small_key;
pub mod table;
mod tx;
mod versioned;

pub use read::{
    ChunkRange, ChunkRanges, HeldLock, Listed, Listing, Map, MapPiece, MapSource, UndestagedRange,
};
pub use versioned::{ApplyError, Genesis, Index};

#[cfg(test)]
mod tests;
