//! A point in time as inodes keep it, and the clock seam.
//!
//! Seconds and nanoseconds are apart because 64 bits of nanoseconds end in 2262, and because times
//! before 1970 have negative seconds with nanoseconds that still count forward (POSIX `timespec`).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A POSIX `timespec`: `nanos` is below 10^9 and counts forward from `seconds`, also when negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp {
                seconds: after.as_secs() as i64,
                nanos: after.subsec_nanos(),
            },
            Err(error) => {
                let before = error.duration();
                match before.subsec_nanos() {
                    0 => Timestamp {
                        seconds: -(before.as_secs() as i64),
                        nanos: 0,
                    },
                    nanos => Timestamp {
                        seconds: -(before.as_secs() as i64) - 1,
                        nanos: 1_000_000_000 - nanos,
                    },
                }
            }
        }
    }
}

/// What a daemon may know of time. The simulator implements it too.
pub trait Clock: Send + Sync + 'static {
    /// Wall time; may jump either way.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary start that never goes back: the only one leases and deadlines use.
    fn monotonic(&self) -> Duration;
}

/// The clock of this machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_before_the_epoch_counts_forward() {
        let time = UNIX_EPOCH - Duration::from_millis(500);
        assert_eq!(
            Timestamp::from(time),
            Timestamp {
                seconds: -1,
                nanos: 500_000_000
            }
        );
    }
}
