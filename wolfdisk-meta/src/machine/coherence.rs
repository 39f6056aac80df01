//! The leader's side of cache coherence: leases, rights, notices and barriers as one machine.
//!
//! The promise: once the waits of a mutation are over, no other session trusts anything that the
//! mutation changed. A session trusts what it cached only while its lease holds and no notice told it
//! to drop it; see [`super::leases`] and [`super::feed_queue`].
//!
//! After a restart nothing is known of rights given before. Sessions found in the index are
//! *adopted*: each owes the confirmation of [`Notice::Everything`], and until it has given it or the
//! lease it may still have has run out, every mutation of another session waits for it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use wolfdisk_common::ids::{Ino, SessionId, Version};

use super::barrier::{BarrierId, Barriers, Wait};
use super::damping::Damping;
use super::feed_queue::{FeedQueue, Notice, Numbered};
use super::leases::Lease;
use super::rights::{RightSet, RightsTable};
use crate::index::op::Effect;
use crate::limits;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    lease: Lease,
    queue: FeedQueue,
    /// Rights from before a restart may exist until this number is confirmed.
    owes: Option<u64>,
    /// It was found after a restart, or took another over: of inodes not made after this version it is
    /// not known what it has open.
    adopted: Option<Version>,
    /// The lease ran out and the rights are gone; until the next lease nothing is granted.
    ran_out: bool,
    /// Inodes whose rights go when the notice of that number is confirmed.
    revoking: VecDeque<(u64, Ino)>,
}

impl Peer {
    fn new(queue: FeedQueue, now: Duration) -> Peer {
        Peer {
            lease: Lease::new(now),
            queue,
            owes: None,
            adopted: None,
            ran_out: false,
            revoking: VecDeque::new(),
        }
    }
}

/// What a heartbeat gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// What is left of the lease, counted from the heartbeat.
    pub lease: Duration,
    /// Barriers that fell.
    pub fallen: Vec<BarrierId>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coherence {
    /// Numbers of notices begin above this: it grows with the daemon's incarnation.
    base: u64,
    peers: BTreeMap<SessionId, Peer>,
    rights: RightsTable,
    damping: Damping,
    barriers: Barriers,
}

impl Coherence {
    /// No sessions yet. `base` must exceed every number used by an earlier life of this daemon.
    pub fn new(base: u64) -> Coherence {
        Coherence {
            base,
            peers: BTreeMap::new(),
            rights: RightsTable::default(),
            damping: Damping::default(),
            barriers: Barriers::default(),
        }
    }

    /// A session was opened.
    pub fn open(&mut self, session: SessionId, now: Duration) {
        self.peers
            .insert(session, Peer::new(FeedQueue::new(self.base), now));
    }

    /// A session was found in the index after a restart.
    pub fn adopt(&mut self, session: SessionId, version: Version, now: Duration) {
        let mut peer = Peer::new(FeedQueue::new(self.base), now);
        peer.owes = Some(peer.queue.reset(version, now));
        peer.adopted = Some(version);
        self.peers.insert(session, peer);
    }

    /// `heir` was opened in the place of `session`, which is closed next. The mount is the same: what the
    /// old front-end gave to its kernel is there until the new one says otherwise, and who waits for the
    /// old one waits for that.
    pub fn take_over(
        &mut self,
        session: SessionId,
        heir: SessionId,
        version: Version,
        now: Duration,
    ) {
        self.adopt(heir, version, now);
        if let Some(number) = self.peers.get(&heir).and_then(|peer| peer.owes) {
            self.barriers.hand_over(session, heir, number);
        }
    }

    /// A session is closed or expired. Answers the barriers that fell.
    pub fn close(&mut self, session: SessionId) -> Vec<BarrierId> {
        self.peers.remove(&session);
        self.rights.remove(session);
        self.barriers.release(session)
    }

    /// Whether the session is known.
    pub fn knows(&self, session: SessionId) -> bool {
        self.peers.contains_key(&session)
    }

