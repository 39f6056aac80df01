//! From queued mutations to applied ones: all that is queued when the reactor comes round is proposed,
//! written with one call and applied.
//!
//! Some things are decided before an entry is proposed, from the applied state: who may have the victim
//! of an unlink open, and whether a lock must wait. So nothing is proposed that touches a name or a lock which an entry
//! touches that is proposed and not applied. A node that stands alone applies at once what it has written; where others
//! must have it first, entries stay in flight from one round to the next.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::oneshot;
use wolfdisk_common::ids::{Ino, LogIndex, SessionId};
use wolfdisk_common::name::FileName;
use wolfdisk_common::time::Timestamp;

use super::core::Core;
use super::error::ServiceError;
use super::guard::{Asker, Refused};
use super::keyed::way_of;
use crate::consensus::{ReplicationError, Ticket};
use crate::index::Step;
use crate::index::op::{Answer, Effect, Entry, LockMode, Op, Openers, Origin, Outcome};
use crate::index::table::Applied;
use crate::limits;
use crate::machine::lock_wait::{Enqueued, Holder};

/// A mutation that waits for its place in the log.
pub(crate) struct Pending {
    pub op: Op,
    pub origin: Option<Origin>,
    pub durable: bool,
    /// Until when a lock may wait; none: not at all.
    pub lock_until: Option<Duration>,
    /// The member who asks: it is judged by what is there when its turn comes.
    pub asker: Option<Asker>,
    pub answer: oneshot::Sender<Done>,
}

/// What became of it.
pub(crate) struct Done {
    /// Its entry; none if it was refused before it was proposed.
    pub index: Option<LogIndex>,
    pub answer: Answer,
    /// Ends when every other session has dropped what it changed.
    pub barrier: Option<oneshot::Receiver<()>>,
}

impl Done {
    fn refused(errno: i32) -> Done {
        Done {
            index: None,
            answer: Answer {
                errno,
                ..Answer::default()
            },
            barrier: None,
        }
    }
}

/// A mutation that has been proposed.
pub(super) struct InFlight {
    ticket: Ticket,
    pending: Pending,
    /// Inodes that may lose their last link, and who may have them open.
    victims: Vec<Openers>,
}

/// What the entries in flight touch that later ones are decided by.
#[derive(Default)]
pub(super) struct Touched {
    names: HashSet<(Ino, FileName)>,
    locks: HashSet<Ino>,
    sessions: bool,
    /// A session was taken over: who may have what open is to be asked anew.
    taken_over: bool,
}

impl Touched {
    /// Adds what `op`, which names the key at the end of `way`, touches; false if something before it does too.
    fn add(&mut self, op: &Op, way: &[Step]) -> bool {
        if self.taken_over {
            return false;
        }
        if let Some((last, before)) = way.split_last() {
            let place = |step: &Step| (step.parent, step.name.clone());
            let leads = before.iter().all(|step| !self.names.contains(&place(step)));
            return leads && self.names.insert(place(last));
        }
        let mut name = |ino: &Ino, name: &FileName| self.names.insert((*ino, name.clone()));
        match op {
            Op::Create {
                parent, name: new, ..
            }
            | Op::Link {
                parent, name: new, ..
            }
            | Op::Unlink {
                parent, name: new, ..
            } => name(parent, new),
            Op::Rename {
                parent,
                name: old,
                new_parent,
                new_name,
                ..
            } => {
                let first = name(parent, old);
                name(new_parent, new_name) && first
            }
            Op::SetLock { ino, .. } => !self.sessions && self.locks.insert(*ino),
            Op::CloseSession { .. } => {
                self.sessions = true;
                self.locks.is_empty()
            }
            Op::TakeOver { .. } => {
                self.taken_over = true;
                self.locks.is_empty()
            }
            Op::OpenSession { .. }
            | Op::SetAttr { .. }
            | Op::SetXattr { .. }
            | Op::RemoveXattr { .. }
            | Op::Write { .. }
            | Op::Append { .. }
            | Op::Fallocate { .. }
            | Op::CopyRange { .. }
            | Op::Release { .. }
            | Op::Destage { .. }
            | Op::Repack { .. }
            | Op::NodeUp { .. }
            | Op::Sweep { .. }
            | Op::DropChunks { .. }
            | Op::Reap { .. }
            | Op::FeatureLevel { .. }
            | Op::Lead
            | Op::Voters { .. }
            | Op::MakeSystemRoot
            | Op::IssueToken { .. }
            | Op::Join { .. }
            | Op::ChangeMember { .. }
            | Op::Stage { .. }
            | Op::SetObject { .. }
            // Their way has at least one name.
            | Op::Publish { .. }
            | Op::RemoveObject { .. }
            // It makes no name mean another inode and takes no lock.
            | Op::Repair { .. } => true,
        }
    }
}

