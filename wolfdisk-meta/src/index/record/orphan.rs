//! A session may hold an inode without links open: `stamp`, filed by inode and by session. When the
//! last of them goes, so does the inode.

use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Orphan {
    /// The version that wrote this.
    pub stamp: Version,
}

wire_struct!(Orphan { stamp });
