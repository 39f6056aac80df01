//! What the store knows in memory: the catalog, the segments, the put epoch.
//!
//! The counts of a segment are those of its chunks in the catalog: whoever adds, removes or moves a chunk
//! does both here, in one step.

use std::collections::BTreeMap;
use std::sync::Arc;

use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::segment::RecordHeader;

use super::catalog::{Catalog, Entry, STAMP_MAX, prefix};
use super::damage::{Damage, DamageTable};
use super::place::{Place, Position};
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
    /// Something in it is lost that no chunk of the catalog tells of: it is kept for whoever may still make
    /// something of it, and not compacted.
    pub damaged: bool,
}

/// See the module.
pub struct State {
    pub catalog: Catalog,
    pub segments: BTreeMap<SegmentId, SegmentState>,
    /// What of the catalog's chunks cannot be served.
    pub damage: DamageTable,
    /// Records whose chunks were stored anew by a record that may not be durable yet.
    pub superseded: Vec<Superseded>,
    /// Every put answer carries it.
    pub epoch: u64,
    /// Epoch of the stamp 0.
    pub stamp_base: u64,
    /// What an operator should know, the first few.
    pub reasons: Vec<String>,
}

/// A record that a later one of the same chunk has replaced. Until that one is durable, this one is what a
/// crash would leave: a checkpoint that does not cover the later one names this one, and its segment stays.
#[derive(Clone, Copy)]
pub struct Superseded {
    /// The record that was.
    pub old: RecordHeader,
    /// The one that is.
    pub new: RecordHeader,
}

impl Superseded {
    /// The old record is of no use once everything before this is durable.
    pub fn until(&self) -> Position {
        Position::new(self.new.segment, self.new.end())
    }
}

/// A chunk in the catalog and its file.
#[derive(Clone)]
pub struct Candidate {
    pub entry: Entry,
    pub segment: Arc<Segment>,
}

/// Where a record is.
pub fn place_of(header: &RecordHeader) -> Place {
    Place {
        segment: header.segment,
        offset: header.record_offset,
    }
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
            damage: DamageTable::default(),
            superseded: Vec::new(),
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
        self.catalog.insert(Entry {
            prefix: prefix(&header.id),
            place: place_of(header),
            stamp: self.stamp_now(),
        });
        self.count(header, 1);
    }

    /// Removes the chunk of this record; false if it has gone or moved.
    pub fn remove(&mut self, header: &RecordHeader) -> bool {
        let place = place_of(header);
        let removed = self.catalog.remove(prefix(&header.id), place).is_some();
        if removed {
            self.damage.remove(place);
            self.count(header, -1);
        }
        removed
    }

    /// Moves a chunk from one record to another of the same id; false if it has gone or moved.
    pub fn relocate(&mut self, from: &RecordHeader, to: &RecordHeader) -> bool {
        let moved = self
            .catalog
            .relocate(prefix(&from.id), place_of(from), place_of(to));
        if moved {
            self.damage.remove(place_of(from));
            self.count(from, -1);
            self.count(to, 1);
        }
        moved
    }

    /// Puts a new record in the place of a damaged one of the same chunk; false if that has gone or moved. The
    /// new one need not be durable yet, but its reservation must still be open.
    pub fn supersede(&mut self, from: &RecordHeader, to: &RecordHeader) -> bool {
        let moved = self.relocate(from, to);
        if moved {
            self.superseded.push(Superseded {
                old: *from,
                new: *to,
            });
        }
        moved
    }

    /// As [`State::supersede`], with the stamp of a put.
    pub fn heal(&mut self, from: &RecordHeader, to: &RecordHeader) -> bool {
        let healed = self.supersede(from, to);
        if healed {
            let stamp = self.stamp_now();
            self.catalog.stamp(prefix(&to.id), place_of(to), stamp);
        }
        healed
    }

    /// Notes which bytes of a chunk cannot be served; false if that was known, or the chunk has gone.
    pub fn mark_damaged(&mut self, header: &RecordHeader, damage: Damage) -> bool {
        let place = place_of(header);
        let there = self
            .catalog
            .candidates(prefix(&header.id))
            .any(|entry| entry.place == place);
        let bytes = damage.bytes();
        let news = there && self.damage.insert(place, damage);
        if news {
            let RecordHeader { id, segment, .. } = header;
            tracing::warn!(%id, segment = segment.0, offset = place.offset, bytes, "a chunk is damaged");
        }
        news
    }

    /// The chunks in a range of a segment, by place.
    pub fn entries_in(&self, segment: SegmentId, range: std::ops::Range<u64>) -> Vec<Candidate> {
        let within = |place: Place| place.segment == segment && range.contains(&place.offset);
        let mut found: Vec<Candidate> = self
            .catalog
            .iter()
            .filter(|entry| within(entry.place))
            .filter_map(|entry| self.candidate(entry))
            .collect();
        found.sort_by_key(|candidate| candidate.entry.place);
        found
    }

    /// Takes a chunk out whose record says no more what it was; its segment is kept as it is.
    pub fn quarantine(&mut self, entry: &Entry, why: &str) -> bool {
        if self.catalog.remove(entry.prefix, entry.place).is_none() {
            return false;
        }
        self.damage.remove(entry.place);
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
