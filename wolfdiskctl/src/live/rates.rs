//! What happened between two samples of the counters, by the second.

use std::collections::BTreeMap;
use std::time::Instant;

/// The counters at one time.
#[derive(Debug)]
pub struct Sample {
    pub at: Instant,
    pub counters: BTreeMap<String, u64>,
}

/// An operation of the kernel on the mounts, that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub name: String,
    /// Requests a second.
    pub rate: f64,
    /// µs from a request to its answer, on average.
    pub mean_us: f64,
    /// µs that half of the requests, 99 of 100, and all of them took at most; none: longer than is told apart.
    pub at_most_us: [Option<u64>; 3],
}

impl Operation {
    /// µs of each second that requests were under way, all of them added up.
    pub fn busy_us(&self) -> f64 {
        self.rate * self.mean_us
    }
}

/// A cache of the mounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    pub name: &'static str,
    /// What it answered, a second.
    pub hits: f64,
    /// What it did not, a second.
    pub misses: f64,
}

/// See the module.
#[derive(Debug, Default, PartialEq)]
pub struct Rates {
    /// Mounts of this machine that told their counters.
    pub mounts: u64,
    /// Sessions that the node has.
    pub sessions: u64,
    /// Requests to the mounts a second.
    pub operations: f64,
    /// Bytes read from the mounts a second.
    pub read: f64,
    /// Bytes written to them a second.
    pub written: f64,
    /// Changes of the index a second.
    pub changes: f64,
    /// The operations that happened, the most frequent first.
    pub by_operation: Vec<Operation>,
    pub caches: Vec<Cache>,
    /// Every other counter that changed, and by how much a second.
    pub others: Vec<(String, f64)>,
}

/// The caches, and what counts their hits and their misses.
const CACHES: [(&str, &str, &str); 4] = [
    ("names", "mounts.name_hits", "mounts.meta_lookup"),
    ("attributes", "mounts.attr_hits", "mounts.meta_get_attr"),
    ("opens", "mounts.open_hits", "mounts.meta_open"),
    ("chunk ranges", "mounts.range_hits", "mounts.range_misses"),
];
/// Shares of the requests that a time is told for, in percent.
const SHARES: [u64; 3] = [50, 99, 100];
const CALL: &str = "mounts.call_";
/// Between an operation and the µs that the requests of a bucket took at most.
const AT_MOST: &str = "_le_";

impl Rates {
    /// Before anything is known to have happened.
    pub fn none(now: &Sample) -> Rates {
        Rates {
            mounts: value(&now.counters, "mounts.count"),
            sessions: value(&now.counters, "meta.sessions"),
            ..Rates::default()
        }
    }

    /// Between two samples. A counter that went back, since a daemon was started anew, changed by nothing.
    pub fn between(before: &Sample, now: &Sample) -> Rates {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let grown =
            |name: &str| value(&now.counters, name).saturating_sub(value(&before.counters, name));
        let rate = |name: &str| grown(name) as f64 / seconds;
        let names = now.counters.keys().filter_map(|name| {
            let call = name.strip_prefix(CALL)?.strip_suffix("_ns")?;
            Some(call.to_owned())
        });
        let mut by_operation: Vec<Operation> = names
            .filter_map(|name| operation(before, now, name, seconds))
            .collect();
        by_operation.sort_by(|one, other| other.rate.total_cmp(&one.rate));
        let caches = CACHES.map(|(name, hits, misses)| Cache {
            name,
            hits: rate(hits),
            misses: rate(misses),
        });
        Rates {
            operations: by_operation.iter().map(|operation| operation.rate).sum(),
            read: rate("mounts.bytes_read"),
            written: rate("mounts.bytes_written"),
            changes: rate("meta.version"),
            by_operation,
            caches: caches.into(),
            others: others(before, now, seconds),
            ..Rates::none(now)
        }
    }
}

impl Rates {
    /// µs of each second that requests of all kinds were under way, all of them added up.
    pub fn busy_us(&self) -> f64 {
        self.by_operation.iter().map(Operation::busy_us).sum()
    }

    /// The operations that happened, the one that took most of the time first.
    pub fn by_time(&self) -> Vec<Operation> {
        let mut operations = self.by_operation.clone();
        operations.sort_by(|one, other| other.busy_us().total_cmp(&one.busy_us()));
        operations
    }
}

fn value(counters: &BTreeMap<String, u64>, name: &str) -> u64 {
    counters.get(name).copied().unwrap_or_default()
}

