//! A chunk: `stamp, length, references, live_bytes, holders`; the mark of one without references and that
//! of one of which little is left: `stamp`.
//!
//! `references` is the number of extents that name the chunk, `live_bytes` the sum of their lengths (a
//! shared byte counts each time). At zero references the record stays, with a garbage mark, until all
//! holders have said that they freed it: only then is a receipt no longer needed to tell whether they
//! still have it. A chunk that is referred to, but with fewer live bytes than 7/8 of its length, has a sparse
//! mark: what is left of it can be packed anew.

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

/// The mark of a chunk of which little is left.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    /// The version since which it is.
    pub stamp: Version,
}

impl Chunk {
    /// Whether it is to have a sparse mark.
    pub fn is_sparse(&self) -> bool {
        self.references > 0 && self.live_bytes < u64::from(self.length) / 8 * 7
    }
}

wire_struct!(Chunk {
    stamp,
    length,
    references,
    live_bytes,
    holders
});
wire_struct!(Garbage { stamp });
wire_struct!(Sparse { stamp });
