//! Votes, and the wish that another node leads.

use openraft::raft::TransferLeaderError;
use openraft::raft::{TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse};
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_proto::v1::raft_hand_over_reply::Outcome;
use wolfdisk_proto::{Failure, v1};

use super::{Route, ballot, invalid, leader, maybe_log_id, put_ballot, put_log_id};
use crate::consensus::raft::{Types, Voter};

/// The message. `pre`: would there be a vote?
pub fn vote(route: Route, request: &VoteRequest<Types>, pre: bool) -> v1::RaftVoteRequest {
    v1::RaftVoteRequest {
        from: route.from.0.0,
        to: route.to.0.0,
        ballot: Some(put_ballot(&request.vote)),
        last: request.last_log_id.map(put_log_id),
        transfer: request.leadership_transfer,
        pre,
    }
}

/// What was sent.
///
/// # Errors
/// `Denied`: it is not from whom it says, or for another node. `Invalid`.
pub fn read_vote(
    route: Route,
    message: &v1::RaftVoteRequest,
) -> Result<VoteRequest<Types>, Failure> {
    route.check(message.from, message.to)?;
    let vote = ballot(message.ballot)?;
    if vote.committed || vote.leader_id.node_id != route.from {
        return Err(invalid(format!(
            "node {} asks for the vote {vote}, which is not its own",
            route.from
        )));
    }
    Ok(VoteRequest {
        vote,
        last_log_id: maybe_log_id(message.last)?,
        leadership_transfer: message.transfer,
    })
}

/// The answer.
pub fn vote_reply(reply: &VoteResponse<Types>) -> v1::RaftVoteReply {
    v1::RaftVoteReply {
        ballot: Some(put_ballot(&reply.vote)),
        granted: reply.vote_granted,
        last: reply.last_log_id.map(put_log_id),
    }
}

/// What was answered.
///
/// # Errors
/// `Invalid`.
pub fn read_vote_reply(reply: v1::RaftVoteReply) -> Result<VoteResponse<Types>, Failure> {
    let (vote, last) = (ballot(reply.ballot)?, maybe_log_id(reply.last)?);
    Ok(VoteResponse::new(vote, last, reply.granted))
}

/// The message.
pub fn hand_over(route: Route, request: &TransferLeaderRequest<Types>) -> v1::RaftHandOverRequest {
    v1::RaftHandOverRequest {
        from: route.from.0.0,
        to: route.to.0.0,
        ballot: Some(put_ballot(request.from_leader())),
        next: request.to_node_id().0.0,
        last: request.last_log_id().copied().map(put_log_id),
    }
}

/// What was sent.
///
/// # Errors
/// `Denied`: it is not from whom it says, or for another node. `Invalid`.
pub fn read_hand_over(
    route: Route,
    message: &v1::RaftHandOverRequest,
) -> Result<TransferLeaderRequest<Types>, Failure> {
    route.check(message.from, message.to)?;
    let vote = ballot(message.ballot)?;
    route.check_leader(&vote)?;
    leader(vote.leader_id.term, message.next)?;
    let next = Voter(NodeNumber(message.next));
    let last = maybe_log_id(message.last)?;
    Ok(TransferLeaderRequest::new(vote, next, last))
}

/// The answer.
pub fn hand_over_reply(reply: &TransferLeaderResponse<Types>) -> v1::RaftHandOverReply {
    let (outcome, ballot, last) = match reply {
        Ok(()) => (Outcome::Done, None, None),
        Err(TransferLeaderError::VoteChanged { actual, .. }) => {
            (Outcome::OtherVote, Some(actual), None)
        }
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => (Outcome::Behind, None, *actual),
    };
    v1::RaftHandOverReply {
        outcome: outcome.into(),
        ballot: ballot.map(put_ballot),
        last: last.map(put_log_id),
    }
}

/// What was answered.
///
/// # Errors
/// `Invalid`.
pub fn read_hand_over_reply(
    request: &TransferLeaderRequest<Types>,
    reply: v1::RaftHandOverReply,
) -> Result<TransferLeaderResponse<Types>, Failure> {
    Ok(match reply.outcome() {
        Outcome::Done => Ok(()),
        Outcome::OtherVote => Err(TransferLeaderError::VoteChanged {
            expected: *request.from_leader(),
            actual: ballot(reply.ballot)?,
        }),
        Outcome::Behind => Err(TransferLeaderError::LogNotFlushed {
            expected: request.last_log_id().copied(),
            actual: maybe_log_id(reply.last)?,
        }),
        Outcome::Unknown => return Err(invalid("an answer of a newer release")),
    })
}
