//! Entries, and what became of them.

use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use wolfdisk_proto::v1::raft_append_reply::Outcome;
use wolfdisk_proto::{Failure, v1};

use super::{
    Route, ballot, check_membership, invalid, leader, log_id, maybe_log_id, put_ballot, put_log_id,
};
use crate::consensus::raft::{Entry, LogId, Types, Vote, payload};
use crate::limits::{REPLICATED_AT_ONCE_BYTES, REPLICATED_ENTRIES_MAX};

/// What an answer must fit.
pub struct Asked {
    ballot: Vote,
    previous: Option<LogId>,
    /// The last entry that was sent.
    last: Option<LogId>,
    /// Not all that were to be sent were.
    cut: bool,
}

/// The message: with as many of the entries as one takes, one at least.
pub fn append(
    route: Route,
    request: AppendEntriesRequest<Types>,
) -> (v1::RaftAppendRequest, Asked) {
    let all = request.entries.len();
    let mut asked = Asked {
        ballot: request.vote,
        previous: request.prev_log_id,
        last: request.prev_log_id,
        cut: false,
    };
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for Entry { log_id, payload } in request.entries {
        let payload = payload::encode(payload);
        bytes += payload.len();
        let is_full = bytes > REPLICATED_AT_ONCE_BYTES || entries.len() == REPLICATED_ENTRIES_MAX;
        if is_full && !entries.is_empty() {
            break;
        }
        asked.last = Some(log_id);
        entries.push(v1::RaftEntry {
            term: log_id.leader_id.term,
            leader: log_id.leader_id.node_id.0.0,
            payload,
        });
    }
    asked.cut = entries.len() < all;
    let message = v1::RaftAppendRequest {
        from: route.from.0.0,
        to: route.to.0.0,
        ballot: Some(put_ballot(&request.vote)),
        previous: request.prev_log_id.map(put_log_id),
        entries,
        committed: request.leader_commit.map(put_log_id),
    };
    (message, asked)
}

/// What was sent.
///
/// # Errors
/// `Denied`: it is not from whom it says, or for another node. `Invalid`.
pub fn read_append(
    route: Route,
    message: v1::RaftAppendRequest,
) -> Result<AppendEntriesRequest<Types>, Failure> {
    route.check(message.from, message.to)?;
    let vote = ballot(message.ballot)?;
    route.check_leader(&vote)?;
    let previous = maybe_log_id(message.previous)?;
    let committed = maybe_log_id(message.committed)?;
    if message.entries.len() > REPLICATED_ENTRIES_MAX {
        return Err(invalid(format!("{} entries", message.entries.len())));
    }
    let mut last = previous;
    let mut entries = Vec::with_capacity(message.entries.len());
    for entry in message.entries {
        let log_id = follower(last, leader(entry.term, entry.leader)?)?;
        entries.push(Entry {
            log_id,
            payload: read_payload(entry.payload)?,
        });
        last = Some(log_id);
    }
    let newest = [last, committed].into_iter().flatten();
    if newest.into_iter().any(|id| id.leader_id > vote.leader_id) {
        return Err(invalid("entries of a later leader than who sends them"));
    }
    Ok(AppendEntriesRequest {
        vote,
        prev_log_id: previous,
        entries,
        leader_commit: committed,
    })
}

/// The name of the entry after `last`, by this leader.
fn follower(
    last: Option<LogId>,
    leader_id: crate::consensus::raft::Leader,
) -> Result<LogId, Failure> {
    let Some(last) = last else {
        return Ok(LogId {
            leader_id,
            index: 0,
        });
    };
    if leader_id < last.leader_id {
        return Err(invalid(format!(
            "an entry of leader {leader_id} after one of {}",
            last.leader_id
        )));
    }
    // The first is far from the end of all numbers, and there are few.
    let index = last.index.saturating_add(1);
    log_id(put_log_id(LogId { leader_id, index }))
}

fn read_payload(bytes: bytes::Bytes) -> Result<payload::Payload, Failure> {
    let payload = payload::decode(bytes);
    let payload = payload.map_err(|error| invalid(format!("no entry of the log: {error}")))?;
    if let EntryPayload::Membership(membership) = &payload {
        check_membership(membership)?;
    }
    Ok(payload)
}

/// The answer.
pub fn append_reply(reply: &AppendEntriesResponse<Types>) -> v1::RaftAppendReply {
    let (outcome, last, ballot) = match reply {
        AppendEntriesResponse::Success => (Outcome::Done, None, None),
        AppendEntriesResponse::PartialSuccess(last) => (Outcome::Part, *last, None),
        AppendEntriesResponse::Conflict => (Outcome::Conflict, None, None),
        AppendEntriesResponse::HigherVote(vote) => (Outcome::Higher, None, Some(vote)),
    };
    v1::RaftAppendReply {
        outcome: outcome.into(),
        last: last.map(put_log_id),
        ballot: ballot.map(put_ballot),
    }
}

/// What was answered.
///
/// # Errors
/// `Invalid`: that is no answer to what was asked.
pub fn read_append_reply(
    asked: &Asked,
    reply: v1::RaftAppendReply,
) -> Result<AppendEntriesResponse<Types>, Failure> {
    match reply.outcome() {
        Outcome::Done if asked.cut => Ok(AppendEntriesResponse::PartialSuccess(asked.last)),
        Outcome::Done => Ok(AppendEntriesResponse::Success),
        Outcome::Part => {
            let last = maybe_log_id(reply.last)?;
            match asked.previous <= last && last <= asked.last {
                true => Ok(AppendEntriesResponse::PartialSuccess(last)),
                false => Err(invalid("entries were taken that were not sent")),
            }
        }
        Outcome::Conflict if asked.previous.is_some() => Ok(AppendEntriesResponse::Conflict),
        Outcome::Conflict => Err(invalid("a conflict before the first entry")),
        Outcome::Higher => {
            let higher = ballot(reply.ballot)?;
            match higher > asked.ballot {
                true => Ok(AppendEntriesResponse::HigherVote(higher)),
                false => Err(invalid("a higher vote that is not higher")),
            }
        }
        Outcome::Unknown => Err(invalid("an answer of a newer release")),
    }
}
