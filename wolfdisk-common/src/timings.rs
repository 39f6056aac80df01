//! How long something took, counted by size without a lock: what a histogram of Prometheus is made from.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The durations that are told apart: 1 µs and each twice the one before, to 67 s, which is longer than a call to a
/// daemon may take.
const BOUNDS: usize = 27;

/// See the module.
#[derive(Debug)]
pub struct Timings {
    counts: [AtomicU64; BOUNDS + 1],
    nanoseconds: AtomicU64,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings {
            counts: array::from_fn(|_| AtomicU64::new(0)),
            nanoseconds: AtomicU64::new(0),
        }
    }
}

/// What was counted until a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// How many there were.
    pub count: u64,
    /// How long all of them took.
    pub total: Duration,
    /// For each bound in seconds, the last of which is `f64::MAX`, those that took at most so long and longer than the
    /// bound before.
    pub buckets: Vec<(f64, u64)>,
}

impl Timings {
    /// Counts one.
    pub fn add(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // The power of two that so many microseconds are at most, up to the last.
        let above = nanoseconds.div_ceil(1000).saturating_sub(1);
        let place = ((u64::BITS - above.leading_zeros()) as usize).min(BOUNDS);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn now(&self) -> Timed {
        let bounds = (0..BOUNDS).map(|power| (1_u64 << power) as f64 / 1e6);
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::MAX]).zip(counts).collect();
        Timed {
            count: buckets.iter().map(|(_, count)| count).sum(),
            total: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        let timings = Timings::default();
        let longest = 1_000 << (BOUNDS - 1);
        for nanoseconds in [
            0,
            1_000,
            1_001,
            2_000,
            2_001,
            longest,
            longest + 1,
            u64::MAX / 2,
        ] {
            timings.add(Duration::from_nanos(nanoseconds));
        }
        let timed = timings.now();
        assert_eq!(timed.count, 8);
        let counted = timed.buckets.iter().filter(|(_, count)| *count > 0);
        let counted: Vec<(f64, u64)> = counted.copied().collect();
        let expected = [
            (1e-6, 2),
            (2e-6, 2),
            (4e-6, 1),
            (67.108_864, 1),
            (f64::MAX, 2),
        ];
        assert_eq!(counted, expected);
    }
}
