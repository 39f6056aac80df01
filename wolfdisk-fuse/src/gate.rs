//! Counts the requests that are being carried out, so that a hand-over can wait for their end and let no
//! more begin; and, since all pass here, how many there were and how long they took.
//!
//! Who comes when the gate is closed stays for ever: its request was read and is not answered, so that the
//! kernel asks the successor again. The process ends under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::calls::{Call, Calls};
use crate::outcome::Outcome;

/// The bit beside the count that says that it is closed.
const CLOSED: u64 = 1 << 63;

/// See the module.
#[derive(Debug, Default)]
pub struct Gate {
    inside: AtomicU64,
    left: Mutex<()>,
    empty: Condvar,
    calls: Calls,
}

/// A request that is being carried out.
#[derive(Debug)]
pub struct Inside<'a> {
    gate: &'a Gate,
    call: Call,
    begun: Instant,
}

impl Gate {
    /// A request begins.
    pub fn enter(&self, call: Call) -> Inside<'_> {
        if self.inside.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 {
            self.leave();
            loop {
                std::thread::park();
            }
        }
        // Whatever this thread noted last was of another request.
        Outcome::Ok.note();
        Inside {
            gate: self,
            call,
            begun: Instant::now(),
        }
    }

    /// Requests that are being carried out.
    pub fn in_flight(&self) -> u64 {
        self.inside.load(Ordering::Relaxed) & !CLOSED
    }

    /// What was counted of all requests that have ended.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    fn leave(&self) {
        if self.inside.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            let _left = self.left.lock();
            self.empty.notify_all();
        }
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
        let took = self.begun.elapsed();
        self.gate.calls.add(self.call, Outcome::take(), took);
        self.gate.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_closes_when_all_have_left_and_lets_nobody_in() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(Call::Read);
        assert!(!gate.close(Duration::from_millis(1)), "one is inside");
        assert_eq!(gate.in_flight(), 1);
        let late = Arc::clone(&gate);
        // It never returns: it ends with the process.
        let held = std::thread::spawn(move || drop(late.enter(Call::Read)));
        drop(first);
        assert!(gate.close(Duration::from_secs(60)));
        assert!(!held.is_finished());
        let told = gate.calls().snapshot();
        let counts: Vec<_> = told.iter().map(|counted| counted.timed.count).collect();
        assert_eq!(counts, [1], "who does not come in is not counted");
    }
}
