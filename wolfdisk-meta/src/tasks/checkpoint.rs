//! Checkpoints: the overlay is frozen, written into the table, dropped; then the log is cut. A file of which
//! most is dead is copied to a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wolfdisk_common::ids::LogIndex;

use super::stop::Stop;
use crate::index::checkpoint::{RedbTable, Snapshot};
use crate::index::table::Table;
use crate::limits;
use crate::service::{Service, ServiceError};
use crate::storage::Generations;

/// How often the thread looks whether a checkpoint is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether the log has been synced.
const LOOK_DURABLE: Duration = Duration::from_millis(2);

/// How often who waits for one looks whether it has been written.
const LOOK_WRITTEN: Duration = Duration::from_millis(20);

/// Why there is no state to be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk is too slow, or nobody writes checkpoints any more.
    #[error("no checkpoint could be written in time")]
    Late,
    /// It is time to end.
    #[error("the daemon is ending")]
    Ending,
}

/// The state of now or a later one, which stays as it is. Waits for the checkpoint that holds it.
///
/// # Errors
/// See [`SnapshotError`].
pub fn snapshot(service: &Service, stop: &Stop) -> Result<Snapshot, SnapshotError> {
    let wanted = service.core().index.records().applied();
    let began = Instant::now();
    loop {
        let table = service.core().index.records().table().clone();
        if table.applied().index >= wanted.index {
            return Ok(table.snapshot());
        }
        service.want_checkpoint();
        if stop.wait(LOOK_WRITTEN) {
            return Err(SnapshotError::Ending);
        }
        if began.elapsed() > limits::CHECK_CHECKPOINT_MAX {
            return Err(SnapshotError::Late);
        }
    }
}

/// The thread's life. Without `upkeep` the file is left as it is, however much of it is dead.
pub fn run(service: &Service, stop: &Stop, upkeep: bool) {
    let mut last = Instant::now();
    let mut copied = Instant::now();
    let mut log_bytes_then = service.core().log.log_bytes();
    let budget = *service.space().budget();
    while !stop.wait(LOOK) {
        if let Err(error) = cut(service) {
            return service.fail(error);
        }
        if upkeep && let Err(error) = give_back(service, &mut copied) {
            return service.fail(error);
        }
        service.look_if_full();
        let (tight, heavy) = (service.space().is_tight(), service.space().is_index_heavy());
        let wanted = service.take_wanted_checkpoint();
        let due = {
            let core = service.core();
            let records = core.index.records();
            let dirty = records.applied() != records.table().applied();
            // Cutting makes it shorter in between.
            log_bytes_then = log_bytes_then.min(core.log.log_bytes());
            let grown = core.log.log_bytes() - log_bytes_then;
            records.overlay_bytes() >= budget.overlay_bytes
                || (wanted && dirty)
                || grown >= budget.log_bytes
                || (tight
                    && grown >= budget.segment_bytes
                    && last.elapsed() >= limits::SWEEP_INTERVAL_FULL)
                || (heavy && dirty && last.elapsed() >= limits::SWEEP_INTERVAL_FULL)
                || (dirty && last.elapsed() >= limits::CHECKPOINT_INTERVAL)
        };
        if !due {
            continue;
        }
        if let Err(error) = once(service, Some(stop)) {
            return service.fail(error);
        }
        last = Instant::now();
        log_bytes_then = service.core().log.log_bytes();
    }
}

/// Gives back what is dead in the file, if it is much, and the last time is not too short a while ago.
///
/// # Errors
/// See [`copy`].
fn give_back(service: &Service, last: &mut Instant) -> Result<(), ServiceError> {
    if last.elapsed() < limits::CHECKPOINT_COPY_INTERVAL {
        return Ok(());
    }
    let given = copy_if_worth(service);
    *last = Instant::now();
    given.map(drop)
}

