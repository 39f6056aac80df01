//! One name of a file that has more than one: `stamp`. Parent and name are in the key.

use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The version that wrote this.
    pub stamp: Version,
}

wire_struct!(Link { stamp });
