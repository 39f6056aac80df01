//! What a member may ask. A request that is not decided on here does not compile.

use wolfdisk_common::ids::{ChunkId, Incarnation, Ino, NodeNumber, PutEpoch};
use wolfdisk_common::ticket::{Put, Tickets};
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::mutate_request::Op as Wire;
use wolfdisk_proto::v1::write_piece::Source;

use super::place::{READ, SEARCH, WRITE};
use super::{Judged, Refused, Rules};
use crate::index::records::Records;
use crate::service::convert;

/// A request that can be judged.
pub(in crate::service) trait Asks {
    /// The session that it names.
    fn session(&self) -> Option<u64>;

    /// The inode that its answer is about, where the answer does not say so and is judged by it.
    fn subject(&self) -> u64 {
        0
    }

    /// Whether the member may ask it. What it may not have of it is taken out.
    fn judge<R: Records>(&mut self, rules: &Rules<'_, R>) -> Judged;
}

/// Requests that name a session and are judged by a function.
macro_rules! of_session {
    ($($request:ident($this:ident, $rules:ident) $judge:block)*) => {$(
        impl Asks for v1::$request {
            fn session(&self) -> Option<u64> {
                Some(self.session)
            }

            fn judge<R: Records>(&mut self, $rules: &Rules<'_, R>) -> Judged {
                let $this = self;
                $judge
            }
        }
    )*};
}

/// Requests that name no session.
macro_rules! of_nobody {
    ($($request:ident($this:ident, $rules:ident) $judge:block)*) => {$(
        impl Asks for v1::$request {
            fn session(&self) -> Option<u64> {
                None
            }

            fn judge<R: Records>(&mut self, $rules: &Rules<'_, R>) -> Judged {
                let $this = self;
                $judge
            }
        }
    )*};
}

of_session! {
    // These name no inode, or only such as the session has.
    CloseSessionRequest(_this, _rules) { Ok(()) }
    FeedRequest(_this, _rules) { Ok(()) }
    SyncRequest(_this, _rules) { Ok(()) }
    StatFsRequest(_this, _rules) { Ok(()) }
    // Judged by what it does: see `mutation`.
    MutateRequest(_this, _rules) { Ok(()) }
    LookupRequest(this, rules) { rules.reach_for(Ino(this.parent), SEARCH).map(drop) }
    GetAttrRequest(this, rules) { rules.reach(Ino(this.ino)).map(drop) }
    OpenRequest(this, rules) {
        if this.write && rules.restrictions.read_only {
            return Err(Refused::Errno(libc::EROFS));
        }
        let wanted = if this.write { WRITE } else { READ };
        rules.reach_for(Ino(this.ino), wanted).map(drop)
    }
    MapRequest(this, rules) { rules.reach_for(Ino(this.ino), READ).map(drop) }
    ReadDirRequest(this, rules) {
        let reached = rules.reach_for(Ino(this.ino), READ)?;
        this.attributes &= rules.granted(&reached) & SEARCH != 0;
        Ok(())
    }
    GetXattrRequest(this, rules) {
        let reached = rules.reach(Ino(this.ino))?;
        if rules.is_judged(&reached) && is_for_root(&this.name) {
            return Err(Refused::Errno(libc::ENODATA));
        }
        match is_content(&this.name) {
            true => rules.need(&reached, READ),
            false => Ok(()),
        }
    }
    GetLockRequest(this, rules) {
        let lock = this.lock.as_ref();
        lock.map_or(Ok(()), |lock| rules.lock(Ino(lock.ino)))
    }
    LookupObjectRequest(this, rules) {
        rules.reach_for(Ino(this.root), SEARCH)?;
        // What is no key is refused as of anybody.
        let Ok(key) = convert::key(&this.key) else {
            return Ok(());
        };
        let along = rules.along(Ino(this.root), &key)?;
        let names = key.parents().len() + 1;
        let last = along.last().filter(|_| along.len() == names);
        match last.and_then(|(step, _)| step.found) {
            Some((ino, _)) if this.open => rules.reach_for(ino, READ).map(drop),
            _ => Ok(()),
        }
    }
    ListKeysRequest(this, rules) { rules.reach_for(Ino(this.root), READ | SEARCH).map(drop) }
}

impl Asks for v1::ListXattrRequest {
    fn session(&self) -> Option<u64> {
        Some(self.session)
    }

    fn subject(&self) -> u64 {
        self.ino
    }

    fn judge<R: Records>(&mut self, rules: &Rules<'_, R>) -> Judged {
        rules.reach(Ino(self.ino)).map(drop)
    }
}

of_nobody! {
    OpenSessionRequest(this, rules) {
        if rules.has_part() {
            rules.reach(rules.top())?;
        }
        this.read_only |= rules.restrictions.read_only;
        Ok(())
    }
    // Of Status, ListMembers, GatewayKeys and Servers: who may call them at all is decided where they are answered.
    Empty(_this, _rules) { Ok(()) }
    IssueTokenRequest(_this, _rules) { Ok(()) }
    JoinRequest(_this, _rules) { Ok(()) }
    ChangeMemberRequest(_this, _rules) { Ok(()) }
    // It tells paths of all files, and repairs.
    CheckRequest(_this, _rules) { Err(Refused::Errno(libc::EPERM)) }
    // It is all of the index.
    ExportRequest(_this, _rules) { Err(Refused::Errno(libc::EPERM)) }
    // Only nodes take part in the decisions of the cluster.
    RaftAppendRequest(_this, _rules) { Err(Refused::Errno(libc::EPERM)) }
    RaftVoteRequest(_this, _rules) { Err(Refused::Errno(libc::EPERM)) }
    RaftInstallRequest(_this, _rules) { Err(Refused::Errno(libc::EPERM)) }
    RaftHandOverRequest(_this, _rules) { Err(Refused::Errno(libc::EPERM)) }
    MakeRoomRequest(this, rules) {
        if rules.restrictions.read_only {
            return Err(Refused::Errno(libc::EROFS));
        }
        // It may name chunks of others, who would have to put them again.
        this.abandoned.clear();
        Ok(())
    }
}

/// What only root sees.
pub(super) fn is_for_root(name: &[u8]) -> bool {
    name.starts_with(b"trusted.")
}

/// What whoever reads the file may read.
pub(super) fn is_content(name: &[u8]) -> bool {
    name.starts_with(b"user.")
}

/// Whether the member has proofs that it put every chunk itself that a mutation names.
pub(super) fn has_put(member: u64, request: &v1::MutateRequest, tickets: &Tickets) -> bool {
    let pieces = match &request.op {
        Some(Wire::Write(write)) => &*write.pieces,
        _ => &[],
    };
    let places = pieces.iter().filter_map(|piece| match &piece.source {
        Some(Source::Chunk(place)) => Some(place),
        _ => None,
    });
    places.into_iter().all(|place| {
        let Ok(id) = ChunkId::from_slice(&place.id) else {
            return true;
        };
        place.receipts.iter().all(|receipt| {
            let put = Put {
                id,
                node: NodeNumber(receipt.node),
                incarnation: Incarnation(receipt.incarnation),
                epoch: PutEpoch(receipt.epoch),
            };
            tickets.has_put(member, &put, &receipt.proof)
        })
    })
}
