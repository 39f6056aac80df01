//! How long cached things may be used, and the epoch they belong to.
//!
//! The lease counts from when the heartbeat that renewed it was *sent*, so it ends here before it ends
//! at the daemon. Whenever rights may have been lost without a word (the lease lapsed, the session or the
//! index was replaced) the epoch moves on, and nothing that was cached in an earlier one is used again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limits::{LEASE_DRIFT, LEASE_MARGIN};

/// See the module.
#[derive(Debug)]
pub(crate) struct Lease {
    start: Instant,
    until_us: AtomicU64,
    epoch: AtomicU64,
}

impl Default for Lease {
    fn default() -> Lease {
        Lease {
            start: Instant::now(),
            until_us: AtomicU64::new(0),
            epoch: AtomicU64::new(1),
        }
    }
}

impl Lease {
    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        let until = Duration::from_micros(self.until_us.load(Ordering::Acquire));
        until.saturating_sub(self.start.elapsed())
    }

    /// How long the kernel may keep something that is cached under a right.
    pub(crate) fn kernel_lifetime(&self) -> Duration {
        self.left().saturating_sub(LEASE_MARGIN)
    }

    /// Cached things of the current epoch may be used.
    pub(crate) fn is_live(&self) -> bool {
        !self.left().is_zero()
    }

    /// The epoch that things cached now belong to.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Rights were lost: nothing cached so far is used again.
    pub(crate) fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// A heartbeat sent at `sent` was answered. True if the lease had lapsed in between: then a new
    /// epoch has begun, since things may have changed without us being asked.
    pub(crate) fn renew(&self, sent: Instant, length: Duration) -> bool {
        let lapsed = !self.is_live();
        if lapsed {
            self.next_epoch();
        }
        let until = sent.saturating_duration_since(self.start) + length.saturating_sub(LEASE_DRIFT);
        self.until_us
            .store(until.as_micros() as u64, Ordering::Release);
        lapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_sending_and_a_lapse_begins_an_epoch() {
        let lease = Lease::default();
        assert!(!lease.is_live());
        let sent = Instant::now();
        assert!(lease.renew(sent, Duration::from_secs(2)));
        let epoch = lease.epoch();
        assert!(!lease.renew(sent, Duration::from_secs(2)));
        assert_eq!(lease.epoch(), epoch);
        assert!(
            lease.left() <= Duration::from_secs(2) - LEASE_DRIFT
                && lease.kernel_lifetime() < lease.left()
        );
        assert!(!lease.renew(sent, Duration::ZERO));
        assert!(!lease.is_live());
        assert!(lease.renew(Instant::now(), Duration::from_secs(2)));
        assert_eq!(lease.epoch(), epoch + 1);
    }
}
