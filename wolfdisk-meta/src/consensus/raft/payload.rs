//! Raft's entries as payloads of our log.
//!
//! What Raft itself logs, a leader's first entry and a change of voters, are mutations of the index: so who votes is part
//! of the state, of every checkpoint and of every snapshot.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::impls::EmptyNode;
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_common::time::Timestamp;

use super::{Membership, Proposal, Voter};
use crate::index::codec::DecodeError;
use crate::index::op::{Entry, Op};

/// What an entry is about, as Raft has it.
pub(super) type Payload = EntryPayload<Proposal, Voter, EmptyNode>;

/// What our log keeps of an entry.
pub(super) fn encode(payload: Payload) -> Bytes {
    let op = match payload {
        EntryPayload::Normal(proposal) => return proposal.payload,
        EntryPayload::Blank => Op::Lead,
        EntryPayload::Membership(membership) => voters(&membership),
    };
    // The same on all nodes, and never later than the time of the entry before, which then counts.
    let time = Timestamp::default();
    let entry = Entry {
        time,
        origin: None,
        op,
    };
    entry.encode()
}

/// An entry that our log kept.
///
/// # Errors
/// It is none, or one of a newer release.
pub(super) fn decode(payload: Bytes) -> Result<Payload, DecodeError> {
    Ok(match Entry::decode(payload.clone())?.op {
        Op::Lead => EntryPayload::Blank,
        Op::Voters { configs, learners } => {
            EntryPayload::Membership(membership(&configs, &learners))
        }
        _ => EntryPayload::Normal(payload.into()),
    })
}

fn voters(membership: &Membership) -> Op {
    let (configs, learners) = numbers(membership);
    Op::Voters { configs, learners }
}

/// Who votes, by number, in the order of the numbers: the sets of voters, and those without a vote.
pub(super) fn numbers(membership: &Membership) -> (Vec<Vec<NodeNumber>>, Vec<NodeNumber>) {
    let numbers = |voters: &BTreeSet<Voter>| {
        let mut numbers: Vec<_> = voters.iter().map(|voter| voter.0).collect();
        numbers.sort_unstable();
        numbers
    };
    let mut learners: Vec<_> = membership.learner_ids().map(|voter| voter.0).collect();
    learners.sort_unstable();
    let configs = membership.get_joint_config().iter().map(numbers).collect();
    (configs, learners)
}

/// Who votes, as Raft has it.
pub(super) fn membership(configs: &[Vec<NodeNumber>], learners: &[NodeNumber]) -> Membership {
    let set = |numbers: &Vec<NodeNumber>| numbers.iter().copied().map(Voter).collect();
    let configs: Vec<BTreeSet<Voter>> = configs.iter().map(set).collect();
    let everybody = configs.iter().flatten().copied();
    let everybody = everybody.chain(learners.iter().copied().map(Voter));
    let nodes: BTreeMap<_, _> = everybody.map(|voter| (voter, EmptyNode {})).collect();
    Membership::new_with_defaults(configs, nodes.into_keys())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = Vec<NodeNumber>> {
        let set = prop::collection::btree_set(1u32..9, 1..5);
        set.prop_map(|numbers| numbers.into_iter().map(NodeNumber).collect())
    }

    proptest! {
        #[test]
        fn who_votes_comes_back_as_it_went(
            configs in prop::collection::vec(numbers(), 1..3), learners in numbers(),
        ) {
            let membership = membership(&configs, &learners);
            let payload = encode(EntryPayload::Membership(membership.clone()));
            let Ok(EntryPayload::Membership(back)) = decode(payload.clone()) else {
                panic!("a change of voters");
            };
            prop_assert_eq!(&back, &membership);
            // However it was put together, its bytes are the same.
            prop_assert_eq!(encode(EntryPayload::Membership(back)), payload);
        }
    }

    #[test]
    fn what_a_leader_begins_with_is_told_from_mutations() {
        let blank = encode(EntryPayload::Blank);
        assert!(matches!(decode(blank), Ok(EntryPayload::Blank)));
        let entry = Entry {
            time: Timestamp::default(),
            origin: None,
            op: Op::MakeSystemRoot,
        };
        let payload = encode(EntryPayload::Normal(entry.encode().into()));
        assert_eq!(payload, entry.encode());
        let back = decode(payload.clone()).expect("an entry");
        assert_eq!(back, EntryPayload::Normal(payload.into()));
        decode(Bytes::from_static(b"\xff")).expect_err("no entry");
    }
}
