//! Extents of an inode that are deleted in steps: `stamp, from`: those that end above `from`.
//!
//! Either the inode has no links and no holders and goes with its last extent, or `from` is its
//! `dead_from`, the size it was truncated to.

use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Reap {
    /// The version that wrote this.
    pub stamp: Version,
    /// Where the extents to delete begin.
    pub from: u64,
}

wire_struct!(Reap { stamp, from });
