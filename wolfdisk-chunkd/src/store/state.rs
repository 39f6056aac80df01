//! What the store knows in memory: the catalog, the segments, the put epoch.
//!
//! The counts of a segment are those of its chunks in the catalog: whoever adds, removes or moves a chunk
//! does both here, in one step.

use std::collections::BTreeMap;
use std::sync::Arc;

use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::segment::RecordHeader;

use super::catalog::{Catalog, Entry, STAMP_MAX, prefix};
use super::place::Place;
use super::segment::Segment;
use crate::limits;

/// A segment and what lives in it.
pub struct SegmentState {
    /// Its file.
    pub segment: Arc<Segment>,
    /// Where its last finished record ends.
    pub end: u64,
    /// Bytes of records of live chunks.
    pub live_bytes: u64,
    /// Live chunks.
    pub live_chunks: u64,
    /// A chunk in it was found damaged: it is kept for whoever repairs, and not compacted.
    pub damaged: bool,
}

/// See the module.
pub struct State {
    pub catalog: Catalog,
    pub segments: BTreeMap<SegmentId, SegmentState>,
    /// Every put answer carries it.
    pub epoch: u64,
    /// Epoch of the stamp 0.
    pub stamp_base: u64,
    /// What an operator should know, the first few.
    pub reasons: Vec<String>,
}

/// A chunk in the catalog and its file.
#[derive(Clone)]
pub struct Candidate {
    pub entry: Entry,
    pub segment: Arc<Segment>,
}

/// Bytes that a record takes in its segment.
pub fn record_bytes(header: &RecordHeader) -> u64 {
    header.end() - header.record_offset
}

impl SegmentState {
    /// Of a segment without chunks.
    pub fn new(segment: Arc<Segment>, end: u64) -> SegmentState {
        SegmentState {
            segment,
            end,
            live_bytes: 0,
            live_chunks: 0,
            damaged: false,
        }
    }
}

impl State {
    /// Empty, at the start of a life in which every chunk carries `epoch`.
    pub fn new(epoch: u64, chunks: usize) -> State {
        State {
            catalog: Catalog::for_chunks(chunks),
            segments: BTreeMap::new(),
            epoch,
            stamp_base: epoch,
            reasons: Vec::new(),
        }
    }

    /// The stamp of a put now.
    pub fn stamp_now(&self) -> u8 {
        u8::try_from(self.epoch - self.stamp_base).unwrap_or(STAMP_MAX)
    }

    /// The epoch that a chunk is stamped with.
    pub fn epoch_of(&self, entry: &Entry) -> u64 {
        self.stamp_base + u64::from(entry.stamp)
    }

    /// Moves to the next epoch; the caller has made it durable.
    pub fn advance(&mut self) {
        self.epoch += 1;
        if self.epoch - self.stamp_base > u64::from(STAMP_MAX) {
            let by = u64::from(STAMP_MAX / 2);
            self.catalog.rebase(by);
            self.stamp_base += by;
        }
    }

    /// The chunks that may be `id`.
    pub fn candidates(&self, id: &ChunkId) -> Vec<Candidate> {
        self.catalog
            .candidates(prefix(id))
            .filter_map(|entry| self.candidate(entry))
            .collect()
    }

    /// A chunk with its file; none if the segment is gone.
    pub fn candidate(&self, entry: Entry) -> Option<Candidate> {
        let state = self.segments.get(&entry.place.segment)?;
        Some(Candidate {
            entry,
            segment: state.segment.clone(),
        })
    }

    /// Adds a chunk with the current stamp.
    pub fn insert(&mut self, header: &RecordHeader) {
        let place = Place {
            segment: header.segment,
            offset: header.record_offset,
        };
        self.catalog.insert(Entry {
            prefix: prefix(&header.id),
            place,
            stamp: self.stamp_now(),
        });
        self.count(header, 1);
    }

    /// Removes the chunk of this record; false if it has gone or moved.
    pub fn remove(&mut self, header: &RecordHeader) -> bool {
        let place = Place {
            segment: header.segment,
            offset: header.record_offset,
        };
        let removed = self.catalog.remove(prefix(&header.id), place).is_some();
        if removed {
            self.count(header, -1);
        }
        removed
    }

    /// Moves a chunk from one record to another of the same id; false if it has gone or moved.
    pub fn relocate(&mut self, from: &RecordHeader, to: &RecordHeader) -> bool {
        let place = |header: &RecordHeader| Place {
            segment: header.segment,
            offset: header.record_offset,
        };
        let moved = self
            .catalog
            .relocate(prefix(&from.id), place(from), place(to));
        if moved {
            self.count(from, -1);
            self.count(to, 1);
        }
        moved
    }

    /// Takes a chunk out that cannot be served; its segment is kept as it is.
    pub fn quarantine(&mut self, entry: &Entry, why: &str) -> bool {
        if self.catalog.remove(entry.prefix, entry.place).is_none() {
            return false;
        }
        if let Some(state) = self.segments.get_mut(&entry.place.segment) {
            state.damaged = true;
            state.live_chunks = state.live_chunks.saturating_sub(1);
        }
        let Place { segment, offset } = entry.place;
        self.note(format!(
            "a chunk at offset {offset} of segment {segment} is damaged: {why}"
        ));
        true
    }

    /// Keeps a reason for the status.
    pub fn note(&mut self, reason: String) {
        tracing::warn!(reason, "the chunk store found a fault");
        if self.reasons.len() < limits::REASONS_MAX {
            self.reasons.push(reason);
        }
    }

    fn count(&mut self, header: &RecordHeader, chunks: i64) {
        if let Some(state) = self.segments.get_mut(&header.segment) {
            let bytes = record_bytes(header).cast_signed() * chunks;
            state.live_chunks = state.live_chunks.saturating_add_signed(chunks);
            state.live_bytes = state.live_bytes.saturating_add_signed(bytes);
        }
    }
}
