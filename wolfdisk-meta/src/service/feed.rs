//! Sessions: opening, closing, and the feed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::limits::{FEED_MAX_ITEMS, HEARTBEAT_MS, LEASE_MS, SUCCESSION_MS};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::convert;
use super::guard;
use super::rpc::Service;
use crate::index::op::{Answer, Op};
use crate::index::record::{Access, Session};
use crate::index::table::TableError;
use crate::limits;
use crate::machine::feed_queue::{Notice, Numbered};
use crate::tasks::expire::has_ended;

/// Longest name of a front-end and of its place.
const FRONTEND_MAX_BYTES: usize = 32;
const PLACE_MAX_BYTES: usize = 4096;

/// How a session that is in the way is told of.
fn bars(session: &Session) -> String {
    let Session { place, pid, .. } = session;
    let process = match pid {
        // On another machine.
        0 => String::new(),
        _ => format!(" (process {pid})"),
    };
    match session.access {
        Access::Exclusive => {
            format!("the mount at {place}{process} has the volume for itself; unmount it first")
        }
        Access::Shared | Access::ReadOnly => format!(
            "{place}{process} uses the volume, and an exclusive mount is the only one; unmount it first, or \
             mount without `exclusive`"
        ),
    }
}

impl Service {
    pub(super) async fn open_session(
        &self,
        call: &mut Call,
        request: v1::OpenSessionRequest,
    ) -> Result<v1::OpenSessionReply, Failure> {
        if request.frontend.len() > FRONTEND_MAX_BYTES || request.place.len() > PLACE_MAX_BYTES {
            return Err(Failure::Invalid(
                "the session's name or place is too long".into(),
            ));
        }
        if self.core().feeds.len() >= limits::SESSIONS_MAX {
            return Err(Failure::Unavailable("too many sessions are open".into()));
        }
        let member = guard::member_of(call)?;
        let place = guard::place_of(call, &request.place);
        // The kernel's word counts, not the caller's: the process is looked for when it falls silent.
        let pid = call.peer.map_or(0, |peer| peer.pid.max(0) as u32);
        let old = || {
            let old = self.predecessor(&request, &place, (member, pid));
            old.map_err(|error| self.broken(error))
        };
        let (mut taken_over, mut answer) = (false, Answer::default());
        // The call of a process that died may have outlived it, and may take the session over just now: then the heir
        // is to be taken over. Each further round ends a session that was there.
        while let Some(session) = old()? {
            let op = Op::TakeOver { session, pid };
            let opened = self.propose(op, false)?;
            (_, answer) = opened.applied().await.ok_or_else(Service::stopping)?;
            taken_over = answer.session.is_some();
            if answer.errno != libc::ESTALE {
                break;
            }
        }
        if !taken_over && request.exclusive && request.take_over != 0 {
            // Its kernel goes by what it holds of names, sizes and pages, and others may have come and gone.
            return Err(Failure::Denied(
                "the exclusive session of this mount is gone; take the mount off and mount anew"
                    .into(),
            ));
        }
        if !taken_over {
            let opened = self.propose(
                Op::OpenSession {
                    frontend: request.frontend,
                    place,
                    pid,
                    access: match (request.read_only, request.exclusive) {
                        (true, _) => Access::ReadOnly,
                        (false, true) => Access::Exclusive,
                        (false, false) => Access::Shared,
                    },
                    member,
                },
                false,
            )?;
            (_, answer) = opened.applied().await.ok_or_else(Service::stopping)?;
            if answer.errno == libc::EBUSY {
                return Err(self.make_way().await?);
            }
        }
        let session = answer.session.ok_or_else(Service::stopping)?;
        if !taken_over && request.take_over != 0 {
            // Its kernel holds what a session had that is gone, and is to drop it.
            let now = self.clock.monotonic();
            self.core().coherence.adopt(session, answer.version, now);
        }
        let (orphans, locks) = self
            .inherited(session)
            .map_err(|error| self.broken(error))?;
        if request.heritable {
            self.core().liveness.expect_heir(session);
        }
        let options = self.options();
        Ok(v1::OpenSessionReply {
            session: session.0,
            taken_over,
            orphans,
            locks,
            version: answer.version.0,
            lease_ms: LEASE_MS as u32,
            heartbeat_ms: HEARTBEAT_MS as u32,
            chunk_size: options.chunk_size_bytes as u32,
            volume_id: options.volume.as_bytes().to_vec().into(),
            root: Ino::ROOT.0,
        })
    }

    /// Says what is in the way of a session that is to be the only one, or that comes beside such a one. Unless that is
    /// somebody who is there, closes those that were not heard of for long.
    async fn make_way(&self) -> Result<Failure, Failure> {
        let now = self.clock.monotonic();
        let (silent, heard): (Vec<_>, Vec<_>) = {
            let core = self.core();
            let sessions = core.index.sessions();
            let sessions = sessions.map_err(|error| self.broken(error))?;
            let silence = Duration::from_millis(SUCCESSION_MS);
            sessions.into_iter().partition(|(session, _)| {
                let heard = core.liveness.last_heard(*session);
                heard.is_some_and(|heard| now.saturating_sub(heard) >= silence)
            })
        };
        let connected = |session| self.core().liveness.is_connected(session);
        if let Some((_, record)) = heard.iter().find(|(session, _)| connected(*session)) {
            return Ok(Failure::Denied(bars(record)));
        }
        for (session, _) in silent {
            let expired = true;
            let closed = self.propose(Op::CloseSession { session, expired }, false)?;
            closed.applied().await.ok_or_else(Service::stopping)?;
        }
        Ok(Failure::Unavailable(match heard.first() {
            // It comes back, is taken over, or is closed soon.
            Some((_, record)) => format!("{} has the volume, but does not answer", record.place),
            None => "who was in the way is gone".into(),
        }))
    }

