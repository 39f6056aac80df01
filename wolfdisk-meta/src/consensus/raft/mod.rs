//! The log that several nodes share, kept by Raft (openraft): what it calls things, and what our log has for them.
//!
//! - [`log`]: the log as the state machine sees it.
//! - [`machine`]: what is committed, as Raft tells it.
//! - [`payload`]: its entries as payloads of ours: a leader's first one and a change of voters are mutations too.
//! - [`small`]: the vote and the committed entry, in files of their own.
//! - [`snapshot`]: the state in parts, for nodes that lack what is gone from the log.
//! - [`store`]: the log and the vote as Raft asks for them.
//! - [`wire`]: what nodes tell each other.
//!
//! Raft counts entries from 0 and our log from 1. A term of our log holds the term and the leader of Raft's, of
//! which there may be several in one term: the greater one wins.

pub mod log;
pub mod machine;
mod payload;
#[cfg(test)]
mod sim;
pub mod small;
pub mod snapshot;
pub mod store;
#[cfg(test)]
mod tests;
pub mod wire;

use std::cmp::{Ordering, Reverse};
use std::fmt;

use bytes::Bytes;
use openraft::alias::WriteResponderOf;
use openraft::impls::{EmptyNode, leader_id_adv};
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use openraft::vote::RaftLeaderId;
use openraft::{OptionalSend, RaftTypeConfig};
use wolfdisk_common::ids::{LogIndex, NodeNumber, Term};

use crate::consensus::Ticket;

/// A node as Raft knows it. The lower number is the greater voter, so that it wins where two nodes call an election at
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Voter(pub NodeNumber);

impl Ord for Voter {
    fn cmp(&self, other: &Voter) -> Ordering {
        Reverse(self.0).cmp(&Reverse(other.0))
    }
}

impl PartialOrd for Voter {
    fn partial_cmp(&self, other: &Voter) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A mutation, encoded: what the index applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its bytes.
    pub payload: Bytes,
    /// Which proposal of this node it is; none: it comes from another, or from the disk.
    pub ticket: Option<Ticket>,
}

impl From<Bytes> for Proposal {
    fn from(payload: Bytes) -> Proposal {
        Proposal {
            payload,
            ticket: None,
        }
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.payload.len())
    }
}

/// Says what came of a write. Raft has it, and calls it once.
pub struct Told<T>(Box<dyn FnOnce(T) + Send>);

impl<C: RaftTypeConfig, T: OptionalSend + 'static> Responder<C, T> for Told<T> {
    fn on_complete(self, result: T) {
        self.0(result);
    }
}

