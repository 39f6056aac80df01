//! The lease of one session: until when it may trust what it cached.
//!
//! The leader counts from the arrival of a heartbeat, the session from its sending, so the leader's
//! end is never before the session's. A lease is renewed only while the session keeps up with its
//! notices: a session that does not confirm runs out, and with it every barrier that waits for it.

use std::time::Duration;

use wolfdisk_common::limits::LEASE_MS;

/// How long a lease lasts from its renewal.
pub const LEASE: Duration = Duration::from_millis(LEASE_MS);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    until: Duration,
}

impl Lease {
    /// A fresh lease.
    pub fn new(now: Duration) -> Lease {
        Lease { until: now + LEASE }
    }

    /// Whether the session may still trust its caches.
    pub fn holds(self, now: Duration) -> bool {
        now < self.until
    }

    /// When it runs out.
    pub fn until(self) -> Duration {
        self.until
    }

    /// A heartbeat arrived. `oldest_unconfirmed` is when the oldest notice was queued that the session
    /// has not confirmed. Answers what is left, counted from this heartbeat.
    pub fn heartbeat(&mut self, oldest_unconfirmed: Option<Duration>, now: Duration) -> Duration {
        let keeps_up = match oldest_unconfirmed {
            None => true,
            Some(queued) => self.holds(now) && now.saturating_sub(queued) < LEASE,
        };
        if keeps_up {
            self.until = now + LEASE;
        }
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_never_confirms_runs_out_although_it_beats() {
        let queued = Duration::from_secs(10);
        let mut lease = Lease::new(queued);
        let mut now = queued;
        while lease.holds(now) {
            now += Duration::from_millis(500);
            lease.heartbeat(Some(queued), now);
            assert!(now <= queued + 3 * LEASE, "it must run out");
        }
        assert_eq!(lease.heartbeat(Some(queued), now), Duration::ZERO);
        assert_eq!(lease.heartbeat(None, now), LEASE);
    }

    #[test]
    fn an_expired_lease_comes_back_only_when_nothing_is_unconfirmed() {
        let mut lease = Lease::new(Duration::ZERO);
        let late = LEASE + Duration::from_millis(1);
        assert_eq!(lease.heartbeat(Some(late), late), Duration::ZERO);
        assert!(!lease.holds(late));
    }
}