impl Core {
    /// Takes the queue through the log, and what has been accepted to whoever asked. Answers whether something is left that
    /// need not wait for others.
    pub(super) fn run_batch(
        &mut self,
        wall: Timestamp,
        now: Duration,
    ) -> Result<bool, ServiceError> {
        self.apply_accepted(now)?;
        self.look_who_leads(now)?;
        let before = self.in_flight.len();
        self.propose_queued(wall, now)?;
        let mut new = self.in_flight.iter().skip(before);
        if before < self.in_flight.len() {
            let awaited = new.any(|entry| entry.pending.durable);
            self.counters.batches += 1;
            self.log.flush(awaited)?;
        }
        self.apply_accepted(now)?;
        self.look_who_leads(now)?;
        Ok(!self.queue.is_empty() && self.in_flight.is_empty())
    }

    /// Proposes what is queued, up to what must wait for an entry in flight.
    fn propose_queued(&mut self, wall: Timestamp, now: Duration) -> Result<(), ServiceError> {
        if self.in_flight.is_empty() {
            self.touched = Touched::default();
        }
        let mut bytes = 0;
        while self.in_flight.len() < limits::BATCH_MAX && bytes < limits::BATCH_BYTES_MAX {
            let Some(next) = self.queue.front() else {
                break;
            };
            let way = way_of(&self.index, &next.op)?;
            if !self.touched.add(&next.op, &way) {
                break;
            }
            let Some(pending) = self.queue.pop_front() else {
                break;
            };
            let Some(pending) = self.refuse_if_forbidden(pending)? else {
                continue;
            };
            let Some(pending) = self.park_if_barred(pending, now)? else {
                continue;
            };
            match self.propose(pending, wall) {
                Ok(proposed) => bytes += proposed,
                // Since a moment ago. Who asked is told to ask again.
                Err(ServiceError::Replication(ReplicationError::NotLeader)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Applies what has been accepted and answers those who asked for it.
    fn apply_accepted(&mut self, now: Duration) -> Result<(), ServiceError> {
        loop {
            let accepted = self.log.take_accepted(limits::BATCH_MAX)?;
            if accepted.is_empty() {
                break;
            }
            for entry in accepted {
                let outcome = self.index.apply(entry.index, entry.term, entry.payload)?;
                let version = self.index.version();
                let applied = Applied {
                    index: entry.index,
                    term: entry.term,
                    version,
                };
                self.index.records_mut().set_applied(applied);
                self.undurable.push_back((entry.index, version));
                if let Some(asked) = entry.ticket.and_then(|ticket| self.asked(ticket)) {
                    self.applied(asked, entry.index, outcome, now)?;
                }
            }
        }
        for refused in self.log.take_refused() {
            // Who asked for it asks again, as of one that was lost.
            self.in_flight.retain(|asked| asked.ticket != refused);
        }
        let durable = self.log.watermarks().durable;
        while self
            .undurable
            .front()
            .is_some_and(|(index, _)| *index <= durable)
        {
            self.undurable.pop_front();
        }
        Ok(())
    }

    /// Who asked for a proposal. Those before it will not be accepted any more: who asked for them is told to ask again, as by
    /// a daemon that ends, since nobody waits for an answer that is dropped.
    fn asked(&mut self, ticket: Ticket) -> Option<InFlight> {
        while self
            .in_flight
            .pop_front_if(|lost| lost.ticket < ticket)
            .is_some()
        {}
        self.in_flight.pop_front_if(|asked| asked.ticket == ticket)
    }

    /// Answers what a member may not do. What has been done is repeated to it.
    fn refuse_if_forbidden(
        &mut self,
        mut pending: Pending,
    ) -> Result<Option<Pending>, ServiceError> {
        let (Some(asker), Some(origin)) = (&pending.asker, pending.origin) else {
            return Ok(Some(pending));
        };
        let kept = self.index.kept_answer(origin.session, origin.sequence)?;
        if kept.is_some() {
            return Ok(Some(pending));
        }
        match asker.rules(&self.index).mutation(&mut pending.op) {
            Ok(()) => Ok(Some(pending)),
            Err(Refused::Broken(error)) => Err(error.into()),
            Err(Refused::Errno(errno)) => {
                self.counters.denied += 1;
                let _ = pending.answer.send(Done::refused(errno));
                Ok(None)
            }
        }
    }

    /// Puts a lock request that may wait, and must, aside. What is left goes on.
    fn park_if_barred(
        &mut self,
        pending: Pending,
        now: Duration,
    ) -> Result<Option<Pending>, ServiceError> {
        let (Some(until), Some(origin)) = (pending.lock_until, pending.origin) else {
            return Ok(Some(pending));
        };
        let Op::SetLock {
            ino,
            owner,
            mode,
            start,
            end,
            ..
        } = pending.op
        else {
            return Ok(Some(pending));
        };
        if mode == LockMode::Unlock {
            return Ok(Some(pending));
        }
        let locks = self.index.locks(ino)?;
        let barring = locks
            .iter()
            .filter(|lock| !lock.is_of(origin.session, owner) && lock.bars(mode, start, end));
        let blockers: Vec<_> = barring
            .map(|lock| Holder {
                session: lock.session,
                owner: lock.owner,
            })
            .collect();
        if blockers.is_empty() {
            return Ok(Some(pending));
        }
        let holder = Holder {
            session: origin.session,
            owner,
        };
        let refusal = if until <= now {
            libc::EAGAIN
        } else {
            match self.lock_waits.enqueue(ino, holder, blockers, until) {
                Enqueued::Waits(id) => {
                    self.counters.lock_waits += 1;
                    self.lock_parked.insert(id, pending);
                    return Ok(None);
                }
                Enqueued::Deadlock => libc::EDEADLK,
                Enqueued::Full => libc::ENOLCK,
            }
        };
        let _ = pending.answer.send(Done::refused(refusal));
        Ok(None)
    }

    fn propose(&mut self, mut pending: Pending, wall: Timestamp) -> Result<usize, ServiceError> {
        let victims = self.name_openers(&mut pending)?;
        let time = wall.max(self.index.time());
        // The op moves through the entry and back, since its data is shared and not copied.
        let entry = Entry {
            time,
            origin: pending.origin,
            op: pending.op,
        };
        let payload = entry.encode();
        pending.op = entry.op;
        let bytes = payload.len();
        let ticket = self.log.propose(payload)?;
        self.in_flight.push_back(InFlight {
            ticket,
            pending,
            victims,
        });
        Ok(bytes)
    }

    /// Says in an unlink or rename who else may have the victim open, in a mutation of an object who may.
    fn name_openers(&self, pending: &mut Pending) -> Result<Vec<Openers>, ServiceError> {
        let Some(Origin { session, .. }) = pending.origin else {
            return Ok(Vec::new());
        };
        let (parent, name, list) = match &mut pending.op {
            Op::Unlink {
                parent,
                name,
                openers,
                ..
            } => (*parent, &*name, openers),
            Op::Rename {
                new_parent,
                new_name,
                exchange: false,
                openers,
                ..
            } => (*new_parent, &*new_name, openers),
            op => return Ok(self.name_object_openers(op)?),
        };
        let Some((ino, inode)) = self.index.lookup(parent, name.as_bytes())? else {
            return Ok(Vec::new());
        };
        // Also if it has other names: an earlier mutation of the batch may take those.
        let sessions = self.coherence.openers(ino, inode.born, Some(session));
        list.clone_from(&sessions);
        Ok(vec![Openers { ino, sessions }])
    }

    fn applied(
        &mut self,
        asked: InFlight,
        index: LogIndex,
        outcome: Outcome,
        now: Duration,
    ) -> Result<(), ServiceError> {
        let InFlight {
            pending, victims, ..
        } = asked;
        let Outcome {
            answer,
            effects,
            repeated,
        } = outcome;
        let session = pending.origin.map(|origin| origin.session);
        self.counters.mutations += 1;
        *self.operations.entry(pending.op.name()).or_default() += 1;
        let mut waits = Vec::new();
        if repeated {
            self.counters.repeated += 1;
            if let Some(session) = session {
                waits = self.coherence.repeated(session, answer.version, now);
            }
        } else if answer.errno == 0 {
            waits = self
                .coherence
                .changed(session, answer.version, &effects, now);
            for Openers { ino, sessions } in self.lost(victims, session)? {
                let told = self.coherence.unlinked(ino, &sessions, answer.version, now);
                told.into_iter()
                    .for_each(|wait| crate::machine::coherence::merge(&mut waits, wait));
            }
        }
        self.session_changed(&pending.op, &answer, now);
        for effect in &effects {
            if let Effect::Lock { ino } = effect {
                self.wake_lock_waiters(*ino);
            }
        }
        let barrier = self.open_barrier(&waits);
        // An asker that has gone away asks again and gets the kept answer.
        let _ = pending.answer.send(Done {
            index: Some(index),
            answer,
            barrier,
        });
        Ok(())
    }

    fn session_changed(&mut self, op: &Op, answer: &Answer, now: Duration) {
        match (op, answer.session) {
            (Op::OpenSession { pid, member, .. }, Some(session)) => {
                self.coherence.open(session, now);
                if *member != 0 {
                    self.members.insert(session, *member);
                }
                self.liveness.open(session, *pid, now);
                self.feeds.insert(session, std::sync::Arc::default());
            }
            (Op::TakeOver { session: old, pid }, Some(session)) => {
                self.coherence.take_over(*old, session, answer.version, now);
                self.liveness.open(session, *pid, now);
                self.feeds.insert(session, std::sync::Arc::default());
                if let Some(member) = self.members.get(old).copied() {
                    self.members.insert(session, member);
                }
                self.session_closed(*old);
            }
            (Op::CloseSession { session, expired }, _) => {
                self.counters.expired_sessions += u64::from(*expired);
                self.session_closed(*session);
            }
            _ => {}
        }
    }

    fn session_closed(&mut self, session: SessionId) {
        let fallen = self.coherence.close(session);
        self.barriers_fell(fallen);
        self.liveness.close(session);
        self.members.remove(&session);
        for id in self.lock_waits.close(session) {
            if let Some(pending) = self.lock_parked.remove(&id) {
                let _ = pending.answer.send(Done::refused(libc::EINTR));
            }
        }
        if let Some(feed) = self.feeds.remove(&session) {
            feed.notify_waiters();
        }
    }

    /// Waiters ask again, before what was queued later.
    fn wake_lock_waiters(&mut self, ino: Ino) {
        for id in self.lock_waits.wake(ino).into_iter().rev() {
            if let Some(pending) = self.lock_parked.remove(&id) {
                self.queue.push_front(pending);
            }
        }
    }

    /// Time has passed: leases and lock requests may have run out.
    pub(super) fn tick(&mut self, now: Duration) {
        let fallen = self.coherence.tick(now);
        self.barriers_fell(fallen);
        for id in self.lock_waits.overdue(now) {
            if let Some(pending) = self.lock_parked.remove(&id) {
                let _ = pending.answer.send(Done::refused(libc::EAGAIN));
            }
        }
    }

    /// When [`Core::tick`] has something to do.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let both = [self.coherence.next_tick(), self.lock_waits.next_deadline()];
        both.into_iter().flatten().min()
    }
}