/// Raft's types, on a runtime.
macro_rules! raft_types {
    ($(#[$doc:meta])* $name:ident on $runtime:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name;

        impl openraft::RaftTypeConfig for $name {
            type D = $crate::consensus::raft::Proposal;
            type R = ();
            type NodeId = $crate::consensus::raft::Voter;
            type Node = openraft::impls::EmptyNode;
            type Term = u64;
            type LeaderId = $crate::consensus::raft::Leader;
            type Vote = $crate::consensus::raft::Vote;
            type Payload = $crate::consensus::raft::payload::Payload;
            type Entry = $crate::consensus::raft::Entry;
            type Responder<T> = $crate::consensus::raft::Told<T>
            where
                T: openraft::OptionalSend + 'static;
            type Batch<T> = openraft::impls::InlineBatch<T>
            where
                T: openraft::OptionalSend + 'static;
            type AsyncRuntime = $runtime;
            type ErrorSource = openraft::impls::BoxedErrorSource;
        }

        impl $crate::consensus::raft::Names for $name {
            fn told(
                tell: impl FnOnce(openraft::raft::ClientWriteResult<Self>) + Send + 'static,
            ) -> openraft::alias::WriteResponderOf<Self> {
                $crate::consensus::raft::Told(Box::new(tell))
            }
        }
    };
}
#[cfg(test)]
use raft_types;

raft_types!(
    /// Those of daemons.
    Types on openraft::impls::TokioRuntime
);

/// The same types as [`Types`], whatever runs them: daemons have tokio, a simulation has its own time.
pub trait Names:
    RaftTypeConfig<
        D = Proposal,
        R = (),
        NodeId = Voter,
        Node = EmptyNode,
        LeaderId = Leader,
        Vote = Vote,
        Entry = Entry,
    >
{
    /// Has Raft say what came of a write.
    fn told(tell: impl FnOnce(ClientWriteResult<Self>) + Send + 'static) -> WriteResponderOf<Self>;
}

/// Who led, and in which term.
pub type Leader = leader_id_adv::LeaderId<u64, Voter>;
/// The place of an entry as Raft names it.
pub type LogId = openraft::LogId<Leader>;
/// What a node has promised to whom.
pub type Vote = openraft::impls::Vote<Leader>;
/// An entry as Raft passes it on.
pub type Entry = openraft::Entry<<Leader as RaftLeaderId>::Committed, payload::Payload>;
/// Who votes.
pub type Membership = openraft::Membership<Voter, EmptyNode>;

/// Bits of a [`Term`] that name the leader.
const LEADER_BITS: u32 = 24;
/// The greatest number of a node that may lead.
pub const LEADER_MAX: NodeNumber = NodeNumber((1 << LEADER_BITS) - 1);
/// The greatest term of Raft's.
pub const TERM_MAX: u64 = (1 << (u64::BITS - LEADER_BITS)) - 1;

/// A leader whose number or term our log has no room for. 10^12 elections are never held; a number that large is a
/// mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "term {term} of node {node} is beyond what the log can name; this node takes no part in it"
)]
pub struct NoSuchTerm {
    /// Raft's term.
    pub term: u64,
    /// Its leader.
    pub node: Voter,
}

/// The term of our log that stands for a leader of Raft's.
///
/// # Errors
/// See [`NoSuchTerm`].
pub fn term_of(leader: &Leader) -> Result<Term, NoSuchTerm> {
    let Leader { term, node_id } = *leader;
    match term <= TERM_MAX && node_id.0 <= LEADER_MAX {
        true => Ok(Term(term << LEADER_BITS | u64::from(node_id.0.0))),
        false => Err(NoSuchTerm {
            term,
            node: node_id,
        }),
    }
}

/// The leader whose term it is.
pub fn leader_of(term: Term) -> Leader {
    let number = term.0 & u64::from(LEADER_MAX.0);
    Leader {
        term: term.0 >> LEADER_BITS,
        node_id: Voter(NodeNumber(number as u32)),
    }
}

/// Where our log has Raft's entry `index`.
pub fn place_of(index: u64) -> LogIndex {
    LogIndex(index.saturating_add(1))
}

/// Raft's name of an entry of our log; none for the place before the first.
pub fn log_id(index: LogIndex, term: Term) -> Option<LogId> {
    Some(LogId {
        leader_id: leader_of(term),
        index: index.0.checked_sub(1)?,
    })
}

#[cfg(test)]
mod names {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_leader_comes_back_as_it_went(term in 0..=TERM_MAX, number in 0..=LEADER_MAX.0) {
            let leader = Leader { term, node_id: Voter(NodeNumber(number)) };
            prop_assert_eq!(leader_of(term_of(&leader).expect("there is room")), leader);
        }

        #[test]
        fn what_there_is_no_room_for_is_refused(term in any::<u64>(), number in any::<u32>()) {
            let leader = Leader { term, node_id: Voter(NodeNumber(number)) };
            prop_assert_eq!(term_of(&leader).is_ok(), term <= TERM_MAX && number <= LEADER_MAX.0);
        }
    }

    #[test]
    fn the_term_of_a_node_that_stands_alone_is_before_all_elections() {
        let alone = leader_of(Term(1));
        assert_eq!(alone.term, 0);
        assert_eq!(alone.node_id, Voter(NodeNumber(1)));
    }

    #[test]
    fn of_two_leaders_of_a_term_the_lower_number_is_the_greater() {
        let leader = |number| Leader {
            term: 3,
            node_id: Voter(NodeNumber(number)),
        };
        assert!(leader(1) > leader(2));
    }
}