/// What is told of one operation, if it happened.
fn operation(before: &Sample, now: &Sample, name: String, seconds: f64) -> Option<Operation> {
    let grown = |counter: &str| {
        value(&now.counters, counter).saturating_sub(value(&before.counters, counter))
    };
    let prefix = format!("{CALL}{name}");
    let count = grown(&prefix);
    let nanoseconds = grown(&format!("{prefix}_ns"));
    let start = format!("{prefix}{AT_MOST}");
    let mut buckets: Vec<(Option<u64>, u64)> = now
        .counters
        .range(start.clone()..)
        .take_while(|(counter, _)| counter.starts_with(&start))
        .map(|(counter, _)| {
            let bound = counter[start.len()..].strip_suffix("us");
            (bound.and_then(|bound| bound.parse().ok()), grown(counter))
        })
        .collect();
    // None is the longest.
    buckets.sort_by_key(|(bound, _)| bound.unwrap_or(u64::MAX));
    (count != 0).then(|| Operation {
        rate: count as f64 / seconds,
        mean_us: nanoseconds as f64 / 1000.0 / count as f64,
        at_most_us: SHARES.map(|share| at_most(&buckets, share)),
        name,
    })
}

/// The end of the bucket in which so many percent of the requests are done.
fn at_most(buckets: &[(Option<u64>, u64)], percent: u64) -> Option<u64> {
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = (all * percent).div_ceil(100);
    let mut seen = 0;
    let found = buckets.iter().find(|(_, count)| {
        seen += count;
        seen >= wanted
    });
    found.and_then(|(bound, _)| *bound)
}

/// What has no place of its own on the screen.
fn others(before: &Sample, now: &Sample, seconds: f64) -> Vec<(String, f64)> {
    let shown = |name: &str| {
        name.starts_with(CALL)
            || name.ends_with("uptime_ms")
            || CACHES
                .iter()
                .any(|(_, hits, misses)| name == *hits || name == *misses)
            || ["meta.version", "mounts.bytes_read", "mounts.bytes_written"].contains(&name)
    };
    let changed = now.counters.iter().filter(|(name, _)| !shown(name));
    let changed = changed.filter_map(|(name, value)| {
        let old = before.counters.get(name)?;
        let change = i128::from(*value) - i128::from(*old);
        (change != 0).then(|| (name.clone(), change as f64 / seconds))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(at: Instant, counters: &[(&str, u64)]) -> Sample {
        let counters = counters.iter();
        Sample {
            at,
            counters: counters
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        }
    }

    #[test]
    fn what_happened_is_told_by_the_second() {
        let begin = Instant::now();
        let before = sample(
            begin,
            &[
                ("meta.version", 10),
                ("meta.uptime_ms", 1),
                ("meta.inodes", 8),
                ("mounts.bytes_read", 0),
                ("mounts.call_read", 100),
                ("mounts.call_read_ns", 5_000),
                ("mounts.call_read_le_8us", 100),
                ("mounts.name_hits", 4),
                ("mounts.meta_lookup", 9),
            ],
        );
        let now = sample(
            begin + Duration::from_secs(2),
            &[
                ("meta.version", 30),
                ("meta.uptime_ms", 2001),
                ("meta.inodes", 4),
                ("meta.sessions", 3),
                ("mounts.bytes_read", 4096),
                ("mounts.call_read", 300),
                ("mounts.call_read_ns", 2_005_000),
                ("mounts.call_read_le_8us", 290),
                ("mounts.call_read_le_16us", 9),
                ("mounts.call_read_le_inf", 1),
                ("mounts.call_write", 5),
                ("mounts.call_write_ns", 5000),
                ("mounts.call_write_le_2us", 5),
                ("mounts.count", 2),
                ("mounts.name_hits", 10),
                // Started anew.
                ("mounts.meta_lookup", 1),
            ],
        );
        let rates = Rates::between(&before, &now);
        let operations = [
            Operation {
                name: "read".into(),
                rate: 100.0,
                mean_us: 10.0,
                at_most_us: [Some(8), Some(16), None],
            },
            Operation {
                name: "write".into(),
                rate: 2.5,
                mean_us: 1.0,
                at_most_us: [Some(2); 3],
            },
        ];
        assert_eq!(rates.by_operation, operations);
        assert_eq!(
            (rates.operations, rates.read, rates.written),
            (102.5, 2048.0, 0.0)
        );
        assert_eq!((rates.changes, rates.mounts, rates.sessions), (10.0, 2, 3));
        let names = &rates.caches[0];
        assert_eq!((names.hits, names.misses), (3.0, 0.0));
        assert_eq!(rates.others, [("meta.inodes".to_owned(), -2.0)]);
    }

    #[test]
    fn nothing_happened_is_no_operation() {
        let begin = Instant::now();
        let same = [
            ("mounts.call_read", 1),
            ("mounts.call_read_ns", 9),
            ("mounts.count", 1),
        ];
        let rates = Rates::between(&sample(begin, &same), &sample(begin, &same));
        assert_eq!(rates.by_operation, []);
        assert_eq!(rates.others, []);
        assert_eq!(rates.operations, 0.0);
    }
}
