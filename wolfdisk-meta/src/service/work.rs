//! What the threads beside the reactor have done since the start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use wolfdisk_common::timings::Timings;

/// See the module.
#[derive(Debug, Default)]
pub struct Work {
    pub(super) checkpoints: Timings,
    /// By the clock of the service.
    pub(super) last_checkpoint: Mutex<Duration>,
    pub(super) destages: Timings,
    destaged_bytes: AtomicU64,
    destage_failures: AtomicU64,
}

impl Work {
    /// Nothing yet, and no checkpoint since `started`.
    pub(super) fn new(started: Duration) -> Work {
        Work {
            last_checkpoint: Mutex::new(started),
            ..Work::default()
        }
    }

    /// A checkpoint is written now.
    pub(super) fn checkpointed(&self, now: Duration, took: Duration) {
        *self.last_checkpoint.lock() = now;
        self.checkpoints.add(took);
    }

    /// So many bytes are in the chunk store and no longer only in the log.
    pub fn destaged(&self, bytes: u64, took: Duration) {
        self.destaged_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.destages.add(took);
    }

    /// A pass failed; there will be another.
    pub fn destage_failed(&self) {
        self.destage_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn destaged_bytes(&self) -> u64 {
        self.destaged_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn destage_failures(&self) -> u64 {
        self.destage_failures.load(Ordering::Relaxed)
    }
}
