//! A locked range of a file: `stamp, end, exclusive, pid`; the key holds inode, session, owner and
//! start. And the mark that a session has locks on an inode: `stamp`.
//!
//! `end` is inclusive. The ranges of one owner on one inode neither overlap nor, where they are of one
//! mode, touch.

use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    /// The version that wrote this.
    pub stamp: Version,
    /// The last byte.
    pub end: u64,
    /// A write lock.
    pub exclusive: bool,
    /// Whose process took it, for `F_GETLK`.
    pub pid: u32,
}

/// The session has locks on the inode.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionLock {
    /// The version that wrote this.
    pub stamp: Version,
}

wire_struct!(Lock {
    stamp,
    end,
    exclusive,
    pid
});
wire_struct!(SessionLock { stamp });
