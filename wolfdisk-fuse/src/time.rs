//! Times between the kernel, the FUSE library and inodes.
//!
//! The kernel sends a POSIX `timespec`: seconds that may be negative and nanoseconds that count forward.
//! The library turns the time of a `setattr` into a `SystemTime` and goes wrong below 1970: it subtracts
//! the nanoseconds instead of adding them. [`received`] undoes that exactly. In the other direction the
//! library is right.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::TimeOrNow;
use wolfdisk_client::SetTime;
use wolfdisk_common::time::Timestamp;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// The time that the kernel sent, out of what the library made of it.
///
/// For `seconds` below zero the library computed `epoch - (|seconds| + nanos)`. That has at least one
/// whole second, and seconds and nanoseconds of the distance are just the two numbers sent.
pub fn received(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp {
            seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            nanos: after.subsec_nanos(),
        },
        Err(error) => {
            let before = error.duration();
            Timestamp {
                seconds: 0i64
                    .checked_sub_unsigned(before.as_secs())
                    .unwrap_or(i64::MIN),
                nanos: before.subsec_nanos(),
            }
        }
    }
}

/// The same for a time that may be "now", which the leader fills in.
pub fn received_or_now(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::At(received(time)),
    }
}

/// The time that the library is to send. One that a `SystemTime` cannot hold becomes the epoch.
pub fn sent(time: Timestamp) -> SystemTime {
    let nanos = Duration::from_nanos(u64::from(time.nanos.min(NANOS_PER_SECOND - 1)));
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let base = if time.seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(nanos))
        .unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library does with the two numbers of the kernel (fuser 0.18.0).
    fn library(seconds: i64, nanos: u32) -> SystemTime {
        if seconds >= 0 {
            UNIX_EPOCH + Duration::new(seconds as u64, nanos)
        } else {
            UNIX_EPOCH - Duration::new(seconds.unsigned_abs(), nanos)
        }
    }

    #[test]
    fn times_on_both_sides_of_the_epoch_arrive_as_they_were_sent() {
        for seconds in [
            i64::MIN + 1,
            -2_000_000_000,
            -2,
            -1,
            0,
            1,
            1_700_000_000,
            9_000_000_000,
        ] {
            for nanos in [0, 1, 250_000_000, 999_999_999] {
                let want = Timestamp { seconds, nanos };
                assert_eq!(received(library(seconds, nanos)), want);
            }
        }
    }

    #[test]
    fn what_is_sent_is_the_time_itself() {
        for seconds in [-2_000_000_000, -1, 0, 1, 1_700_000_000] {
            for nanos in [0, 1, 999_999_999] {
                let time = Timestamp { seconds, nanos };
                assert_eq!(Timestamp::from(sent(time)), time);
            }
        }
    }

    #[test]
    fn the_farthest_times_do_not_panic() {
        for seconds in [i64::MIN, i64::MAX] {
            for nanos in [0, 999_999_999, u32::MAX] {
                let _ = sent(Timestamp { seconds, nanos });
            }
        }
    }
}
