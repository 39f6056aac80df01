//! What somebody on another machine may do: whose session it may name, and what it may see and change.
//!
//! Nodes hold the cluster's key and are trusted as local callers are. Of any other member each request is judged before
//! it is looked at ([`request`], a mutation once more when its turn comes: [`mutation`]), and each answer is gone
//! through before it leaves ([`reply`]): a method, a mutation or an answer without a decision here does not compile.
//! Where an inode is, is found out from it upwards ([`place`]), so no number that a member makes up leads anywhere.
//! For local callers nothing is done.

mod mutation;
mod place;
mod reply;
mod request;

use std::sync::Arc;

use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

pub(super) use reply::Conceals;
pub(super) use request::Asks;

use super::rpc::Service;
use crate::index::Index;
use crate::index::op::Op;
use crate::index::table::TableError;

/// Who a file belongs to that root of a machine makes where it is nobody: as in NFS.
const NOBODY: u32 = 65534;

/// Why a member may not.
#[derive(Debug)]
pub(super) enum Refused {
    Errno(i32),
    /// It could not be found out.
    Broken(TableError),
}

impl From<TableError> for Refused {
    fn from(error: TableError) -> Refused {
        Refused::Broken(error)
    }
}

type Judged<T = ()> = Result<T, Refused>;

/// A member that is no node, and the session it names: it is judged.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    principal: Arc<Principal>,
    session: SessionId,
    subject: Ino,
}

impl Asker {
    /// Whoever asks, unless nothing is refused to it.
    pub(super) fn of(call: &Call, session: u64) -> Option<Asker> {
        let principal = call.principal.as_ref()?;
        match principal.who {
            Who::Node => None,
            Who::Member(_) | Who::Joining(_) => Some(Asker {
                principal: principal.clone(),
                session: SessionId(session),
                subject: Ino(0),
            }),
        }
    }

    /// What it may do, over the state as it is.
    pub(super) fn rules<'a, R>(&'a self, index: &'a Index<R>) -> Rules<'a, R> {
        let restrictions = &self.principal.restrictions;
        Rules {
            index,
            restrictions,
            system: self.principal.kind == MemberKind::Gateway && restrictions.subdir == 0,
            session: self.session,
            subject: self.subject,
            member: self.principal.member,
        }
    }
}

/// What one member may do.
pub(super) struct Rules<'a, R> {
    index: &'a Index<R>,
    restrictions: &'a Restrictions,
    /// It may name what front-ends keep for themselves.
    system: bool,
    session: SessionId,
    /// See [`Asks::subject`].
    subject: Ino,
    member: u64,
}

/// The member that a session of this caller belongs to; 0: to nobody on another machine, or to a node.
pub(super) fn member_of(call: &Call) -> Result<u64, Failure> {
    match call.principal.as_ref().map(|principal| principal.who) {
        None | Some(Who::Node) => Ok(0),
        Some(Who::Member(number)) => Ok(number),
        Some(Who::Joining(_)) => Err(Failure::Denied(
            "a token lets a machine join and do nothing else".into(),
        )),
    }
}

/// The place of a session, as people are to know it.
pub(super) fn place_of(call: &Call, place: &str) -> String {
    match &call.principal {
        None => place.to_owned(),
        Some(principal) => format!("{}:{place}", principal.name),
    }
}

/// Whether something may be hidden from the caller.
pub(super) fn is_judged(call: &Call) -> bool {
    Asker::of(call, 0).is_some()
}

/// Whether keys below this root are to be listed as somebody sees them who is not root.
pub(super) fn lists_as_nobody(call: &Call, root: Ino) -> bool {
    let asker = Asker::of(call, 0);
    let squashed = asker.is_some_and(|asker| asker.principal.restrictions.squash_root);
    squashed && root != Ino::SYSTEM_ROOT
}

impl Service {
    /// Judges a call. What the member may not have of it is taken out of the request.
    pub(super) fn guard(
        &self,
        call: &Call,
        request: &mut impl Asks,
    ) -> Result<Option<Asker>, Failure> {
        match call.principal {
            None => Ok(None),
            Some(_) => self.guard_remote(call, request),
        }
    }

    fn guard_remote(&self, call: &Call, request: &mut impl Asks) -> Result<Option<Asker>, Failure> {
        let session = request.session();
        let Some(mut asker) = Asker::of(call, session.unwrap_or_default()) else {
            return Ok(None);
        };
        asker.subject = Ino(request.subject());
        if let Some(session) = session {
            let member = member_of(call)?;
            if self.core().is_foreign(SessionId(session), member) {
                return Err(Failure::StaleSession);
            }
        }
        let judged = request.judge(&asker.rules(&self.core().index));
        judged.map_err(|refused| self.refused(refused))?;
        Ok(Some(asker))
    }

    /// Takes out of an answer what the member may not know, and puts in what lets it read chunks.
    pub(super) fn conceal(&self, asker: &Asker, reply: &mut impl Conceals) -> Result<(), Failure> {
        let core = self.core();
        let concealed = reply.conceal(&asker.rules(&core.index), &self.options.tickets);
        concealed.map_err(|error| self.broken(error))
    }

    /// Judges a mutation, and makes it what the member may do. None: it may.
    pub(super) fn judge(&self, asker: &Asker, op: &mut Op) -> Result<Option<i32>, Failure> {
        let judged = asker.rules(&self.core().index).mutation(op);
        match judged {
            Ok(()) => Ok(None),
            Err(Refused::Errno(errno)) => Ok(Some(errno)),
            Err(Refused::Broken(error)) => Err(self.broken(error)),
        }
    }

    /// Whether the member has put every chunk itself that a mutation names.
    pub(super) fn has_put(&self, asker: &Asker, request: &v1::MutateRequest) -> bool {
        request::has_put(asker.principal.member, request, &self.options.tickets)
    }

    fn refused(&self, refused: Refused) -> Failure {
        match refused {
            Refused::Errno(errno) => Failure::Errno(errno),
            Refused::Broken(error) => self.broken(error),
        }
    }
}
