//! What the store says of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use wolfdisk_common::timings::Timings;

use super::Store;
use super::place::Position;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `by` more.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened since the start.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// Names and counts.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Chunks stored.
    puts,
    /// Bytes of them.
    put_bytes,
    /// Puts of chunks that were here.
    deduplicated,
    /// Puts refused for want of room.
    refused_full,
    /// Chunks freed.
    freed,
    /// Syncs of the stream of appends.
    syncs,
    /// Segments compacted.
    compacted_segments,
    /// Bytes that compaction copied.
    compacted_bytes,
    /// Checkpoints written.
    checkpoints,
    /// Chunks found damaged.
    damaged_chunks,
    /// Chunks that were damaged and are whole again: put anew, or stored anew from an intact payload.
    healed_chunks,
    /// Chunks that scrubbing and checks have read and compared with their id.
    verified_chunks,
    /// Bytes of them.
    verified_bytes,
    /// Bytes cut off at the start: appends that a crash tore.
    torn_bytes,
    /// Bytes between records that are none.
    gap_bytes,
    /// Records read at the start because no checkpoint covers them.
    scanned_records,
}

/// The store at one moment.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Chunks in the catalog.
    pub chunks: u64,
    /// Bytes of their records.
    pub live_bytes: u64,
    /// Bytes of all segments.
    pub segment_bytes: u64,
    /// Segments.
    pub segments: u32,
    /// The put epoch.
    pub epoch: u64,
    /// Everything appended before survives a power cut.
    pub durable: Position,
    /// Chunks known to be damaged.
    pub damaged_chunks: u64,
    /// What an operator should know.
    pub reasons: Vec<String>,
}

impl Store {
    /// The store now.
    pub fn summary(&self) -> Summary {
        let absence = self.absence();
        let state = self.state.lock();
        let mut reasons = state.reasons.clone();
        reasons.extend(absence);
        if self.full.load(Ordering::Relaxed) {
            reasons.push("the disk is full up to its reserve: new data is refused".to_owned());
        }
        let damaged_chunks = state.damage.len() as u64;
        if damaged_chunks > 0 {
            let bytes: u64 = state.damage.iter().map(|(_, damage)| damage.bytes()).sum();
            reasons.push(format!(
                "{damaged_chunks} chunks are damaged, {bytes} bytes of them cannot be read; \
                 see: wolfdiskctl check"
            ));
        }
        Summary {
            damaged_chunks,
            chunks: state.catalog.len() as u64,
            live_bytes: state
                .segments
                .values()
                .map(|segment| segment.live_bytes)
                .sum(),
            segment_bytes: state.segments.values().map(|segment| segment.end).sum(),
            segments: u32::try_from(state.segments.len()).unwrap_or(u32::MAX),
            epoch: state.epoch,
            durable: self.watermark.durable().position,
            reasons,
        }
    }

    /// How long syncs took.
    pub fn sync_timings(&self) -> &Timings {
        &self.sync_timings
    }

    /// What happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
