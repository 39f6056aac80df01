//! What a service counts of its calls and of the connections that they come by: both bindings count, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wolfdisk_common::timings::{Timed, Timings};

use crate::failure::Failure;

/// How calls end: answered, with a failure by its code, or without an answer, because who asked went away.
pub const OUTCOMES: [&str; 11] = [
    "ok",
    "errno",
    "stale_session",
    "unavailable",
    "invalid",
    "unsupported",
    "denied",
    "corrupt",
    "deadline",
    "disconnected",
    "forsaken",
];
const FORSAKEN: usize = OUTCOMES.len() - 1;
/// What a call of a number that means nothing here is named.
const UNKNOWN: &str = "unknown";

/// See the module. One for each service of a process.
#[derive(Debug)]
pub struct Calls {
    /// By the numbers of the methods; 0 is for unknown ones.
    operations: Vec<Operation>,
    in_flight: AtomicU64,
    /// Connections of this machine.
    pub local: Local,
}

#[derive(Debug)]
struct Operation {
    name: &'static str,
    ended: [AtomicU64; OUTCOMES.len()],
    timings: Timings,
}

/// What is counted of connections to the Unix socket.
#[derive(Debug, Default)]
pub struct Local {
    /// That are open.
    pub open: AtomicU64,
    /// That were accepted.
    pub accepted: AtomicU64,
    /// That were closed at once, because too many were open.
    pub over_limit: AtomicU64,
    /// Of users who may not connect.
    pub strangers: AtomicU64,
}

/// The calls of one method.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The method's name.
    pub operation: &'static str,
    /// How many ended how, in the order of [`OUTCOMES`].
    pub ended: [u64; OUTCOMES.len()],
    /// How long they took.
    pub timed: Timed,
}

impl Calls {
    /// Of a service with these methods, in the order of their numbers.
    pub fn new(methods: &[&'static str]) -> Calls {
        let operation = |name: &&'static str| Operation {
            name,
            ended: Default::default(),
            timings: Timings::default(),
        };
        Calls {
            operations: [UNKNOWN].iter().chain(methods).map(operation).collect(),
            in_flight: AtomicU64::new(0),
            local: Local::default(),
        }
    }

    /// Calls that are being answered.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What was counted of each method.
    pub fn counted(&self) -> Vec<Counted> {
        let one = |operation: &Operation| Counted {
            operation: operation.name,
            ended: operation
                .ended
                .each_ref()
                .map(|count| count.load(Ordering::Relaxed)),
            timed: operation.timings.now(),
        };
        self.operations.iter().map(one).collect()
    }

    /// A call has come. It is counted when what is given is dropped.
    pub fn begin(&self, method: u8) -> Running<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let known = self.operations.get(usize::from(method));
        Running {
            calls: self,
            operation: known.or(self.operations.first()),
            start: Instant::now(),
            outcome: FORSAKEN,
        }
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub struct Running<'a> {
    calls: &'a Calls,
    operation: Option<&'a Operation>,
    start: Instant,
    outcome: usize,
}

impl Running<'_> {
    /// There is an answer.
    pub fn end<T>(mut self, answer: &Result<T, Failure>) {
        self.outcome = match answer {
            Ok(_) => 0,
            Err(failure) => usize::from(failure.code()),
        };
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.calls.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(operation) = self.operation else {
            return;
        };
        if let Some(count) = operation.ended.get(self.outcome) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        operation.timings.add(self.start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_counted_once_by_how_it_ends() {
        let calls = Calls::new(&["first", "second"]);
        calls.begin(1).end(&Ok(()));
        calls.begin(2).end::<()>(&Err(Failure::Errno(libc::EIO)));
        calls
            .begin(9)
            .end::<()>(&Err(Failure::Unsupported("no".to_owned())));
        let forsaken = calls.begin(1);
        assert_eq!(calls.in_flight(), 1);
        drop(forsaken);
        assert_eq!(calls.in_flight(), 0);
        let mut ended = Vec::new();
        for counted in calls.counted() {
            assert_eq!(counted.timed.count, counted.ended.iter().sum::<u64>());
            for (outcome, count) in OUTCOMES.iter().zip(counted.ended) {
                if count > 0 {
                    ended.push((counted.operation, *outcome, count));
                }
            }
        }
        let expected = [
            ("unknown", "unsupported", 1),
            ("first", "ok", 1),
            ("first", "forsaken", 1),
            ("second", "errno", 1),
        ];
        assert_eq!(ended, expected);
    }

    #[test]
    fn every_failure_has_an_outcome_of_its_own() {
        let last = Failure::Disconnected(String::new()).code();
        assert_eq!(OUTCOMES.get(usize::from(last)), Some(&"disconnected"));
        assert_eq!(usize::from(last) + 1, FORSAKEN);
    }
}
