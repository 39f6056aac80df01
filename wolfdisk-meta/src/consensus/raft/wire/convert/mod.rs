//! Between the messages and what Raft has for them. What arrives is judged here, once: by whom it was sent and for whom,
//! the terms that our log has room for, the order of entries, and how much there is of everything.

mod append;
mod install;
#[cfg(test)]
mod tests;
mod vote;

pub use append::{append, append_reply, read_append, read_append_reply};
pub use install::{
    Install, InstallReply, install, install_reply, read_install, read_install_reply,
};
pub use vote::{
    hand_over, hand_over_reply, read_hand_over, read_hand_over_reply, read_vote, read_vote_reply,
    vote, vote_reply,
};

use openraft::alias::StoredMembershipOf;
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_proto::{Failure, v1};

use crate::consensus::raft::{
    LEADER_MAX, Leader, LogId, Membership, Types, Vote, Voter, payload, term_of,
};
use crate::limits::{MEMBERS_MAX, VOTER_SETS_MAX};

/// Who says something to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Who says it: of what arrives, who has proven to be that.
    pub from: Voter,
    /// To whom: of what arrives, this node.
    pub to: Voter,
}

impl Route {
    /// Whether a message is from whom it says and for this node.
    fn check(self, from: u32, to: u32) -> Result<(), Failure> {
        if from != self.from.0.0 {
            return Err(Failure::Denied(format!(
                "node {} may not speak as node {from}",
                self.from
            )));
        }
        if to != self.to.0.0 {
            return Err(Failure::Denied(format!(
                "this is node {}, and the call is for node {to}",
                self.to
            )));
        }
        Ok(())
    }

    /// The same of the ballot of one that leads, which is its own.
    fn check_leader(self, ballot: &Vote) -> Result<(), Failure> {
        match ballot.committed && ballot.leader_id.node_id == self.from {
            true => Ok(()),
            false => Err(Failure::Invalid(format!(
                "node {} sends what only who leads sends, by the vote {ballot}",
                self.from
            ))),
        }
    }
}

fn invalid(what: impl Into<String>) -> Failure {
    Failure::Invalid(what.into())
}

fn put_log_id(id: LogId) -> v1::RaftLogId {
    v1::RaftLogId {
        term: id.leader_id.term,
        leader: id.leader_id.node_id.0.0,
        index: id.index,
    }
}

fn leader(term: u64, number: u32) -> Result<Leader, Failure> {
    let leader = Leader {
        term,
        node_id: Voter(NodeNumber(number)),
    };
    term_of(&leader).map_err(|error| invalid(error.to_string()))?;
    Ok(leader)
}

fn log_id(id: v1::RaftLogId) -> Result<LogId, Failure> {
    // The last number is no entry's: our log counts from 1, and what follows an entry has a number too.
    if id.index >= u64::MAX - 1 {
        return Err(invalid(format!("there is no entry {}", id.index)));
    }
    Ok(LogId {
        leader_id: leader(id.term, id.leader)?,
        index: id.index,
    })
}

fn maybe_log_id(id: Option<v1::RaftLogId>) -> Result<Option<LogId>, Failure> {
    id.map(log_id).transpose()
}

fn put_ballot(vote: &Vote) -> v1::RaftBallot {
    v1::RaftBallot {
        term: vote.leader_id.term,
        leader: vote.leader_id.node_id.0.0,
        committed: vote.committed,
    }
}

fn ballot(ballot: Option<v1::RaftBallot>) -> Result<Vote, Failure> {
    let ballot = ballot.ok_or_else(|| invalid("a message without a vote"))?;
    Ok(Vote {
        leader_id: leader(ballot.term, ballot.leader)?,
        committed: ballot.committed,
    })
}

fn put_membership(stored: &StoredMembershipOf<Types>) -> v1::RaftMembership {
    let (configs, learners) = payload::numbers(stored.membership());
    let plain = |numbers: Vec<NodeNumber>| numbers.into_iter().map(|number| number.0).collect();
    let voters = |numbers| v1::RaftVoters {
        nodes: plain(numbers),
    };
    v1::RaftMembership {
        log_id: stored.log_id().map(put_log_id),
        configs: configs.into_iter().map(voters).collect(),
        learners: plain(learners),
    }
}

fn stored_membership(
    membership: Option<v1::RaftMembership>,
) -> Result<StoredMembershipOf<Types>, Failure> {
    let said = membership.ok_or_else(|| invalid("a snapshot that does not say who votes"))?;
    let plain = |numbers: Vec<u32>| numbers.into_iter().map(NodeNumber).collect::<Vec<_>>();
    let configs = said.configs.into_iter().map(|voters| plain(voters.nodes));
    let (configs, learners) = (configs.collect::<Vec<_>>(), plain(said.learners));
    // Of a time before there were others.
    if said.log_id.is_none() && configs.is_empty() && learners.is_empty() {
        return Ok(StoredMembershipOf::<Types>::default());
    }
    let lists = configs.iter().chain([&learners]);
    if !lists
        .clone()
        .all(|list| list.is_sorted_by(|one, next| one < next))
    {
        return Err(invalid("voters that are not in their order"));
    }
    let membership = payload::membership(&configs, &learners);
    check_membership(&membership)?;
    let log_id = log_id(said.log_id.ok_or_else(|| invalid("voters of no entry"))?)?;
    Ok(StoredMembershipOf::<Types>::new(Some(log_id), membership))
}

/// Whether decisions can be taken by such a membership.
fn check_membership(membership: &Membership) -> Result<(), Failure> {
    let configs = membership.get_joint_config();
    if configs.is_empty() || configs.len() > VOTER_SETS_MAX {
        return Err(invalid(format!("{} sets of voters", configs.len())));
    }
    if configs.iter().any(|voters| voters.is_empty()) {
        return Err(invalid("a set of voters with nobody in it"));
    }
    if membership.nodes().count() > MEMBERS_MAX {
        return Err(invalid("more voters than a cluster has members"));
    }
    let good = NodeNumber(1)..=LEADER_MAX;
    match membership
        .nodes()
        .find(|(voter, _)| !good.contains(&voter.0))
    {
        Some((voter, _)) => Err(invalid(format!("there is no node {voter}"))),
        None => Ok(()),
    }
}
