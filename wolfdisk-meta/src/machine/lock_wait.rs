//! Lock requests that wait for somebody else's lock, and the deadlocks they would make.
//!
//! A holder is (session, owner). The machine keeps who waits for whom; whether a lock is free is the
//! index's to say. A waiter is woken when a lock of its inode changes, in the order of arrival, and
//! asks again. Of a cycle of waiters the last to come is refused with `EDEADLK` (POSIX `fcntl`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use wolfdisk_common::ids::{Ino, SessionId};

use crate::limits;

/// Who holds or wants a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// The session.
    pub session: SessionId,
    /// The owner in it.
    pub owner: u64,
}

/// Names a waiter; lower ones came earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(pub u64);

/// What became of a request to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits.
    Waits(WaiterId),
    /// It would never end.
    Deadlock,
    /// Too many wait already.
    Full,
}

#[derive(Debug)]
struct Waiter {
    ino: Ino,
    holder: Holder,
    blockers: Vec<Holder>,
    deadline: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub struct LockWaits {
    next: u64,
    waiters: BTreeMap<WaiterId, Waiter>,
    by_ino: HashMap<Ino, Vec<WaiterId>>,
}

impl LockWaits {
    /// `holder` wants a lock on `ino` that `blockers` hold, until `deadline`.
    pub fn enqueue(
        &mut self,
        ino: Ino,
        holder: Holder,
        blockers: Vec<Holder>,
        deadline: Duration,
    ) -> Enqueued {
        if self.waiters.len() >= limits::LOCK_WAITERS_MAX {
            return Enqueued::Full;
        }
        if self.would_deadlock(holder, &blockers) {
            return Enqueued::Deadlock;
        }
        let id = WaiterId(self.next);
        self.next += 1;
        self.waiters.insert(
            id,
            Waiter {
                ino,
                holder,
                blockers,
                deadline,
            },
        );
        self.by_ino.entry(ino).or_default().push(id);
        Enqueued::Waits(id)
    }

    /// A lock on `ino` was released or changed: these ask again.
    pub fn wake(&mut self, ino: Ino) -> Vec<WaiterId> {
        let woken = self.by_ino.remove(&ino).unwrap_or_default();
        for id in &woken {
            self.waiters.remove(id);
        }
        woken
    }

    /// These have waited long enough.
    pub fn overdue(&mut self, now: Duration) -> Vec<WaiterId> {
        self.remove_if(|waiter| waiter.deadline <= now)
    }

    /// The session is gone.
    pub fn close(&mut self, session: SessionId) -> Vec<WaiterId> {
        self.remove_if(|waiter| waiter.holder.session == session)
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.waiters.values().map(|waiter| waiter.deadline).min()
    }

    fn remove_if(&mut self, gone: impl Fn(&Waiter) -> bool) -> Vec<WaiterId> {
        let ids: Vec<_> = self
            .waiters
            .iter()
            .filter(|(_, waiter)| gone(waiter))
            .map(|(id, _)| *id)
            .collect();
        for id in &ids {
            if let Some(waiter) = self.waiters.remove(id)
                && let Some(queue) = self.by_ino.get_mut(&waiter.ino)
            {
                queue.retain(|other| other != id);
                if queue.is_empty() {
                    self.by_ino.remove(&waiter.ino);
                }
            }
        }
        ids
    }

    /// Depth-first along "waits for" from the blockers; the graph has at most one node per waiter.
    fn would_deadlock(&self, holder: Holder, blockers: &[Holder]) -> bool {
        let mut seen = HashSet::new();
        let mut stack = blockers.to_vec();
        while let Some(next) = stack.pop() {
            if next == holder {
                return true;
            }
            if seen.insert(next) {
                let waiting = self.waiters.values().filter(|waiter| waiter.holder == next);
                stack.extend(waiting.flat_map(|waiter| waiter.blockers.iter().copied()));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(session: u64, owner: u64) -> Holder {
        Holder {
            session: SessionId(session),
            owner,
        }
    }

    const LATER: Duration = Duration::from_secs(60);

    #[test]
    fn a_cycle_of_three_is_refused_at_its_last_link() {
        let mut waits = LockWaits::default();
        let (a, b, c) = (holder(1, 1), holder(2, 1), holder(2, 2));
        assert!(matches!(
            waits.enqueue(Ino(1), a, vec![b], LATER),
            Enqueued::Waits(_)
        ));
        assert!(matches!(
            waits.enqueue(Ino(2), b, vec![c], LATER),
            Enqueued::Waits(_)
        ));
        assert_eq!(waits.enqueue(Ino(3), c, vec![a], LATER), Enqueued::Deadlock);
        assert_eq!(waits.wake(Ino(1)), [WaiterId(0)]);
        assert!(matches!(
            waits.enqueue(Ino(3), c, vec![a], LATER),
            Enqueued::Waits(_)
        ));
    }

    #[test]
    fn waiters_leave_by_wake_deadline_and_close() {
        let mut waits = LockWaits::default();
        let soon = Duration::from_secs(1);
        waits.enqueue(Ino(1), holder(1, 1), vec![holder(9, 9)], soon);
        waits.enqueue(Ino(1), holder(2, 1), vec![holder(9, 9)], LATER);
        waits.enqueue(Ino(1), holder(3, 1), vec![holder(9, 9)], LATER);
        assert_eq!(waits.next_deadline(), Some(soon));
        assert_eq!(waits.overdue(soon), [WaiterId(0)]);
        assert_eq!(waits.close(SessionId(2)), [WaiterId(1)]);
        assert_eq!(waits.wake(Ino(1)), [WaiterId(2)]);
        assert!(waits.waiters.is_empty() && waits.by_ino.is_empty());
    }
}
