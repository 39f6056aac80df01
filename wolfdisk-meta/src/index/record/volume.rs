//! The volume: `stamp, id, created`.

use wolfdisk_common::ids::Version;
use wolfdisk_common::time::Timestamp;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// The version that wrote this.
    pub stamp: Version,
    /// A random 128-bit name.
    pub id: [u8; 16],
    /// When it was made.
    pub created: Timestamp,
}

wire_struct!(Volume { stamp, id, created });
