//! How many dirty bytes all files of a volume may hold together. Writers wait here.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    state: Mutex<State>,
    freed: Condvar,
    max: usize,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// Writers that wait.
    waiting: usize,
}

impl Budget {
    /// A budget of `max` bytes.
    pub(crate) fn new(max: usize) -> Budget {
        Budget {
            state: Mutex::default(),
            freed: Condvar::new(),
            max,
        }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.state.lock().used
    }

    /// Bytes that there may be.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Writers that wait for some.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// More than half is in use: write back rather than wait.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.max / 2
    }

    /// Takes `bytes` as soon as they are free, or when nothing at all is in use; false if that did not
    /// come about within `deadline`.
    pub(crate) fn reserve(&self, bytes: usize, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut state = self.state.lock();
        while state.used > 0 && state.used + bytes > self.max {
            state.waiting += 1;
            let waited = self.freed.wait_until(&mut state, until);
            state.waiting -= 1;
            if waited.timed_out() {
                return false;
            }
        }
        state.used += bytes;
        true
    }

    /// Gives bytes back.
    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            let mut state = self.state.lock();
            state.used = state.used.saturating_sub(bytes);
            self.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_makes_writers_wait_until_something_is_freed() {
        let budget = Budget::new(10);
        assert!(budget.reserve(8, Duration::ZERO));
        assert!(!budget.reserve(3, Duration::from_millis(1)));
        budget.release(8);
        assert!(
            budget.reserve(300, Duration::ZERO),
            "more than the whole fits when nothing else is"
        );
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| budget.reserve(1, Duration::from_secs(10)));
            while budget.waiting() == 0 {
                std::thread::yield_now();
            }
            budget.release(300);
            assert!(waiter.join().expect("joined"));
        });
        assert_eq!((budget.used(), budget.waiting()), (1, 0));
    }
}
