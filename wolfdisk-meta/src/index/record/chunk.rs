//! A chunk: `stamp, length, references, live_bytes, holders`; and the mark of one without references:
//! `stamp`.
//!
//! `references` is the number of extents that name the chunk, `live_bytes` the sum of their lengths (a
//! shared byte counts each time). At zero references the record stays, with a garbage mark, until all
//! holders have said that they freed it: only then is a receipt no longer needed to tell whether they
//! still have it.

use wolfdisk_common::ids::{NodeNumber, Version};

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The version that wrote this.
    pub stamp: Version,
    /// Its length.
    pub length: u32,
    /// Extents that name it.
    pub references: u64,
    /// Bytes of it that they name.
    pub live_bytes: u64,
    /// Who holds it durably, ascending.
    pub holders: Vec<NodeNumber>,
}

/// The mark of a chunk without references.
#[derive(Clone, Debug, PartialEq)]
pub struct Garbage {
    /// The version since which it has none.
    pub stamp: Version,
}

wire_struct!(Chunk {
    stamp,
    length,
    references,
    live_bytes,
    holders
});
wire_struct!(Garbage { stamp });
