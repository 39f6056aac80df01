//! An extent whose data is still in the log: `stamp, length`. The key holds log index, offset in the
//! entry, inode and where the extent ends: the first key tells the first log entry that is needed.

use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Undestaged {
    /// The version that wrote this.
    pub stamp: Version,
    /// The extent's length.
    pub length: u64,
}

wire_struct!(Undestaged { stamp, length });
