//! What a project uses: `stamp, bytes, inodes`. Project 0 is everything outside of projects.

use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// The version that wrote this.
    pub stamp: Version,
    /// Bytes that extents cover.
    pub bytes: u64,
    /// Inodes, those without links that are still open included.
    pub inodes: u64,
}

wire_struct!(Usage {
    stamp,
    bytes,
    inodes
});
