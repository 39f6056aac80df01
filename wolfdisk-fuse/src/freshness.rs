//! Keeps an answer that was overtaken by an invalidation from being cached by the kernel.
//!
//! A handler gets attributes from the volume, then sends them. If an invalidation reaches the kernel in
//! between, the kernel would keep the older attributes for the rest of their lifetime. So a handler
//! notes the number of invalidations before it asks the volume, and sends under the gate's shared side:
//! with a lifetime if the number is still the same, else without one. The notification thread raises
//! the number under the exclusive side before it tells the kernel. It thus waits for sends that have
//! begun, which never block, and never for a handler that waits for anything.
//!
//! A lifetime counts from when the handler began: however long the answer takes to be sent, the kernel
//! relies on nothing beyond what the volume allowed.
//!
//! One number stands for all inodes: an answer loses its lifetime now and then without need, which costs
//! one more request.

use std::time::{Duration, Instant};

use parking_lot::RwLock;

/// See the module.
#[derive(Debug, Default)]
pub struct Freshness {
    invalidations: RwLock<u64>,
}

/// The number of invalidations when a handler began, and when that was.
#[derive(Clone, Copy, Debug)]
pub struct Stamp(u64, Instant);

/// What lifetimes may still be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// What the volume said, less the time that has passed.
    Less(Duration),
    /// None: somebody changed something meanwhile.
    None,
}

impl Lifetime {
    /// What is left of `wanted`, or nothing.
    pub fn of(self, wanted: Duration) -> Duration {
        match self {
            Lifetime::Less(passed) => wanted.saturating_sub(passed),
            Lifetime::None => Duration::ZERO,
        }
    }
}

impl Freshness {
    /// To be called before the volume is asked.
    pub fn stamp(&self) -> Stamp {
        Stamp(*self.invalidations.read(), Instant::now())
    }

    /// Sends an answer to the kernel. `send` must not block.
    pub fn send(&self, stamp: Stamp, send: impl FnOnce(Lifetime)) {
        let now = self.invalidations.read();
        send(if *now == stamp.0 {
            Lifetime::Less(stamp.1.elapsed())
        } else {
            Lifetime::None
        });
    }

    /// To be called before the kernel is told of an invalidation: no answer from before it is sent with
    /// a lifetime once this returns.
    pub fn advance(&self) {
        *self.invalidations.write() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overtaken_answer_loses_its_lifetime() {
        let gate = Freshness::default();
        let second = Duration::from_secs(1);
        let stamp = gate.stamp();
        gate.send(stamp, |lifetime| {
            let left = lifetime.of(second);
            assert!(left < second && left + stamp.1.elapsed() >= second);
        });
        gate.advance();
        gate.send(stamp, |lifetime| {
            assert_eq!(lifetime.of(second), Duration::ZERO)
        });
        gate.send(gate.stamp(), |lifetime| {
            assert_ne!(lifetime.of(second), Duration::ZERO)
        });
    }
}
