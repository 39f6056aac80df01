//! Checkpoints: the overlay is frozen, written into the table, dropped; then the log is cut.

use std::time::{Duration, Instant};

use wolfdisk_common::ids::LogIndex;

use super::stop::Stop;
use crate::index::table::Table;
use crate::limits;
use crate::service::{Service, ServiceError};

/// How often the thread looks whether a checkpoint is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether the log has been synced.
const LOOK_DURABLE: Duration = Duration::from_millis(2);

/// The thread's life.
pub fn run(service: &Service, stop: &Stop) {
    let mut last = Instant::now();
    let mut log_bytes_then = service.core().log.log_bytes();
    let budget = *service.space().budget();
    while !stop.wait(LOOK) {
        if let Err(error) = cut(service) {
            return service.fail(error);
        }
        let tight = service.space().is_tight();
        let due = {
            let core = service.core();
            let records = core.index.records();
            let dirty = records.applied() != records.table().applied();
            // Cutting makes it shorter in between.
            log_bytes_then = log_bytes_then.min(core.log.log_bytes());
            let grown = core.log.log_bytes() - log_bytes_then;
            records.overlay_bytes() >= budget.overlay_bytes
                || grown >= budget.log_bytes
                || (tight
                    && grown >= budget.segment_bytes
                    && last.elapsed() >= limits::SWEEP_INTERVAL_FULL)
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

/// Writes one checkpoint and cuts the log. With `stop`, gives up before the table is touched when it
/// is time to end.
///
/// # Errors
/// The table or the log failed.
pub fn once(service: &Service, stop: Option<&Stop>) -> Result<(), ServiceError> {
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
    cut(service)?;
    tracing::debug!(
        version = applied.version.0,
        took_ms = began.elapsed().as_millis(),
        "checkpoint"
    );
    Ok(())
}

/// Gives back the log that neither the checkpoint nor data that rides in it needs: also between two
/// checkpoints, when destaging has moved what was in the way.
fn cut(service: &Service) -> Result<(), ServiceError> {
    let mut core = service.core();
    let next = LogIndex(core.index.records().table().applied().index.0 + 1);
    let needed = core.index.first_needed_log_index()?;
    core.log
        .truncate_before(needed.map_or(next, |needed| needed.min(next)))?;
    Ok(())
}
