//! What is known of inodes and names under rights. Pure state; locks are short and no call is made
//! while one is held. Order of locks: a table's shard, then one node's state; never two nodes.

pub(crate) mod floors;
pub(crate) mod kept;
pub(crate) mod lock_owners;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod state;
pub(crate) mod table;
