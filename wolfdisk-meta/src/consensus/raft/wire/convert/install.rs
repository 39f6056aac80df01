//! Parts of a snapshot.

use openraft::alias::SnapshotMetaOf;
use wolfdisk_proto::{Failure, v1};

use super::{
    Route, ballot, invalid, maybe_log_id, put_ballot, put_log_id, put_membership, stored_membership,
};
use crate::consensus::raft::{Types, Vote};
use crate::limits::SNAPSHOT_PART_BYTES;

/// One message of a transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Install {
    /// Of who leads.
    pub vote: Vote,
    /// What the snapshot is of.
    pub meta: SnapshotMetaOf<Types>,
    /// Its id.
    pub id: [u8; 16],
    /// None: which one is wanted next?
    pub part: Option<v1::RaftPart>,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstallReply {
    /// What is promised by whoever answers.
    pub vote: Vote,
    /// The part that is wanted next.
    pub next_part: u64,
    /// There is nothing more to send.
    pub installed: bool,
}

/// The message.
pub fn install(route: Route, request: Install) -> v1::RaftInstallRequest {
    v1::RaftInstallRequest {
        from: route.from.0.0,
        to: route.to.0.0,
        ballot: Some(put_ballot(&request.vote)),
        last: request.meta.last_log_id.map(put_log_id),
        membership: Some(put_membership(&request.meta.last_membership)),
        id: request.id.to_vec().into(),
        part: request.part,
    }
}

/// What was sent.
///
/// # Errors
/// `Denied`: it is not from whom it says, or for another node. `Invalid`.
pub fn read_install(route: Route, message: v1::RaftInstallRequest) -> Result<Install, Failure> {
    route.check(message.from, message.to)?;
    let vote = ballot(message.ballot)?;
    route.check_leader(&vote)?;
    let last = maybe_log_id(message.last)?;
    let last = last.ok_or_else(|| invalid("a snapshot of nothing"))?;
    let membership = stored_membership(message.membership)?;
    if membership.log_id().is_some_and(|said| said > last) || last.leader_id > vote.leader_id {
        return Err(invalid("a snapshot of what comes later"));
    }
    let id = message.id.as_ref().try_into();
    let id = id.map_err(|_| invalid("the id of a snapshot has 16 bytes"))?;
    if let Some(part) = &message.part {
        let length = part.data.len();
        if length == 0 || length > SNAPSHOT_PART_BYTES {
            return Err(invalid(format!("a part of {length} bytes")));
        }
    }
    Ok(Install {
        vote,
        meta: SnapshotMetaOf::<Types> {
            last_log_id: Some(last),
            last_membership: membership,
        },
        id,
        part: message.part,
    })
}

/// The answer.
pub fn install_reply(reply: InstallReply) -> v1::RaftInstallReply {
    v1::RaftInstallReply {
        ballot: Some(put_ballot(&reply.vote)),
        next_part: reply.next_part,
        installed: reply.installed,
    }
}

/// What was answered.
///
/// # Errors
/// `Invalid`.
pub fn read_install_reply(reply: v1::RaftInstallReply) -> Result<InstallReply, Failure> {
    Ok(InstallReply {
        vote: ballot(reply.ballot)?,
        next_part: reply.next_part,
        installed: reply.installed,
    })
}
