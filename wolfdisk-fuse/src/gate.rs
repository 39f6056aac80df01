//! Counts the requests that are being carried out, so that a hand-over can wait for their end and let no
//! more begin.
//!
//! Who comes when the gate is closed stays for ever: its request was read and is not answered, so that the
//! kernel asks the successor again. The process ends under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The bit beside the count that says that it is closed.
const CLOSED: u64 = 1 << 63;

/// See the module.
#[derive(Debug, Default)]
pub struct Gate {
    inside: AtomicU64,
    left: Mutex<()>,
    empty: Condvar,
}

/// A request that is being carried out.
#[derive(Debug)]
pub struct Inside<'a>(&'a Gate);

impl Gate {
    /// A request begins.
    pub fn enter(&self) -> Inside<'_> {
        let inside = Inside(self);
        if self.inside.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 {
            drop(inside);
            loop {
                std::thread::park();
            }
        }
        inside
    }

    /// Nothing begins any more. True if all that had begun has ended within `deadline`.
    pub fn close(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        self.inside.fetch_or(CLOSED, Ordering::AcqRel);
        let mut left = self.left.lock();
        while self.inside.load(Ordering::Acquire) != CLOSED {
            if self.empty.wait_until(&mut left, until).timed_out() {
                return false;
            }
        }
        true
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            let _left = self.0.left.lock();
            self.0.empty.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_closes_when_all_have_left_and_lets_nobody_in() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter();
        assert!(!gate.close(Duration::from_millis(1)), "one is inside");
        let late = Arc::clone(&gate);
        // It never returns: it ends with the process.
        let held = std::thread::spawn(move || drop(late.enter()));
        drop(first);
        assert!(gate.close(Duration::from_secs(60)));
        assert!(!held.is_finished());
    }
}
