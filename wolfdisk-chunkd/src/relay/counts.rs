//! What the relay counts, for status and numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Counts {
    /// Chunks that the leader stored for this node.
    pub(super) puts: Count,
    /// Of these.
    pub(super) put_bytes: Count,
    /// Puts that the leader did not take.
    pub(super) puts_failed: Count,
    /// Flushes that the leader answered.
    pub(super) flushes: Count,
    /// Flushes that told to put again, since another store has what was put.
    pub(super) puts_void: Count,
    /// Ranges that were read of others.
    pub(super) fetches: Count,
    /// Of these.
    pub(super) fetched_bytes: Count,
    /// Ranges that were kept from before.
    pub(super) hits: Count,
    /// Ranges that nobody gave.
    pub(super) fetches_failed: Count,
    /// Answers that were not what the chunk holds, or said that it is damaged there.
    pub(super) damaged: Count,
    /// Questions that a node did not answer.
    pub(super) unanswered: Count,
}

impl Counts {
    /// All of them by name.
    pub fn all(&self) -> [(&'static str, u64); 11] {
        [
            ("relay_puts", self.puts.get()),
            ("relay_put_bytes", self.put_bytes.get()),
            ("relay_puts_failed", self.puts_failed.get()),
            ("relay_flushes", self.flushes.get()),
            ("relay_puts_void", self.puts_void.get()),
            ("relay_fetches", self.fetches.get()),
            ("relay_fetched_bytes", self.fetched_bytes.get()),
            ("relay_cache_hits", self.hits.get()),
            ("relay_fetches_failed", self.fetches_failed.get()),
            ("relay_damaged", self.damaged.get()),
            ("relay_unanswered", self.unanswered.get()),
        ]
    }
}
