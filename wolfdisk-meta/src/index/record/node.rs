//! A node: `stamp, incarnation, swept, id, role, addresses, capacity_bytes`.
//!
//! `swept` is the put epoch up to which the node's receipts are void for unreferenced chunks.

use wolfdisk_common::ids::{Incarnation, PutEpoch, Version};

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The version that wrote this.
    pub stamp: Version,
    /// The chunk store's life.
    pub incarnation: Incarnation,
    /// See the module.
    pub swept: PutEpoch,
    /// Its name; empty until it is told.
    pub id: String,
    /// Its role; empty until it is told.
    pub role: String,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// What its disk holds.
    pub capacity_bytes: u64,
}

wire_struct!(Node {
    stamp,
    incarnation,
    swept,
    id,
    role,
    addresses,
    capacity_bytes
});
