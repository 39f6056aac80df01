//! How far the order of appends is durable, and who waits for it.
//!
//! One thread syncs ([`crate::tasks`]); it sleeps here. Somebody who waits wakes it at once, an append
//! wakes it after the sync interval.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::error::StoreError;
use super::place::Position;
use crate::limits;

/// What is known to be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Everything appended before this survives a power cut.
    pub position: Position,
    /// A sync failed: the position will not move again.
    pub failed: bool,
}

/// See the module.
pub struct Watermark {
    pending: Mutex<Pending>,
    wake: Condvar,
    durable: watch::Sender<Durable>,
}

#[derive(Default)]
struct Pending {
    /// When the oldest append that is not durable was made.
    since: Option<Instant>,
    /// Somebody waits for this position.
    wanted: Position,
    stop: bool,
}

impl Watermark {
    /// Everything before `position` is durable.
    pub fn new(position: Position) -> Watermark {
        let durable = watch::Sender::new(Durable {
            position,
            failed: false,
        });
        Watermark {
            pending: Mutex::new(Pending::default()),
            wake: Condvar::new(),
            durable,
        }
    }

    /// What is durable now.
    pub fn durable(&self) -> Durable {
        *self.durable.borrow()
    }

    /// Notes an append.
    pub fn appended(&self) {
        let mut pending = self.pending.lock();
        if pending.since.is_none() {
            pending.since = Some(Instant::now());
            self.wake.notify_one();
        }
    }

    /// Asks that everything before `position` be synced now.
    pub fn want(&self, position: Position) {
        let mut pending = self.pending.lock();
        if position > pending.wanted {
            pending.wanted = position;
            self.wake.notify_one();
        }
    }

    /// Waits until everything before `position` is durable.
    ///
    /// # Errors
    /// `Failed` if it never will be.
    pub async fn wait(&self, position: Position) -> Result<Durable, StoreError> {
        let mut durable = self.durable.subscribe();
        let reached = |durable: &Durable| durable.failed || durable.position >= position;
        let now = *durable.borrow();
        let now = match reached(&now) {
            true => now,
            false => {
                self.want(position);
                *durable
                    .wait_for(reached)
                    .await
                    .map_err(|_| StoreError::Failed)?
            }
        };
        if now.position >= position {
            Ok(now)
        } else {
            Err(StoreError::Failed)
        }
    }

    /// Sleeps until a sync is due or the store has failed. False when the store is closing.
    pub fn wait_for_work(&self) -> bool {
        let mut pending = self.pending.lock();
        loop {
            let now = Instant::now();
            if self.durable().failed {
                return true;
            }
            let due = pending.since.map(|since| since + limits::SYNC_INTERVAL);
            if pending.wanted > self.durable().position || due.is_some_and(|due| due <= now) {
                pending.since = None;
                return true;
            }
            if pending.stop {
                return false;
            }
            match due {
                Some(due) => {
                    self.wake.wait_until(&mut pending, due);
                }
                None => self.wake.wait(&mut pending),
            }
        }
    }

    /// Sleeps until something is appended, but not for long.
    pub fn wait_for_append(&self) {
        let mut pending = self.pending.lock();
        if pending.since.is_none() {
            self.wake.wait_for(&mut pending, limits::SYNC_RETRY);
        }
    }

    /// Ends [`Watermark::wait_for_work`] once nothing is due.
    pub fn stop(&self) {
        self.pending.lock().stop = true;
        self.wake.notify_one();
    }

    /// Everything before `position` is durable.
    pub fn reached(&self, position: Position) {
        self.durable.send_if_modified(|durable| {
            let moves = position > durable.position && !durable.failed;
            if moves {
                durable.position = position;
            }
            moves
        });
    }

    /// Nothing more will be durable.
    pub fn fail(&self) {
        self.durable.send_modify(|durable| durable.failed = true);
        // Under the lock, so that the sync thread is either asleep or about to look: it ends the daemon.
        let _pending = self.pending.lock();
        self.wake.notify_one();
    }
}