    /// Whether the session's lease holds.
    pub fn lease_holds(&self, session: SessionId, now: Duration) -> bool {
        self.peers
            .get(&session)
            .is_some_and(|peer| peer.lease.holds(now))
    }

    /// Inodes on which the session holds rights.
    pub fn rights_held(&self, session: SessionId) -> usize {
        self.rights.count(session)
    }

    /// A heartbeat arrived, with the number up to which notices are done, and up to which all but write-backs
    /// and directories are. None: no such session.
    pub fn heartbeat(
        &mut self,
        session: SessionId,
        confirmed: u64,
        told: u64,
        now: Duration,
    ) -> Option<Heartbeat> {
        self.run_out(session, now);
        let peer = self.peers.get_mut(&session)?;
        peer.queue.told(told);
        if peer.queue.confirm(confirmed) {
            if peer
                .owes
                .is_some_and(|number| peer.queue.is_confirmed(number))
            {
                peer.owes = None;
            }
            while let Some((number, ino)) = peer
                .revoking
                .pop_front_if(|(number, _)| *number <= confirmed)
            {
                self.rights.revoked(session, ino, number);
            }
        }
        let (confirmed, told) = peer.queue.progress();
        let fallen = self.barriers.confirm(session, confirmed, told);
        let lease = peer.lease.heartbeat(peer.queue.oldest(), now);
        peer.ran_out &= lease.is_zero();
        Some(Heartbeat { lease, fallen })
    }

    /// The session opens `ino`, which is the open `number` that it asks for.
    pub fn opened(&mut self, session: SessionId, ino: Ino, number: u64, now: Duration) {
        self.rights.open(session, ino, number, now);
    }

    /// The session gives back what it holds on this inode and does not have it open, as of its open `number`.
    pub fn give_back(&mut self, session: SessionId, ino: Ino, number: u64) {
        if !self.rights.is_opened_since(session, ino, number) {
            self.rights.forget(session, ino);
        }
    }

    /// The session does not have this inode open, as of its open `number`; what it may cache stays, and with the
    /// right to content it may open it without asking. Says whether that is still so.
    pub fn closed(&mut self, session: SessionId, ino: Ino, number: u64) -> bool {
        if self.rights.is_opened_since(session, ino, number) {
            return false;
        }
        let mut marks = RightSet::WRITER | RightSet::WRITE;
        if !self.rights.get(session, ino).has(RightSet::DATA) {
            marks |= RightSet::OPENED;
        }
        self.rights.take(session, ino, marks);
        true
    }

    /// Whether notices are to be sent now.
    pub fn is_due(&self, session: SessionId, now: Duration) -> bool {
        self.peers
            .get(&session)
            .is_some_and(|peer| peer.queue.is_due(now))
    }

    /// The notices to send now.
    pub fn outgoing(&mut self, session: SessionId, limit: usize, now: Duration) -> Vec<Numbered> {
        match self.peers.get_mut(&session) {
            Some(peer) => peer.queue.outgoing(now, limit),
            None => Vec::new(),
        }
    }

    /// Grants what may be granted of `wanted`; marks are always kept. The answer in which the grant
    /// travels must have been read from the state as it is now.
    pub fn grant(
        &mut self,
        session: SessionId,
        ino: Ino,
        wanted: RightSet,
        version: Version,
        now: Duration,
    ) -> RightSet {
        self.run_out(session, now);
        let Some(peer) = self.peers.get(&session) else {
            return RightSet::NONE;
        };
        let rights = wanted.and(RightSet::CACHE);
        let mut marks = wanted.without(RightSet::CACHE);
        if rights.has(RightSet::DATA) {
            // With this right the session may open it without asking.
            marks |= RightSet::OPENED;
        }
        // See the module of damping for why content is not concerned.
        let allowed =
            peer.lease.holds(now) && (rights.has(RightSet::DATA) || self.damping.allows(ino, now));
        let granted = if allowed { rights } else { RightSet::NONE };
        let added = granted | marks;
        if added != RightSet::NONE {
            self.rights.add(session, ino, added, now);
            self.make_room(session, version, now);
        }
        granted
    }

