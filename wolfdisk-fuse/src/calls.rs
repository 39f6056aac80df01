//! Counts the kernel's requests, how they ended and the time until they were answered, by operation: one clock read at
//! each end and three additions.
//!
//! A lock that has to wait is counted until its thread was free again, not until it was granted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wolfdisk_common::timings::{Timed, Timings};

use crate::outcome::{OUTCOMES, Outcome};

macro_rules! calls {
    ($($name:ident => $text:literal,)*) => {
        /// An operation that the kernel asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "they are called as in the FUSE protocol")]
        pub enum Call { $($name,)* }

        const NAMES: &[&str] = &[$($text,)*];
    };
}

calls! {
    Lookup => "lookup",
    Getattr => "getattr",
    Setattr => "setattr",
    Readlink => "readlink",
    Mknod => "mknod",
    Mkdir => "mkdir",
    Unlink => "unlink",
    Rmdir => "rmdir",
    Symlink => "symlink",
    Rename => "rename",
    Link => "link",
    Open => "open",
    Create => "create",
    Read => "read",
    Write => "write",
    Flush => "flush",
    Release => "release",
    Fsync => "fsync",
    Fallocate => "fallocate",
    Lseek => "lseek",
    CopyFileRange => "copy_file_range",
    Opendir => "opendir",
    Releasedir => "releasedir",
    Readdir => "readdir",
    Readdirplus => "readdirplus",
    Fsyncdir => "fsyncdir",
    Statfs => "statfs",
    Setxattr => "setxattr",
    Getxattr => "getxattr",
    Listxattr => "listxattr",
    Removexattr => "removexattr",
    Getlk => "getlk",
    Setlk => "setlk",
}

/// What was counted of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Its name.
    pub name: &'static str,
    /// How many ended how, in the order of [`OUTCOMES`].
    pub ended: [u64; OUTCOMES.len()],
    /// How many requests there were, and how long they took.
    pub timed: Timed,
}

impl Counted {
    /// As lines of the counters: the number, the time, and how many took at most so long and longer than the half of it.
    pub fn lines(&self) -> Vec<(String, u64)> {
        let Counted { name, timed, .. } = self;
        let nanoseconds = u64::try_from(timed.total.as_nanos()).unwrap_or(u64::MAX);
        let mut lines = vec![
            (format!("call_{name}"), timed.count),
            (format!("call_{name}_ns"), nanoseconds),
        ];
        let filled = timed.buckets.iter().filter(|(_, count)| *count != 0);
        lines.extend(filled.map(|(seconds, count)| {
            let bucket = match *seconds < f64::MAX {
                true => format!("call_{name}_le_{:.0}us", seconds * 1e6),
                false => format!("call_{name}_le_inf"),
            };
            (bucket, *count)
        }));
        lines
    }
}

/// See the module.
#[derive(Debug)]
pub struct Calls {
    each: Vec<Operation>,
}

#[derive(Debug, Default)]
struct Operation {
    ended: [AtomicU64; OUTCOMES.len()],
    timings: Timings,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            each: NAMES.iter().map(|_| Operation::default()).collect(),
        }
    }
}

impl Calls {
    /// A request was answered.
    pub(crate) fn add(&self, call: Call, outcome: Outcome, took: Duration) {
        let Some(operation) = self.each.get(call as usize) else {
            return;
        };
        if let Some(count) = operation.ended.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        operation.timings.add(took);
    }

    /// All operations that happened.
    pub fn snapshot(&self) -> Vec<Counted> {
        let all = NAMES
            .iter()
            .zip(&self.each)
            .map(|(name, operation)| Counted {
                name,
                ended: operation
                    .ended
                    .each_ref()
                    .map(|count| count.load(Ordering::Relaxed)),
                timed: operation.timings.now(),
            });
        all.filter(|counted| counted.timed.count != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told() {
        let calls = Calls::default();
        assert_eq!(calls.snapshot(), []);
        calls.add(Call::Create, Outcome::Ok, Duration::from_micros(3));
        calls.add(Call::Create, Outcome::Full, Duration::from_nanos(900));
        calls.add(Call::Setlk, Outcome::Later, Duration::from_secs(3600));
        let lines: Vec<_> = calls.snapshot().iter().flat_map(Counted::lines).collect();
        let expected = [
            ("call_create", 2),
            ("call_create_ns", 3900),
            ("call_create_le_1us", 1),
            ("call_create_le_4us", 1),
            ("call_setlk", 1),
            ("call_setlk_ns", 3_600_000_000_000),
            ("call_setlk_le_inf", 1),
        ];
        let told = calls.snapshot();
        let ended: Vec<_> = told.iter().map(|counted| counted.ended).collect();
        assert_eq!(ended, [[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]);
        assert_eq!(
            lines,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
    }
}
