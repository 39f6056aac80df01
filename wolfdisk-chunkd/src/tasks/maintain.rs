//! The maintenance thread: compaction at a pace that leaves the disk to others, and checkpoints.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::OnFatal;
use crate::limits;
use crate::store::{Store, StoreError};

/// Tells the thread to end.
#[derive(Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    /// Ends the thread.
    pub fn set(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_all();
    }

    /// Waits, at most for `pause`. True if it is time to end.
    pub(super) fn wait(&self, pause: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.wake.wait_for(&mut stopped, pause);
        }
        *stopped
    }
}

/// Runs until it is stopped or a sync fails.
pub(super) fn run(store: &Store, stop: &Stop, fatal: &OnFatal) {
    while !stop.wait(limits::MAINTENANCE_INTERVAL) {
        if let Err(error) = round(store, stop) {
            if error.is_fatal() {
                return fatal(&error);
            }
            tracing::warn!(%error, "maintenance of the chunk store failed, it will be tried again");
        }
    }
}

fn round(store: &Store, stop: &Stop) -> Result<(), StoreError> {
    store.checkpoint_if_due()?;
    let start = Instant::now();
    let copied = std::cell::Cell::new(0u64);
    let pace = |bytes: u64| {
        copied.set(copied.get() + bytes);
        let due =
            Duration::from_secs_f64(copied.get() as f64 / limits::COMPACT_BYTES_PER_SECOND as f64);
        // Looked at anew each time: who waits for room waits for this compaction first.
        let tight = || store.room().is_ok_and(|room| room.is_tight());
        if let Some(early) = due.checked_sub(start.elapsed()).filter(|_| !tight()) {
            stop.wait(early);
        }
    };
    while let Some(done) = store.compact(&pace)? {
        tracing::info!(
            segment = done.segment.0,
            copied_bytes = done.copied_bytes,
            "compacted"
        );
        if stop.wait(Duration::ZERO) {
            break;
        }
    }
    Ok(())
}
