//! Making appends durable: one sync in flight, shared by all who wait.

use std::time::Instant;

use super::error::StoreError;
use super::place::Position;
use super::{Durable, Store};

/// What a flush reached.
pub type Flushed = Durable;

impl Store {
    /// Syncs everything that is finished now. Gives whether the durable position moved.
    ///
    /// # Errors
    /// After an error what is durable is unknown, and the daemon must end.
    pub fn sync(&self) -> Result<bool, StoreError> {
        let _one = self.syncing.lock();
        if self.watermark.durable().failed {
            return Err(StoreError::Failed);
        }
        let unsynced = self.tail.lock().unsynced();
        if unsynced.settled <= self.watermark.durable().position {
            return Ok(false);
        }
        let began = Instant::now();
        let files = unsynced.segments.iter().try_for_each(|segment| {
            segment
                .file
                .sync_data()
                .map_err(StoreError::sync(&segment.path))
        });
        let names = files.and_then(|()| match unsynced.names {
            true => self.sync_names(),
            false => Ok(()),
        });
        names.inspect_err(|_| self.watermark.fail())?;
        self.sync_timings.add(began.elapsed());
        self.tail.lock().synced(&unsynced);
        self.watermark.reached(unsynced.settled);
        self.counters.syncs.add(1);
        Ok(true)
    }

    /// Syncs until everything before `position` is durable.
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub fn sync_to(&self, position: Position) -> Result<Durable, StoreError> {
        loop {
            let durable = self.watermark.durable();
            match () {
                () if durable.position >= position => return Ok(durable),
                () if durable.failed => return Err(StoreError::Failed),
                // A record before it is being written by another thread.
                () if !self.sync()? => std::thread::yield_now(),
                () => {}
            }
        }
    }

    /// Who waits for durability, and the thread that provides it.
    pub fn watermark(&self) -> &super::Watermark {
        &self.watermark
    }

    /// Where the stream of appends ends.
    pub fn end(&self) -> Position {
        self.tail.lock().end()
    }

    pub(super) fn sync_names(&self) -> Result<(), StoreError> {
        let dir = &self.options.dir;
        self.options
            .disk
            .sync_dir(dir)
            .map_err(StoreError::sync(dir))
    }
}