    /// Whether grants that merely save a later call are welcome: they must not push out what is used.
    pub fn has_room(&self, session: SessionId) -> bool {
        self.rights.cached(session) < limits::RIGHTS_PER_SESSION / 2
    }

    /// `session` opens `ino` for writing. Whoever has the right to buffer writes must flush; the
    /// answer waits for these, then [`Coherence::write_right`] tells whether the session may buffer.
    pub fn open_to_write(
        &mut self,
        session: SessionId,
        ino: Ino,
        version: Version,
        now: Duration,
    ) -> Vec<Wait> {
        self.rights
            .add(session, ino, RightSet::WRITER | RightSet::OPENED, now);
        let mut waits = self.owed(Some(session), now);
        self.end_buffering(session, ino, version, now, &mut waits);
        waits
    }

    /// `session` is about to change the content of `ino`. It need not be known as one that writes: it may have opened
    /// the file before a restart, or truncate it by name. What others have buffered comes first; the change waits for
    /// it. With `stays` it has the file open and will write again.
    pub fn before_change(
        &mut self,
        session: SessionId,
        ino: Ino,
        stays: bool,
        version: Version,
        now: Duration,
    ) -> Vec<Wait> {
        if stays && !self.rights.get(session, ino).has(RightSet::WRITER) {
            self.rights
                .add(session, ino, RightSet::WRITER | RightSet::OPENED, now);
        }
        let mut waits = Vec::new();
        self.end_buffering(session, ino, version, now, &mut waits);
        waits
    }

    /// Takes the right to buffer writes from all but `session`. Who was told to write back and has not yet done so is
    /// waited for too, whoever it was told for.
    fn end_buffering(
        &mut self,
        session: SessionId,
        ino: Ino,
        version: Version,
        now: Duration,
        waits: &mut Vec<Wait>,
    ) {
        let others: Vec<_> = self
            .rights
            .holders(ino)
            .filter(|(other, set)| *other != session && set.has(RightSet::WRITE))
            .map(|(other, _)| other)
            .collect();
        for other in others {
            self.rights.take(other, ino, RightSet::WRITE);
            self.notify(other, Notice::WriteBack(ino), version, now, waits);
        }
        let writes_back = |queue: &FeedQueue| queue.writes_back(ino);
        self.wait_for(Some(session), writes_back, true, now, waits);
    }

    /// Gives the right to buffer writes if no other session may be writing.
    pub fn write_right(&mut self, session: SessionId, ino: Ino, now: Duration) -> RightSet {
        let alone = !self
            .rights
            .holders(ino)
            .any(|(other, set)| other != session && set.has(RightSet::WRITER | RightSet::WRITE));
        let mine = self.rights.get(session, ino).has(RightSet::WRITER);
        if alone && mine && self.lease_holds(session, now) {
            self.rights.add(session, ino, RightSet::WRITE, now);
            return RightSet::WRITE;
        }
        RightSet::NONE
    }

