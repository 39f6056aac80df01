//! What an answer still waits for: confirmations by other sessions.
//!
//! A barrier is open until each of its waits is over: the session has confirmed the number, its lease
//! has run out, or it is gone.

use std::collections::BTreeMap;

use wolfdisk_common::ids::SessionId;

/// One thing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wait {
    /// The session that must confirm.
    pub session: SessionId,
    /// The number of the notice.
    pub number: u64,
    /// Writing back is waited for too; else all up to `number` must be dropped, no more.
    pub written: bool,
}

/// Barriers by the number that they wait for.
type ByNumber = BTreeMap<u64, Vec<BarrierId>>;

/// What waits for one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Waiting {
    dropped: ByNumber,
    written: ByNumber,
}

/// Names an open barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BarrierId(pub u64);

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Barriers {
    next: u64,
    left: BTreeMap<BarrierId, usize>,
    by_session: BTreeMap<SessionId, Waiting>,
}

impl Barriers {
    /// Opens a barrier for the waits, of which each session has at most one.
    pub fn open(&mut self, waits: &[Wait]) -> BarrierId {
        let id = BarrierId(self.next);
        self.next += 1;
        self.left.insert(id, waits.len());
        for wait in waits {
            let waiting = self.by_session.entry(wait.session).or_default();
            let numbers = if wait.written {
                &mut waiting.written
            } else {
                &mut waiting.dropped
            };
            numbers.entry(wait.number).or_default().push(id);
        }
        id
    }

    /// `session` has done everything up to `number`, and up to `dropped` all but writing back; answers
    /// the barriers that fell.
    pub fn confirm(&mut self, session: SessionId, number: u64, dropped: u64) -> Vec<BarrierId> {
        let Some(waiting) = self.by_session.get_mut(&session) else {
            return Vec::new();
        };
        let mut done = take_up_to(&mut waiting.written, number);
        done.append(&mut take_up_to(&mut waiting.dropped, dropped.max(number)));
        if waiting.written.is_empty() && waiting.dropped.is_empty() {
            self.by_session.remove(&session);
        }
        self.count_down(done.into_iter())
    }

    /// Nobody waits for `session` any more; answers the barriers that fell.
    pub fn release(&mut self, session: SessionId) -> Vec<BarrierId> {
        let Waiting { dropped, written } = self.by_session.remove(&session).unwrap_or_default();
        let all = dropped.into_values().chain(written.into_values());
        self.count_down(all.flatten())
    }

    /// What waits for `session` waits for the number of `heir` instead.
    pub fn hand_over(&mut self, session: SessionId, heir: SessionId, number: u64) {
        let Waiting { dropped, written } = self.by_session.remove(&session).unwrap_or_default();
        let all = dropped.into_values().chain(written.into_values());
        let waiting: Vec<BarrierId> = all.flatten().collect();
        if !waiting.is_empty() {
            let heirs = self.by_session.entry(heir).or_default();
            heirs.dropped.entry(number).or_default().extend(waiting);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Sessions that are waited for.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.by_session.keys().copied()
    }

    fn count_down(&mut self, done: impl Iterator<Item = BarrierId>) -> Vec<BarrierId> {
        let mut fallen = Vec::new();
        for id in done {
            if let Some(left) = self.left.get_mut(&id) {
                *left -= 1;
                if *left == 0 {
                    self.left.remove(&id);
                    fallen.push(id);
                }
            }
        }
        fallen
    }
}

fn take_up_to(numbers: &mut ByNumber, number: u64) -> Vec<BarrierId> {
    let later = numbers.split_off(&number.saturating_add(1));
    let done = std::mem::replace(numbers, later);
    done.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_falls_when_the_last_wait_is_over() {
        let mut barriers = Barriers::default();
        let (a, b) = (SessionId(1), SessionId(2));
        let both = barriers.open(&[
            Wait {
                session: a,
                number: 4,
                written: false,
            },
            Wait {
                session: b,
                number: 9,
                written: false,
            },
        ]);
        let one = barriers.open(&[Wait {
            session: a,
            number: 5,
            written: false,
        }]);
        assert_eq!(barriers.confirm(a, 4, 0), []);
        assert_eq!(barriers.release(b), [both]);
        assert_eq!(barriers.confirm(a, 3, 0), []);
        assert_eq!(barriers.confirm(a, 7, 0), [one]);
        assert!(barriers.is_empty());
        assert_eq!(barriers.sessions().count(), 0);
    }

    #[test]
    fn a_mutation_does_not_wait_for_writing_back_and_an_open_does() {
        let mut barriers = Barriers::default();
        let session = SessionId(1);
        let wait = |number, written| Wait {
            session,
            number,
            written,
        };
        let open = barriers.open(&[wait(4, true)]);
        let mutation = barriers.open(&[wait(5, false)]);
        assert_eq!(barriers.confirm(session, 3, 4), []);
        assert_eq!(barriers.confirm(session, 3, 5), [mutation]);
        assert_eq!(barriers.confirm(session, 4, 5), [open]);
        assert!(barriers.is_empty());
    }
}
