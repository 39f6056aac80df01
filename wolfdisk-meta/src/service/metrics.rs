//! What wolfdisk-meta tells on its admin address: `docs/metrics.md` says what each number is.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use wolfdisk_admin::{Page, Tell, tell_calls, tell_guests};
use wolfdisk_common::member::MemberKind;

use super::core::{Core, Counts};
use super::rpc::Service;
use crate::index::table::{Table, TableError};
use crate::limits;

/// See the module.
pub struct Metrics(pub Arc<Service>);

/// What is read of the core at once, so that it is held for a moment and never while text is made.
struct Seen {
    counts: Counts,
    operations: Vec<(&'static str, u64)>,
    queued: u64,
    sessions: u64,
    rights: u64,
    lock_waiters: u64,
    members: Vec<(&'static str, u64)>,
    version: u64,
    durable_version: u64,
    checkpoint_version: u64,
    checkpoint_file_bytes: u64,
    overlay_bytes: u64,
    inodes: u64,
    bytes: u64,
    chunks: u64,
    garbage_chunks: u64,
    undestaged_bytes: u64,
    log_bytes: u64,
}

impl Seen {
    fn of(core: &mut Core) -> Result<Seen, TableError> {
        let usage = core.index.usage(0)?;
        let members = core.index.members()?;
        let of_kind = |kind: MemberKind| {
            let there = members.iter();
            let there = there.filter(|(_, member)| member.kind == kind && !member.removed);
            (kind.as_str(), there.count() as u64)
        };
        let sessions: Vec<_> = core.feeds.keys().copied().collect();
        let rights = sessions.iter();
        let rights = rights.map(|session| core.coherence.rights_held(*session) as u64);
        let rights = rights.sum();
        let durable_version = core.durable_version().0;
        let records = core.index.records();
        Ok(Seen {
            counts: core.counters,
            operations: core
                .operations
                .iter()
                .map(|(name, count)| (*name, *count))
                .collect(),
            queued: core.queue.len() as u64,
            sessions: sessions.len() as u64,
            rights,
            lock_waiters: core.lock_parked.len() as u64,
            members: MemberKind::ALL.into_iter().map(of_kind).collect(),
            version: core.index.version().0,
            durable_version,
            checkpoint_version: records.table().applied().version.0,
            checkpoint_file_bytes: records.table().size_bytes(),
            overlay_bytes: records.overlay_bytes() + records.frozen_bytes(),
            inodes: usage.inodes,
            bytes: usage.bytes,
            chunks: core.index.counters().chunks,
            garbage_chunks: core.index.counters().garbage,
            undestaged_bytes: core.index.undestaged_bytes(),
            log_bytes: core.log.log_bytes(),
        })
    }
}

impl Tell for Metrics {
    const PREFIX: &'static str = "wolfdisk_meta";

    fn tell(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let service = &self.0;
        let seen = Seen::of(&mut service.core());
        let seen = seen.map_err(|error| {
            service.fail(error.into());
            Error
        })?;
        tell_calls(page, service.calls())?;
        tell_guests(page, service.trust().guests(), seen.counts.denied)?;
        mutations(page, &seen)?;
        sessions(page, &seen)?;
        index(page, &seen)?;
        self.log(page, &seen)?;
        self.checkpoints(page, &seen)?;
        self.destaging(page, &seen)?;
        self.node(page)
    }
}

fn mutations(page: &mut Page<'_>, seen: &Seen) -> Result<(), Error> {
    let operations = seen.operations.iter();
    let operations = operations.map(|(name, count)| ([("operation", *name)], *count));
    page.counters("mutations", "Mutations that were applied", operations)?;
    page.counter(
        "repeated_mutations",
        "Of these, such as had been applied before",
        seen.counts.repeated,
    )?;
    page.counter(
        "batches",
        "Writes of the log; mutations for each are how well they are grouped",
        seen.counts.batches,
    )?;
    page.gauge("queued_mutations", "Mutations that wait", seen.queued)?;
    let limit = limits::MUTATIONS_QUEUED_MAX as u64;
    page.gauge("queued_mutations_limit", "How many may", limit)
}

fn sessions(page: &mut Page<'_>, seen: &Seen) -> Result<(), Error> {
    page.gauge("sessions", "Sessions of front-ends", seen.sessions)?;
    let limit = limits::SESSIONS_MAX as u64;
    page.gauge("sessions_limit", "How many there may be", limit)?;
    page.counter(
        "expired_sessions",
        "Sessions that were ended because nothing was heard of them",
        seen.counts.expired_sessions,
    )?;
    page.gauge("rights", "Cache rights that sessions hold", seen.rights)?;
    page.counter(
        "barriers",
        "Changes that waited until other sessions had dropped what they cached",
        seen.counts.barriers,
    )?;
    page.gauge(
        "lock_waiters",
        "Requests that wait for a lock",
        seen.lock_waiters,
    )?;
    page.counter(
        "lock_waits",
        "Requests that had to wait for a lock",
        seen.counts.lock_waits,
    )?;
    let members = seen.members.iter();
    let members = members.map(|(kind, count)| ([("kind", *kind)], *count));
    page.gauges("members", "Machines of the cluster, by kind", members)
}

fn index(page: &mut Page<'_>, seen: &Seen) -> Result<(), Error> {
    page.gauge("version", "Of the index", seen.version)?;
    page.gauge(
        "durable_version",
        "Of the index, as it would survive a power cut",
        seen.durable_version,
    )?;
    page.gauge("inodes", "Files, directories and others", seen.inodes)?;
    page.gauge("content_bytes", "Content of all files", seen.bytes)?;
    page.gauge("chunks", "Chunks that the index knows", seen.chunks)?;
    page.gauge(
        "garbage_chunks",
        "Of these, such as no file needs",
        seen.garbage_chunks,
    )
}

impl Metrics {
    fn log(&self, page: &mut Page<'_>, seen: &Seen) -> Result<(), Error> {
        let counts = self.0.core().log.counts();
        page.gauge(
            "log_bytes",
            "Of the log, as are still needed",
            seen.log_bytes,
        )?;
        page.counter(
            "log_entries",
            "Entries written to the log",
            counts.entries.load(Ordering::Relaxed),
        )?;
        page.counter(
            "log_written_bytes",
            "Written to the log",
            counts.bytes.load(Ordering::Relaxed),
        )?;
        page.histogram(
            "log_sync_duration_seconds",
            "Syncs of the log; entries for each are how well waiters share them",
            &counts.syncs.now(),
        )
    }

    fn checkpoints(&self, page: &mut Page<'_>, seen: &Seen) -> Result<(), Error> {
        let work = &self.0.done;
        let now = self.0.clock.monotonic();
        let age = now.saturating_sub(*work.last_checkpoint.lock());
        page.gauge(
            "checkpoint_version",
            "Of the index in the last checkpoint",
            seen.checkpoint_version,
        )?;
        page.gauge_seconds(
            "checkpoint_age_seconds",
            "Since the last checkpoint, or since the start",
            age.as_secs_f64(),
        )?;
        page.histogram(
            "checkpoint_duration_seconds",
            "Checkpoints",
            &work.checkpoints.now(),
        )?;
        page.gauge(
            "checkpoint_file_bytes",
            "Size of the checkpoint",
            seen.checkpoint_file_bytes,
        )?;
        page.gauge(
            "overlay_bytes",
            "Of the index in memory that no checkpoint holds",
            seen.overlay_bytes,
        )
    }

    fn destaging(&self, page: &mut Page<'_>, seen: &Seen) -> Result<(), Error> {
        let work = &self.0.done;
        page.gauge(
            "undestaged_bytes",
            "Content that is in the log alone",
            seen.undestaged_bytes,
        )?;
        page.gauge(
            "undestaged_limit_bytes",
            "Above this writers wait",
            self.0.space.budget().undestaged_bytes,
        )?;
        page.counter(
            "destaged_bytes",
            "Content moved from the log to the chunk store",
            work.destaged_bytes(),
        )?;
        page.histogram(
            "destage_duration_seconds",
            "Passes that moved content to the chunk store",
            &work.destages.now(),
        )?;
        page.counter(
            "destage_failures",
            "Passes that failed and are tried again",
            work.destage_failures(),
        )?;
        page.counter(
            "repacked_bytes",
            "Content of sparse chunks that was packed anew",
            seen.counts.repacked_bytes,
        )
    }

    fn node(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let chunkd = self.0.space.chunkd();
        let disk = self.0.space.disk();
        page.gauge("disk_size_bytes", "Of the index's disk", disk.total_bytes)?;
        page.gauge(
            "disk_available_bytes",
            "Of the index's disk",
            disk.available_bytes,
        )?;
        page.gauge(
            "disk_full",
            "1: only what frees room is accepted",
            u64::from(self.0.space.is_full()),
        )?;
        page.gauge(
            "chunk_store_up",
            "1: wolfdisk-chunkd answers",
            u64::from(chunkd.is_some()),
        )?;
        page.gauge(
            "problems",
            "What wolfdiskctl status lists as wrong",
            self.0.reasons(true, chunkd.as_ref()).len() as u64,
        )?;
        page.gauge_seconds(
            "uptime_seconds",
            "Since the start",
            self.0.uptime().as_secs_f64(),
        )
    }
}

/// Whether the daemon does its work: the reactor, which `reactor` is of, turns, and the chunk store is there.
///
/// # Errors
/// What is wrong.
pub async fn ready(service: Arc<Service>, reactor: Handle) -> Result<(), String> {
    let turned = reactor.spawn(async {}).await;
    turned.map_err(|_| "wolfdisk-meta is stopping".to_owned())?;
    if let Some(error) = service.failure() {
        return Err(error.to_string());
    }
    match service.space().chunkd() {
        Some(_) => Ok(()),
        None => Err("wolfdisk-chunkd does not answer".to_owned()),
    }
}
