//! Keeps sessions from taking rights from each other in an endless exchange.
//!
//! A right that is taken shortly after it was granted cost more than it gave. After
//! [`limits::DAMPING_HITS`] such exchanges in a row an inode goes uncached for a while: no rights are
//! granted on it, so its mutations wait for nobody.
//!
//! Content is exempt. The kernel caches what a file holds whether a right covers it or not, and to take
//! that away again behind the reader's back costs more than the exchange and disturbs the reader: while
//! the kernel drops pages it believes no answer about the size of the file.

use std::collections::BTreeMap;
use std::time::Duration;

use wolfdisk_common::ids::Ino;

use crate::limits;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Record {
    hits: u32,
    last: Duration,
    uncached_until: Duration,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Damping {
    records: BTreeMap<Ino, Record>,
}

impl Damping {
    /// A right on `ino` that had been granted at `granted` was taken for another session's mutation.
    pub fn taken(&mut self, ino: Ino, granted: Duration, now: Duration) {
        if now.saturating_sub(granted) > limits::DAMPING_SHORT {
            return;
        }
        if self.records.len() >= limits::DAMPING_RECORDS_MAX {
            self.records.retain(|_, record| {
                record.uncached_until > now
                    || now.saturating_sub(record.last) < limits::DAMPING_FORGET
            });
            if self.records.len() >= limits::DAMPING_RECORDS_MAX {
                return;
            }
        }
        let record = self.records.entry(ino).or_default();
        if now.saturating_sub(record.last) > limits::DAMPING_FORGET {
            record.hits = 0;
        }
        record.hits += 1;
        record.last = now;
        if record.hits >= limits::DAMPING_HITS {
            record.hits = 0;
            record.uncached_until = now + limits::DAMPING_PAUSE;
        }
    }

    /// Whether rights on `ino` may be granted.
    pub fn allows(&self, ino: Ino, now: Duration) -> bool {
        self.records.is_empty()
            || self
                .records
                .get(&ino)
                .is_none_or(|record| record.uncached_until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contested_inode_goes_uncached_and_comes_back() {
        let mut damping = Damping::default();
        let mut now = Duration::from_secs(100);
        for _ in 0..limits::DAMPING_HITS {
            assert!(damping.allows(Ino(9), now));
            damping.taken(Ino(9), now, now + Duration::from_millis(1));
            now += Duration::from_millis(5);
        }
        assert!(!damping.allows(Ino(9), now));
        assert!(damping.allows(Ino(8), now));
        assert!(damping.allows(Ino(9), now + limits::DAMPING_PAUSE));
    }

    #[test]
    fn a_right_that_lasted_is_no_exchange() {
        let mut damping = Damping::default();
        for round in 1..100 {
            let now = Duration::from_secs(10 * round);
            damping.taken(Ino(9), now - Duration::from_secs(9), now);
            assert!(damping.allows(Ino(9), now));
        }
    }
}
