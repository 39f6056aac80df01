//! Who holds which right on which inode.
//!
//! One ordered map, so that the holders of an inode are neighbours. For each session a clock (second
//! chance) finds what to revoke when it holds more than its share. The table says nothing about
//! leases or notices: that is [`super::coherence`]'s part.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{BitOr, BitOrAssign};
use std::time::Duration;

use wolfdisk_common::ids::{Ino, SessionId};

/// A set of rights and marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RightSet(u8);

impl RightSet {
    /// Nothing.
    pub const NONE: RightSet = RightSet(0);
    /// Names of a directory may be cached, found or missing.
    pub const NAMES: RightSet = RightSet(1);
    /// Attributes and xattrs may be cached.
    pub const ATTR: RightSet = RightSet(2);
    /// Content may be cached.
    pub const DATA: RightSet = RightSet(4);
    /// Writes may be buffered.
    pub const WRITE: RightSet = RightSet(8);
    /// A mark, not a right: the session has asked to write and may have the inode open for that.
    pub const WRITER: RightSet = RightSet(16);
    /// A mark, not a right: the session may have the inode open.
    pub const OPENED: RightSet = RightSet(32);

    /// What a session may cache.
    pub const CACHE: RightSet = RightSet(1 | 2 | 4);
    /// The rights of the wire, without the marks.
    const RIGHTS: RightSet = RightSet(1 | 2 | 4 | 8);

    /// Whether any of `other` is in it.
    pub fn has(self, other: RightSet) -> bool {
        self.0 & other.0 != 0
    }

    /// Both have these.
    pub fn and(self, other: RightSet) -> RightSet {
        RightSet(self.0 & other.0)
    }

    /// Without those.
    pub fn without(self, other: RightSet) -> RightSet {
        RightSet(self.0 & !other.0)
    }

    /// As the bits of the wire's `Right`.
    pub fn to_wire(self) -> u32 {
        u32::from(self.and(RightSet::RIGHTS).0)
    }
}

impl BitOr for RightSet {
    type Output = RightSet;

    fn bitor(self, other: RightSet) -> RightSet {
        RightSet(self.0 | other.0)
    }
}

