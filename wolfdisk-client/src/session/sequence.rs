//! The numbers of mutations: each is used once, and at most a window of them is unanswered, because the
//! daemon keeps so many answers for repeats.

use std::collections::BTreeSet;

use wolfdisk_common::limits::SESSION_WINDOW;

/// A session's numbers. Pure; the session waits where it says so.
#[derive(Debug)]
pub(crate) struct Sequences {
    next: u64,
    open: BTreeSet<u64>,
}

impl Default for Sequences {
    fn default() -> Sequences {
        Sequences {
            next: 1,
            open: BTreeSet::new(),
        }
    }
}

impl Sequences {
    /// A number for a new mutation; none while the window is full.
    pub(crate) fn take(&mut self) -> Option<u64> {
        if self.next - self.acknowledged() > SESSION_WINDOW {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number);
        Some(number)
    }

    /// All answers up to here have arrived.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next) - 1
    }

    /// The answer of a mutation has arrived, or nobody waits for it any more.
    pub(crate) fn done(&mut self, number: u64) {
        self.open.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_window_holds_and_nothing_open_is_acknowledged(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..3000)) {
            let mut sequences = Sequences::default();
            let mut open: Vec<u64> = Vec::new();
            for pick in picks {
                if pick.index(3) > 0 || open.is_empty() {
                    if let Some(number) = sequences.take() {
                        open.push(number);
                    } else {
                        let oldest = *open.iter().min().expect("some are open");
                        prop_assert!(sequences.next - oldest >= SESSION_WINDOW);
                    }
                } else {
                    sequences.done(open.swap_remove(pick.index(open.len())));
                }
                prop_assert!(open.iter().all(|number| *number > sequences.acknowledged()));
                prop_assert!(sequences.next - 1 - sequences.acknowledged() <= SESSION_WINDOW);
            }
            for number in open {
                sequences.done(number);
            }
            prop_assert_eq!(sequences.acknowledged(), sequences.next - 1);
        }
    }

    #[test]
    fn a_full_window_waits_for_its_oldest() {
        let mut sequences = Sequences::default();
        for _ in 0..SESSION_WINDOW {
            assert!(sequences.take().is_some());
        }
        assert_eq!(sequences.take(), None);
        sequences.done(2);
        assert_eq!(sequences.take(), None);
        sequences.done(1);
        assert_eq!(sequences.take(), Some(SESSION_WINDOW + 1));
        assert_eq!(sequences.acknowledged(), 2);
    }
}