    /// The session of the same mount to take over: the one that is named or, if that is gone, the one that
    /// took it over, when its process died before it could leave its number, or asks once more.
    fn predecessor(
        &self,
        request: &v1::OpenSessionRequest,
        place: &str,
        (member, pid): (u64, u32),
    ) -> Result<Option<SessionId>, TableError> {
        if request.take_over == 0 {
            return Ok(None);
        }
        let named = SessionId(request.take_over);
        let mut sessions = self.core().index.sessions()?;
        sessions.retain(|(_, record)| {
            let mount = (&*record.frontend, &*record.place);
            record.member == member && mount == (&*request.frontend, place)
        });
        if sessions.iter().any(|(session, _)| *session == named) {
            return Ok(Some(named));
        }
        let heirs = sessions.into_iter().filter(|(session, record)| {
            *session > named && (record.pid == pid || has_ended(record.pid))
        });
        Ok(heirs.map(|(session, _)| session).max())
    }

    /// What a session that was just opened holds: nothing, unless it took another over.
    fn inherited(&self, session: SessionId) -> Result<(Vec<u64>, Vec<v1::LockOwner>), TableError> {
        let core = self.core();
        let orphans = core.index.orphans_of(session)?;
        let mut locks = Vec::new();
        for ino in core.index.locked_by(session)? {
            let held = core.index.locks(ino)?;
            let mine = held.into_iter().filter(|lock| lock.session == session);
            let mut owners: Vec<u64> = mine.map(|lock| lock.owner).collect();
            owners.dedup();
            locks.extend(
                owners
                    .into_iter()
                    .map(|owner| v1::LockOwner { ino: ino.0, owner }),
            );
        }
        Ok((orphans.into_iter().map(|ino| ino.0).collect(), locks))
    }

    pub(super) async fn close_session(
        &self,
        call: &mut Call,
        request: v1::CloseSessionRequest,
    ) -> Result<v1::Empty, Failure> {
        let member = guard::member_of(call)?;
        let session = SessionId(request.session);
        if self.core().is_foreign(session, member) {
            return Err(Failure::StaleSession);
        }
        if self.core().coherence.knows(session) {
            let closed = self.propose(
                Op::CloseSession {
                    session,
                    expired: false,
                },
                false,
            )?;
            closed.applied().await.ok_or_else(Service::stopping)?;
        }
        Ok(v1::Empty {})
    }

    pub(super) async fn feed(
        &self,
        call: &mut Call,
        request: v1::FeedRequest,
    ) -> Result<v1::FeedReply, Failure> {
        let (lease, arrived, wake) = self.heartbeat(call, &request)?;
        let wait = Duration::from_millis(request.wait_ms.into()).min(limits::FEED_WAIT_MAX);
        loop {
            let left = {
                let (mut core, session, now) = self.enter(call, request.session)?;
                let waited = now.saturating_sub(arrived);
                if core.coherence.is_due(session, now) || waited >= wait {
                    let items = core.coherence.outgoing(session, FEED_MAX_ITEMS, now);
                    let version = core.index.version();
                    let lease_ms = lease.as_millis() as u32;
                    let gone = self.space.segments_gone();
                    return Ok(reply(version.0, lease_ms, items, gone));
                }
                wait.saturating_sub(waited)
            };
            // Woken or not, the loop looks.
            let _ = tokio::time::timeout(left, wake.notified()).await;
        }
    }

    fn heartbeat(
        &self,
        call: &Call,
        request: &v1::FeedRequest,
    ) -> Result<(Duration, Duration, Arc<Notify>), Failure> {
        let (mut core, session, now) = self.enter(call, request.session)?;
        core.liveness.heartbeat(session, call.connection, now);
        for (ino, opens) in with_opens(&request.dropped, &request.dropped_opens) {
            core.coherence.give_back(session, ino, opens);
        }
        let mut closed = Vec::new();
        if !request.released.is_empty() {
            let orphans = core
                .index
                .orphans_of(session)
                .map_err(|error| self.broken(error))?;
            for (ino, opens) in with_opens(&request.released, &request.released_opens) {
                if core.coherence.closed(session, ino, opens) && orphans.contains(&ino) {
                    closed.push(ino);
                }
            }
        }
        let beat = core
            .coherence
            .heartbeat(session, request.confirmed, request.told, now);
        let beat = beat.ok_or(Failure::StaleSession)?;
        core.barriers_fell(beat.fallen);
        let wake = core
            .feeds
            .get(&session)
            .cloned()
            .ok_or(Failure::StaleSession)?;
        drop(core);
        if !closed.is_empty() {
            // Nobody waits for it: an orphan that is not released now is released with the session.
            self.propose(
                Op::Release {
                    session,
                    inos: closed,
                },
                false,
            )?;
        }
        Ok((beat.lease, now, wake))
    }
}

/// Each inode with the last open that the session had asked for by then.
fn with_opens<'a>(inos: &'a [u64], opens: &'a [u64]) -> impl Iterator<Item = (Ino, u64)> + 'a {
    let opens = opens.iter().copied().chain(std::iter::repeat(u64::MAX));
    inos.iter().map(|ino| Ino(*ino)).zip(opens)
}

fn reply(version: u64, lease_ms: u32, items: Vec<Numbered>, segments_gone: u64) -> v1::FeedReply {
    let rolled_back = items.iter().any(|item| item.notice == Notice::Everything);
    let invalidations = items.into_iter().map(convert::invalidation).collect();
    v1::FeedReply {
        version,
        lease_ms,
        invalidations,
        rolled_back,
        segments_gone,
    }
}
