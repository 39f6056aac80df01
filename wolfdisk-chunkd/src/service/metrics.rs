//! What wolfdisk-chunkd tells on its admin address: `docs/metrics.md` says what each number is.

use std::fmt::Error;
use std::sync::Arc;

use tokio::runtime::Handle;
use wolfdisk_admin::{Page, Tell, tell_calls, tell_guests};
use wolfdisk_proto::noise::Guests;

use super::ChunkServer;
use crate::limits;
use crate::store::Summary;

/// See the module.
pub struct Metrics(pub Arc<ChunkServer>);

impl Tell for Metrics {
    const PREFIX: &'static str = "wolfdisk_chunk";

    fn tell(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let server = &self.0;
        let (guests, denied) = match &server.network {
            Some(network) => (network.guests(), network.denied()),
            None => (Arc::<Guests>::default(), 0),
        };
        tell_calls(page, &server.calls)?;
        tell_guests(page, &guests, denied)?;
        let summary = server.store.summary();
        self.saturation(page)?;
        stored(page, &summary)?;
        self.events(page)?;
        self.disk(page)?;
        self.scrubbing(page)?;
        self.relay(page)?;
        let network = server.network.as_ref();
        let trouble = network.and_then(|network| network.trouble());
        let problems = summary.reasons.len() + usize::from(trouble.is_some());
        page.gauge(
            "problems",
            "What wolfdiskctl status lists as wrong with it",
            problems as u64,
        )?;
        page.gauge_seconds(
            "uptime_seconds",
            "Since the start",
            server.started.elapsed().as_secs_f64(),
        )
    }
}

fn stored(page: &mut Page<'_>, summary: &Summary) -> Result<(), Error> {
    page.gauge("chunks", "Chunks that are stored", summary.chunks)?;
    page.gauge("live_bytes", "Of these chunks on disk", summary.live_bytes)?;
    page.gauge("segment_bytes", "Of all segments", summary.segment_bytes)?;
    page.gauge(
        "dead_bytes",
        "Of segments, such as no chunk needs",
        summary.segment_bytes.saturating_sub(summary.live_bytes),
    )?;
    page.gauge(
        "segments",
        "Files that hold chunks",
        u64::from(summary.segments),
    )?;
    page.gauge(
        "damaged_chunks",
        "Chunks that are known to be damaged",
        summary.damaged_chunks,
    )
}

impl Metrics {
    fn saturation(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let server = &self.0;
        let limit = limits::IN_FLIGHT_MAX_BYTES;
        let used = limit.saturating_sub(server.in_flight.available_permits());
        page.gauge(
            "in_flight_bytes",
            "Of large puts and reads under way",
            used as u64,
        )?;
        page.gauge("in_flight_limit_bytes", "Above it they wait", limit as u64)?;
        page.gauge(
            "pool_jobs",
            "What its threads hash, read and write, and what waits for them",
            server.pool.jobs() as u64,
        )?;
        let limit = limits::POOL_QUEUE_MAX as u64;
        page.gauge("pool_jobs_limit", "Above it they wait", limit)?;
        page.gauge(
            "areas",
            "Connections that share memory for puts",
            server.areas.count() as u64,
        )?;
        page.gauge(
            "areas_limit",
            "How many there may be",
            limits::AREAS_MAX as u64,
        )
    }

    fn events(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let store = &self.0.store;
        let counters = store.counters().all();
        let events = counters
            .iter()
            .map(|(name, count)| ([("event", *name)], *count));
        page.counters(
            "events",
            "What the store counts: puts, bytes, compaction, checkpoints, damage",
            events,
        )?;
        page.histogram(
            "sync_duration_seconds",
            "Syncs of what was stored",
            &store.sync_timings().now(),
        )
    }

    fn disk(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let room = match self.0.store.room() {
            Ok(room) => room,
            Err(error) => {
                // The other numbers are true all the same; those that are missing say that something is wrong.
                tracing::warn!(%error, "the room on disk is not known");
                return Ok(());
            }
        };
        page.gauge("disk_size_bytes", "Of the disk", room.total_bytes)?;
        page.gauge("disk_available_bytes", "Of the disk", room.available_bytes)?;
        page.gauge(
            "disk_reserve_bytes",
            "What ordinary puts leave",
            room.reserve_bytes,
        )?;
        page.gauge(
            "disk_full",
            "1: new data is refused",
            u64::from(room.is_full()),
        )
    }

    fn relay(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Some(relay) = &self.0.relay else {
            return Ok(());
        };
        let ((peers, other_leads), (kept, limit)) = (relay.known(), relay.kept());
        page.gauge("relay_peers", "Other nodes that are known", peers as u64)?;
        page.gauge(
            "relay_other_leads",
            "1: what is put here is stored by another node, which leads",
            u64::from(other_leads),
        )?;
        page.gauge(
            "relay_cache_bytes",
            "That are kept of chunks of other nodes",
            kept as u64,
        )?;
        page.gauge(
            "relay_cache_limit_bytes",
            "Above it what was not used for longest goes",
            limit as u64,
        )?;
        let counts = relay.counts().all();
        let events = counts.iter().map(|(name, count)| {
            let event = name.strip_prefix("relay_").unwrap_or(name);
            ([("event", event)], *count)
        });
        page.counters(
            "relay_events",
            "What was stored by the leader for this node, and read of others",
            events,
        )
    }

    fn scrubbing(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let scrub = self.0.scrub_status();
        page.gauge(
            "scrub_running",
            "1: everything that is stored is being read",
            u64::from(scrub.running),
        )?;
        page.gauge(
            "scrub_due_timestamp_seconds",
            "When the next pass is to begin; 0: scrubbing is off",
            if scrub.enabled { scrub.due_s } else { 0 },
        )?;
        page.gauge(
            "scrub_ended_timestamp_seconds",
            "When the last pass ended; 0: none has",
            scrub.last_ended_s,
        )
    }
}

/// Whether the daemon does its work: the reactor turns, and the disk answers.
///
/// # Errors
/// What is wrong.
pub async fn ready(server: Arc<ChunkServer>, reactor: Handle) -> Result<(), String> {
    let turned = reactor.spawn(async {}).await;
    turned.map_err(|_| "wolfdisk-chunkd is stopping".to_owned())?;
    let asked = tokio::task::spawn_blocking(move || server.store.room()).await;
    let room = asked.map_err(|error| error.to_string())?;
    room.map(drop).map_err(|error| error.to_string())
}
