//! How long something took, counted by size without a lock: what a histogram of Prometheus is made from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The durations that are told apart, in microseconds: from an answer out of memory to a disk that hangs.
const BOUNDS_US: [u64; 13] = [
    10, 50, 100, 500, 1000, 5000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// See the module.
#[derive(Debug, Default)]
pub struct Timings {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    nanoseconds: AtomicU64,
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
        let microseconds = took.as_micros();
        let place = BOUNDS_US.partition_point(|bound| u128::from(*bound) < microseconds);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn now(&self) -> Timed {
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6);
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
        for microseconds in [0, 10, 11, 30_000_000, 30_000_001] {
            timings.add(Duration::from_micros(microseconds));
        }
        let timed = timings.now();
        assert_eq!(timed.count, 5);
        assert_eq!(timed.total, Duration::from_micros(60_000_022));
        let counted = timed.buckets.iter().filter(|(_, count)| *count > 0);
        let counted: Vec<(f64, u64)> = counted.copied().collect();
        assert_eq!(counted, [(10e-6, 2), (50e-6, 1), (30.0, 1), (f64::MAX, 1)]);
    }
}
