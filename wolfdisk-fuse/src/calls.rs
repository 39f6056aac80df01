//! Counts the kernel's requests and the time until they were answered, by operation: one clock read at each end and
//! two additions.
//!
//! A lock that has to wait is counted until its thread was free again, not until it was granted.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::CALL_TIME_BUCKETS;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub name: &'static str,
    /// The time of all its requests.
    pub nanoseconds: u64,
    /// How many took less than 1 µs, 2 µs, 4 µs and so on, but no less than the one before says; the last: longer.
    pub buckets: [u64; CALL_TIME_BUCKETS],
}

impl Counted {
    /// How many requests there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// As lines of the counters: the number, the time, and each bucket that is not empty.
    pub fn lines(&self) -> Vec<(String, u64)> {
        let name = self.name;
        let mut lines = vec![
            (format!("call_{name}"), self.count()),
            (format!("call_{name}_ns"), self.nanoseconds),
        ];
        for (index, count) in self.buckets.iter().enumerate() {
            let bucket = match index + 1 < CALL_TIME_BUCKETS {
                true => format!("call_{name}_lt_{}us", 1_u64 << index),
                false => format!("call_{name}_lt_inf"),
            };
            lines.extend((*count != 0).then_some((bucket, *count)));
        }
        lines
    }
}

/// See the module.
#[derive(Debug)]
pub struct Calls {
    each: Vec<Times>,
}

#[derive(Debug)]
struct Times {
    nanoseconds: AtomicU64,
    buckets: [AtomicU64; CALL_TIME_BUCKETS],
}

impl Default for Calls {
    fn default() -> Calls {
        let none = |_| Times {
            nanoseconds: AtomicU64::new(0),
            buckets: array::from_fn(|_| AtomicU64::new(0)),
        };
        Calls {
            each: NAMES.iter().map(none).collect(),
        }
    }
}

impl Calls {
    /// A request was answered.
    pub(crate) fn add(&self, call: Call, took: Duration) {
        let Some(times) = self.each.get(call as usize) else {
            return;
        };
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        times.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        if let Some(bucket) = times.buckets.get(bucket(nanoseconds / 1000)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All operations that happened.
    pub fn snapshot(&self) -> Vec<Counted> {
        let counted = |(name, times): (&&'static str, &Times)| Counted {
            name,
            nanoseconds: times.nanoseconds.load(Ordering::Relaxed),
            buckets: array::from_fn(|index| {
                let bucket = times.buckets.get(index);
                bucket.map_or(0, |bucket| bucket.load(Ordering::Relaxed))
            }),
        };
        let all = NAMES.iter().zip(&self.each).map(counted);
        all.filter(|counted| counted.count() != 0).collect()
    }
}

/// Which bucket so many microseconds belong to.
fn bucket(microseconds: u64) -> usize {
    let bits = (u64::BITS - microseconds.leading_zeros()) as usize;
    bits.min(CALL_TIME_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sorted_by_powers_of_two() {
        let last = CALL_TIME_BUCKETS - 1;
        let expected = [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (1023, 10),
            (1024, 11),
        ];
        for (microseconds, index) in expected {
            assert_eq!(bucket(microseconds), index, "{microseconds}");
        }
        assert_eq!(bucket((1 << (last - 1)) - 1), last - 1);
        assert_eq!(bucket(1 << (last - 1)), last);
        assert_eq!(bucket(u64::MAX), last);
    }

    #[test]
    fn what_happened_is_told() {
        let calls = Calls::default();
        assert_eq!(calls.snapshot(), []);
        calls.add(Call::Create, Duration::from_micros(3));
        calls.add(Call::Create, Duration::from_nanos(900));
        calls.add(Call::Setlk, Duration::from_secs(3600));
        let lines: Vec<_> = calls.snapshot().iter().flat_map(Counted::lines).collect();
        let expected = [
            ("call_create", 2),
            ("call_create_ns", 3900),
            ("call_create_lt_1us", 1),
            ("call_create_lt_4us", 1),
            ("call_setlk", 1),
            ("call_setlk_ns", 3_600_000_000_000),
            ("call_setlk_lt_inf", 1),
        ];
        assert_eq!(
            lines,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
    }
}