    /// Sessions other than `except` that may have `ino`, made at version `born`, open. Those found after
    /// a restart may have older ones open without this machine knowing.
    pub fn openers(&self, ino: Ino, born: Version, except: Option<SessionId>) -> Vec<SessionId> {
        let adopted = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.adopted.is_some_and(|version| born <= version));
        let known = self.rights.holders(ino).map(|(other, _)| other);
        let all = BTreeSet::from_iter(known.chain(adopted.map(|(session, _)| *session)));
        all.into_iter()
            .filter(|other| Some(*other) != except)
            .collect()
    }

    /// A mutation was applied. Queues notices for all sessions but its own; answers what its answer has
    /// to wait for.
    pub fn changed(
        &mut self,
        origin: Option<SessionId>,
        version: Version,
        effects: &[Effect],
        now: Duration,
    ) -> Vec<Wait> {
        let mut waits = self.owed(origin, now);
        for effect in effects {
            let (ino, concerned, taken) = match effect {
                Effect::Name { parent, .. } => (*parent, RightSet::NAMES, RightSet::NONE),
                Effect::Attr { ino } => (*ino, RightSet::ATTR, RightSet::ATTR),
                // The right stays: the kernel may keep what it has, and must be told of the next change.
                Effect::AccessTime { ino } => (*ino, RightSet::ATTR, RightSet::NONE),
                Effect::Data { ino } => {
                    let both = RightSet::ATTR | RightSet::DATA;
                    (*ino, both, both)
                }
                Effect::Gone { ino } => (*ino, RightSet::CACHE, RightSet::CACHE),
                Effect::Lock { .. } => continue,
            };
            let others: Vec<_> = self
                .rights
                .holders(ino)
                .filter(|(other, set)| Some(*other) != origin && set.has(concerned))
                .collect();
            for (other, _) in others {
                let (had, granted) = self.rights.take(other, ino, taken);
                let kept = had == RightSet::NONE || had.has(RightSet::DATA);
                if !kept && !matches!(effect, Effect::Gone { .. }) {
                    self.damping.taken(ino, granted, now);
                }
                let notice = match effect {
                    Effect::Name { parent, name } => Notice::Name {
                        parent: *parent,
                        name: name.clone(),
                    },
                    Effect::Attr { ino } => Notice::Attr(*ino),
                    Effect::AccessTime { ino } => Notice::AccessTime(*ino),
                    Effect::Data { ino } | Effect::Gone { ino } => Notice::Data(*ino),
                    Effect::Lock { .. } => continue,
                };
                self.notify(other, notice, version, now, &mut waits);
            }
            if taken != RightSet::NONE {
                // The right is gone, but who was told of it before may still trust what it got by it.
                let drops = |queue: &FeedQueue| queue.drops(ino);
                self.wait_for(origin, drops, false, now, &mut waits);
            }
        }
        waits
    }

    /// Adds waits for what sessions other than `except` were told before and have not done: the notice that `open` finds.
    fn wait_for(
        &self,
        except: Option<SessionId>,
        open: impl Fn(&FeedQueue) -> Option<u64>,
        written: bool,
        now: Duration,
        waits: &mut Vec<Wait>,
    ) {
        for (session, peer) in &self.peers {
            if Some(*session) != except
                && peer.lease.holds(now)
                && let Some(number) = open(&peer.queue)
            {
                merge(
                    waits,
                    Wait {
                        session: *session,
                        number,
                        written,
                    },
                );
            }
        }
    }

    /// Tells `sessions` that the attributes of `ino` changed, whether they hold a right on it or not:
    /// its last link is gone, and they may have it open.
    pub fn unlinked(
        &mut self,
        ino: Ino,
        sessions: &[SessionId],
        version: Version,
        now: Duration,
    ) -> Vec<Wait> {
        let mut waits = Vec::new();
        for session in sessions {
            self.rights.take(*session, ino, RightSet::ATTR);
            self.notify(*session, Notice::Attr(ino), version, now, &mut waits);
        }
        waits
    }

    /// What an answer that was given before, at `version`, still has to wait for.
    pub fn repeated(&mut self, origin: SessionId, version: Version, now: Duration) -> Vec<Wait> {
        let mut waits = self.owed(Some(origin), now);
        for (session, peer) in &self.peers {
            if *session != origin
                && peer.lease.holds(now)
                && let Some(number) = peer.queue.last_up_to(version)
            {
                merge(
                    &mut waits,
                    Wait {
                        session: *session,
                        number,
                        written: false,
                    },
                );
            }
        }
        waits
    }

    /// Opens a barrier for the waits; none if there is nothing to wait for.
    pub fn barrier(&mut self, waits: &[Wait]) -> Option<BarrierId> {
        (!waits.is_empty()).then(|| self.barriers.open(waits))
    }

    /// Time has passed: answers the barriers that fell because leases ran out.
    pub fn tick(&mut self, now: Duration) -> Vec<BarrierId> {
        let sessions: Vec<_> = self.barriers.sessions().collect();
        let mut fallen = Vec::new();
        for session in sessions {
            if !self.lease_holds(session, now) {
                self.run_out(session, now);
                fallen.extend(self.barriers.release(session));
            }
        }
        fallen
    }

    /// When [`Coherence::tick`] may next have something to do; none while no barrier is open.
    pub fn next_tick(&self) -> Option<Duration> {
        let leases = self
            .barriers
            .sessions()
            .filter_map(|session| self.peers.get(&session));
        leases.map(|peer| peer.lease.until()).min()
    }

    /// A lease that ran out took all rights with it: the session owes dropping everything before it
    /// gets a new one.
    fn run_out(&mut self, session: SessionId, now: Duration) {
        let Some(peer) = self.peers.get_mut(&session) else {
            return;
        };
        if peer.lease.holds(now) {
            return;
        }
        if peer.ran_out {
            return;
        }
        peer.ran_out = true;
        peer.owes = None;
        peer.revoking.clear();
        peer.queue.reset(Version(0), now);
        self.rights.clear(session);
    }

    /// Sessions whose rights from before a restart may still be trusted.
    fn owed(&self, except: Option<SessionId>, now: Duration) -> Vec<Wait> {
        let owing = self.peers.iter().filter_map(|(session, peer)| {
            let number = peer.owes.filter(|_| peer.lease.holds(now))?;
            (Some(*session) != except).then_some(Wait {
                session: *session,
                number,
                written: false,
            })
        });
        owing.collect()
    }

    /// Queues a notice, and adds what is to be waited for.
    fn notify(
        &mut self,
        session: SessionId,
        notice: Notice,
        version: Version,
        now: Duration,
        waits: &mut Vec<Wait>,
    ) {
        self.run_out(session, now);
        let Some(peer) = self.peers.get_mut(&session) else {
            return;
        };
        let holds = peer.lease.holds(now);
        let written = matches!(notice, Notice::WriteBack(_));
        let number = match peer.queue.push(notice, version, now) {
            Some(number) => number,
            None => {
                self.rights.clear(session);
                peer.queue.reset(version, now)
            }
        };
        if holds {
            merge(
                waits,
                Wait {
                    session,
                    number,
                    written,
                },
            );
        }
    }

    /// Revokes what the session has not used lately. Nobody waits, since what is revoked is still true;
    /// but until the session has confirmed, it counts as a holder. The notice carries the *next* version,
    /// so that answers under way, which were read at this one, are not cached when they arrive.
    fn make_room(&mut self, session: SessionId, version: Version, now: Duration) {
        let next = Version(version.0 + 1);
        for _ in 0..limits::REVOKED_AT_ONCE {
            let Some(peer) = self.peers.get_mut(&session) else {
                return;
            };
            let cached = self.rights.cached(session);
            let kept = cached.saturating_sub(peer.revoking.len());
            if kept <= limits::RIGHTS_PER_SESSION
                && self.rights.count(session) <= limits::MARKS_PER_SESSION
            {
                return;
            }
            let (marks_max, steps) = (limits::MARKS_PER_SESSION, limits::CLOCK_STEPS);
            let candidate = self.rights.candidate(session, marks_max, steps);
            let Some((ino, rights)) = candidate else {
                return;
            };
            let mut waits = Vec::new();
            if rights.has(RightSet::NAMES) {
                self.notify(session, Notice::Directory(ino), next, now, &mut waits);
            }
            if rights.has(RightSet::ATTR | RightSet::DATA) {
                self.notify(session, Notice::Data(ino), next, now, &mut waits);
            }
            if let (Some(peer), [wait]) = (self.peers.get_mut(&session), waits.as_slice()) {
                self.rights.revoke(session, ino, wait.number);
                peer.revoking.push_back((wait.number, ino));
            }
        }
    }
}

/// Adds a wait; each session has at most one, for the highest number.
pub fn merge(waits: &mut Vec<Wait>, wait: Wait) {
    match waits.iter_mut().find(|other| other.session == wait.session) {
        Some(other) => {
            other.number = other.number.max(wait.number);
            other.written |= wait.written;
        }
        None => waits.push(wait),
    }
}