/// The disk is, or the index takes more of it than it should.
fn is_short(service: &Service) -> bool {
    service.space().is_tight() || service.space().is_index_heavy()
}

/// Copies the checkpoint's file if it takes much more than what lives in it, and there is room for that.
/// Says whether it did.
///
/// # Errors
/// See [`copy`].
pub fn copy_if_worth(service: &Service) -> Result<bool, ServiceError> {
    let mut files = service.generations();
    let worth = service.space().budget().repack_bytes;
    let (percent, least) = match is_short(service) {
        true => (limits::CHECKPOINT_COPY_PERCENT_SHORT, 0),
        false => (limits::CHECKPOINT_COPY_PERCENT, worth),
    };
    let (table, frozen) = {
        let core = service.core();
        let records = core.index.records();
        (records.table().clone(), records.is_frozen())
    };
    let (size, live) = (table.size_bytes(), table.live_bytes());
    if frozen
        || size.saturating_mul(100) < live.saturating_mul(percent)
        || size < live.saturating_add(least)
        || service.space().index_room() < live
    {
        return Ok(false);
    }
    copy(service, &mut files, table)?;
    Ok(true)
}

/// Copies the checkpoint to a new file, which takes the old one's place.
///
/// # Errors
/// The manifest could not be replaced, or the old file not removed.
fn copy(
    service: &Service,
    files: &mut Generations,
    table: Arc<RedbTable>,
) -> Result<(), ServiceError> {
    let began = Instant::now();
    let copy = match files.copy(&table) {
        Ok(copy) => copy,
        Err(error) => {
            // The old file is as good as before.
            tracing::warn!(%error, "the checkpoint's file could not be copied");
            return Ok(());
        }
    };
    let (before, after) = (table.size_bytes(), copy.size_bytes());
    files.switch()?;
    let old = service
        .core()
        .index
        .records_mut()
        .replace_table(Arc::new(copy));
    // Closing it takes a moment, which is not the core's.
    drop(old);
    drop(table);
    files.remove_old()?;
    tracing::info!(
        before,
        after,
        took_ms = began.elapsed().as_millis(),
        "the checkpoint has a new file"
    );
    Ok(())
}

/// Writes one checkpoint and cuts the log. With `stop`, gives up before the table is touched when it
/// is time to end.
///
/// # Errors
/// The table or the log failed.
pub fn once(service: &Service, stop: Option<&Stop>) -> Result<(), ServiceError> {
    // One at a time, and none while the file is copied.
    let _files = service.generations();
    let began = Instant::now();
    let job = {
        let mut core = service.core();
        let Some(job) = core.index.records_mut().freeze() else {
            return Ok(());
        };
        core.log.want_durable(job.applied().index);
        job
    };
    let durable = service.core().log.durable();
    let applied = job.applied();
    while *durable.borrow() < applied.index {
        if durable.has_changed().is_err() {
            return Err(ServiceError::SyncFailed);
        }
        match stop {
            Some(stop) if stop.wait(LOOK_DURABLE) => return Ok(()),
            Some(_) => {}
            None => std::thread::sleep(LOOK_DURABLE),
        }
    }
    job.run()?;
    service.core().index.records_mut().thaw();
    service.checkpointed(began.elapsed());
    cut(service)?;
    tracing::debug!(
        version = applied.version.0,
        took_ms = began.elapsed().as_millis(),
        "checkpoint"
    );
    Ok(())
}

/// Gives back the log that neither the checkpoint nor data that rides in it nor an export needs: also between two
/// checkpoints, when destaging has moved what was in the way.
fn cut(service: &Service) -> Result<(), ServiceError> {
    let mut core = service.core();
    let next = LogIndex(core.index.records().table().applied().index.0 + 1);
    let needed = core.index.first_needed_log_index()?;
    let held = service.exports().held();
    let first = needed.into_iter().chain(held).fold(next, LogIndex::min);
    core.log.truncate_before(first)?;
    Ok(())
}