impl BitOrAssign for RightSet {
    fn bitor_assign(&mut self, other: RightSet) {
        self.0 |= other.0;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    set: RightSet,
    /// Used since the clock's hand last passed.
    referenced: bool,
    granted: Duration,
    /// The number of the notice that revokes it, until that is confirmed or it is granted again.
    revoking: Option<u64>,
    /// The session's number of its last open.
    opened: u64,
}

impl Held {
    fn is_cached(&self) -> bool {
        self.set.has(RightSet::CACHE)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Share {
    clock: VecDeque<Ino>,
    /// Inodes on which anything is held.
    count: usize,
    /// Those of them that may be cached: the others are only marked.
    cached: usize,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RightsTable {
    held: BTreeMap<(Ino, SessionId), Held>,
    shares: BTreeMap<SessionId, Share>,
}

impl RightsTable {
    /// Adds to what `session` holds on `ino`.
    pub fn add(&mut self, session: SessionId, ino: Ino, set: RightSet, now: Duration) {
        if let Some(held) = self.held.get_mut(&(ino, session)) {
            if held.set.and(set) != set {
                held.granted = now;
            }
            let was_cached = held.is_cached();
            held.set |= set;
            held.referenced = true;
            held.revoking = None;
            if held.is_cached() && !was_cached {
                self.shares.entry(session).or_default().cached += 1;
            }
            return;
        }
        let held = Held {
            set,
            referenced: false,
            granted: now,
            revoking: None,
            opened: 0,
        };
        let share = self.shares.entry(session).or_default();
        share.count += 1;
        share.cached += usize::from(held.is_cached());
        self.held.insert((ino, session), held);
        share.clock.push_back(ino);
        // What was forgotten and granted again stands in the clock twice.
        if share.clock.len() > 64 + 2 * share.count {
            let mut seen = std::collections::HashSet::new();
            let held = &self.held;
            share
                .clock
                .retain(|ino| held.contains_key(&(*ino, session)) && seen.insert(*ino));
        }
    }

    /// The session opens it, which is the open `number` that it asks for.
    pub fn open(&mut self, session: SessionId, ino: Ino, number: u64, now: Duration) {
        self.add(session, ino, RightSet::OPENED, now);
        if let Some(held) = self.held.get_mut(&(ino, session)) {
            held.opened = held.opened.max(number);
        }
    }

    /// Whether the session has opened it since the open `number`: then its word that it is closed, which is of that
    /// time, was overtaken.
    pub fn is_opened_since(&self, session: SessionId, ino: Ino, number: u64) -> bool {
        let held = self.held.get(&(ino, session));
        held.is_some_and(|held| held.opened > number)
    }

    /// What `session` holds on `ino`.
    pub fn get(&self, session: SessionId, ino: Ino) -> RightSet {
        self.held
            .get(&(ino, session))
            .map_or(RightSet::NONE, |held| held.set)
    }

    /// Takes `set` from `session`; answers what of it was there and when it had been granted.
    pub fn take(&mut self, session: SessionId, ino: Ino, set: RightSet) -> (RightSet, Duration) {
        let Some(held) = self.held.get_mut(&(ino, session)) else {
            return (RightSet::NONE, Duration::ZERO);
        };
        let (taken, granted) = (held.set.and(set), held.granted);
        let was_cached = held.is_cached();
        held.set = held.set.without(set);
        let (is_cached, is_empty) = (held.is_cached(), held.set == RightSet::NONE);
        if was_cached
            && !is_cached
            && let Some(share) = self.shares.get_mut(&session)
        {
            share.cached -= 1;
        }
        if is_empty {
            self.forget(session, ino);
        }
        (taken, granted)
    }

    /// Forgets an inode of a session, marks included.
    pub fn forget(&mut self, session: SessionId, ino: Ino) {
        if let Some(held) = self.held.remove(&(ino, session))
            && let Some(share) = self.shares.get_mut(&session)
        {
            share.count -= 1;
            share.cached -= usize::from(held.is_cached());
        }
    }

    /// All sessions that hold anything on `ino`.
    pub fn holders(&self, ino: Ino) -> impl Iterator<Item = (SessionId, RightSet)> + '_ {
        let range = (ino, SessionId(0))..=(ino, SessionId(u64::MAX));
        self.held
            .range(range)
            .map(|((_, session), held)| (*session, held.set))
    }

    /// Inodes on which `session` holds something.
    pub fn count(&self, session: SessionId) -> usize {
        self.shares.get(&session).map_or(0, |share| share.count)
    }

    /// Inodes of which `session` may cache something.
    pub fn cached(&self, session: SessionId) -> usize {
        self.shares.get(&session).map_or(0, |share| share.cached)
    }

    /// Takes every right of a session; marks stay.
    pub fn clear(&mut self, session: SessionId) {
        let Some(share) = self.shares.get(&session) else {
            return;
        };
        for ino in Vec::from_iter(share.clock.iter().copied()) {
            self.take(session, ino, RightSet::RIGHTS);
        }
    }

    /// Forgets a session, marks included.
    pub fn remove(&mut self, session: SessionId) {
        let Some(share) = self.shares.remove(&session) else {
            return;
        };
        for ino in share.clock {
            self.held.remove(&(ino, session));
        }
    }

    /// Picks an inode whose cache rights `session` has not used lately. They are taken by
    /// [`RightsTable::revoked`] once the session has confirmed. On the way entries of nothing but marks
    /// go if there are more than `marks_max` entries. The hand goes at most `steps` far, and on from there at the
    /// next call.
    pub fn candidate(
        &mut self,
        session: SessionId,
        marks_max: usize,
        steps: usize,
    ) -> Option<(Ino, RightSet)> {
        let share = self.shares.get_mut(&session)?;
        // Two rounds: the first takes the second chances away.
        for _ in 0..steps.min(2 * share.clock.len()) {
            let ino = share.clock.pop_front()?;
            let Some(held) = self.held.get_mut(&(ino, session)) else {
                continue;
            };
            let rights = held.set.and(RightSet::CACHE);
            if rights == RightSet::NONE && share.count > marks_max {
                self.held.remove(&(ino, session));
                share.count -= 1;
                continue;
            }
            share.clock.push_back(ino);
            if held.referenced || held.set.has(RightSet::WRITE) {
                held.referenced = false;
            } else if rights != RightSet::NONE && held.revoking.is_none() {
                return Some((ino, rights));
            }
        }
        None
    }

    /// The notice `number` revokes what `session` may cache of `ino`.
    pub fn revoke(&mut self, session: SessionId, ino: Ino, number: u64) {
        if let Some(held) = self.held.get_mut(&(ino, session)) {
            held.revoking = Some(number);
        }
    }

    /// The notice was confirmed. What was granted since stays.
    pub fn revoked(&mut self, session: SessionId, ino: Ino, number: u64) {
        if self
            .held
            .get(&(ino, session))
            .is_some_and(|held| held.revoking == Some(number))
        {
            self.take(session, ino, RightSet::CACHE);
            if let Some(held) = self.held.get_mut(&(ino, session)) {
                held.revoking = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);
    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn holders_of_an_inode_are_exactly_those_granted() {
        let mut table = RightsTable::default();
        table.add(A, Ino(5), RightSet::ATTR, NOW);
        table.add(B, Ino(5), RightSet::DATA, NOW);
        table.add(B, Ino(6), RightSet::DATA, NOW);
        let holders = Vec::from_iter(table.holders(Ino(5)));
        assert_eq!(holders, [(A, RightSet::ATTR), (B, RightSet::DATA)]);
        assert_eq!(table.take(A, Ino(5), RightSet::ATTR).0, RightSet::ATTR);
        assert_eq!(table.take(A, Ino(5), RightSet::ATTR).0, RightSet::NONE);
        table.remove(B);
        assert_eq!(table.holders(Ino(5)).count(), 0);
        assert_eq!(table.count(A) + table.count(B), 0);
    }

    #[test]
    fn the_clock_spares_what_was_used_and_keeps_marks() {
        let mut table = RightsTable::default();
        for ino in 1..=3 {
            table.add(A, Ino(ino), RightSet::ATTR, NOW);
        }
        table.add(A, Ino(1), RightSet::OPENED, NOW);
        for (number, ino) in [2, 3, 1].into_iter().enumerate() {
            let picked = table.candidate(A, 10, 10);
            assert_eq!(picked, Some((Ino(ino), RightSet::ATTR)));
            table.revoke(A, Ino(ino), number as u64);
            table.revoked(A, Ino(ino), number as u64);
        }
        assert_eq!(table.candidate(A, 10, 10), None);
        assert_eq!(table.get(A, Ino(1)), RightSet::OPENED);
    }

    #[test]
    fn what_may_be_cached_is_counted_through_every_change() {
        let mut table = RightsTable::default();
        let mut random = 1_u64;
        for number in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (ino, set) = (Ino(random >> 33 & 15), RightSet((random >> 40) as u8 & 63));
            match random >> 60 {
                0..=5 if set != RightSet::NONE => table.add(A, ino, set, NOW),
                6..=8 => drop(table.take(A, ino, set)),
                9 | 10 => table.forget(A, ino),
                11 | 12 => drop(table.candidate(A, 8, 5)),
                13 => table.revoke(A, ino, number),
                14 => table.revoked(A, ino, number - 1),
                _ => table.clear(A),
            }
            let held = table.held.values();
            let cached = held.clone().filter(|held| held.is_cached()).count();
            assert_eq!((table.count(A), table.cached(A)), (held.count(), cached));
        }
    }

    #[test]
    fn looking_for_room_among_marks_takes_a_few_steps_and_drops_them() {
        let mut table = RightsTable::default();
        for ino in 0..1000 {
            table.add(A, Ino(ino), RightSet::OPENED, NOW);
        }
        table.add(A, Ino(5000), RightSet::ATTR, NOW);
        assert_eq!(table.candidate(A, 950, 20), None);
        assert_eq!(table.count(A), 981);
        let calls = (0..).take_while(|_| table.candidate(A, 950, 20).is_none());
        assert_eq!(calls.count(), 49);
        assert_eq!(table.count(A), 951 - 1);
    }

    #[test]
    fn a_right_granted_again_survives_the_confirmation_of_its_revocation() {
        let mut table = RightsTable::default();
        table.add(A, Ino(1), RightSet::ATTR, NOW);
        table.revoke(A, Ino(1), 7);
        table.add(A, Ino(1), RightSet::ATTR, NOW);
        table.revoked(A, Ino(1), 7);
        assert_eq!(table.get(A, Ino(1)), RightSet::ATTR);
    }

    #[test]
    fn a_right_granted_and_given_back_for_ever_takes_no_memory() {
        let mut table = RightsTable::default();
        for round in 0..10_000 {
            table.add(A, Ino(round % 7), RightSet::ATTR, NOW);
            table.forget(A, Ino(round % 7));
        }
        table.add(A, Ino(1), RightSet::ATTR, NOW);
        assert!(table.shares[&A].clock.len() <= 80);
    }
}
