//! Who votes on the log: `stamp, index, term, configs, learners`.

use wolfdisk_common::ids::{LogIndex, NodeNumber, Term, Version};

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Voters {
    /// The version that wrote this.
    pub stamp: Version,
    /// The entry that said so.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// One set of voters; two while they change: a decision then takes a majority of each.
    pub configs: Vec<Vec<NodeNumber>>,
    /// Nodes that get the log and have no vote.
    pub learners: Vec<NodeNumber>,
}

wire_struct!(Voters {
    stamp,
    index,
    term,
    configs,
    learners
});
