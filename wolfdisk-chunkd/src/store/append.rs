//! The one stream of appends: who writes where, and up to where everything is finished.
//!
//! Room is reserved in order and written by many threads at once. A record is *finished* when it is
//! written and in the catalog; the *settled* position is the one before which every record is finished or
//! abandoned. Durable and checkpointed positions never pass it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::segment::{FILE_HEADER_BYTES, FileHeader, Layout, RecordHeader, record_lead};

use super::Store;
use super::error::StoreError;
use super::place::Position;
use super::segment::Segment;
use super::state::SegmentState;
use crate::digest::Digest;

/// The end of the stream.
pub struct Tail {
    active: Option<Arc<Segment>>,
    /// Where the next record goes.
    end: Position,
    next_segment: u32,
    /// Starts of records that are not finished.
    open: BTreeSet<Position>,
    /// Segments with bytes that may not be durable.
    dirty: Vec<Arc<Segment>>,
    /// Segments were created whose names may not be durable.
    names: bool,
}

/// Room for one record. It ends with [`Store::finish`] or [`Store::abandon`].
pub struct Reservation {
    segment: Arc<Segment>,
    layout: Layout,
}

/// What a sync has to cover.
pub struct Unsynced {
    /// Everything before is durable once the rest is synced.
    pub settled: Position,
    /// These files.
    pub segments: Vec<Arc<Segment>>,
    /// The directory too.
    pub names: bool,
}

impl Tail {
    /// A stream that goes on in a new segment, after everything that exists.
    pub fn new(end: Position, next_segment: u32) -> Tail {
        Tail {
            active: None,
            end,
            next_segment,
            open: BTreeSet::new(),
            dirty: Vec::new(),
            names: false,
        }
    }

    /// Everything before is finished.
    pub fn settled(&self) -> Position {
        self.open.first().copied().unwrap_or(self.end)
    }

    /// Where the stream ends.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Whether `segment` may still be written to.
    pub fn is_open(&self, segment: SegmentId) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.id == segment)
            || self
                .open
                .iter()
                .any(|position| position.segment() == segment)
    }

    /// What a sync that starts now has to cover.
    pub fn unsynced(&self) -> Unsynced {
        Unsynced {
            settled: self.settled(),
            segments: self.dirty.clone(),
            names: self.names,
        }
    }

    /// Forgets what a sync has covered. Segments that can still be written to stay.
    pub fn synced(&mut self, done: &Unsynced) {
        let last = done.segments.last().map(|segment| segment.id);
        let settled = done.settled.segment();
        self.dirty
            .retain(|segment| Some(segment.id) > last || segment.id >= settled);
        self.names &= !done.names || self.dirty.last().map(|segment| segment.id) > last;
    }
}

impl Reservation {
    /// Where the record begins.
    pub fn start(&self) -> Position {
        Position::new(self.segment.id, self.layout.record_offset)
    }

    /// Where the record ends: once this is durable, so is the record.
    pub fn end(&self) -> Position {
        Position::new(self.segment.id, self.layout.end)
    }
}

impl Store {
    /// Takes the next room in the stream, in a new segment if the current one is full.
    pub(super) fn reserve(&self, length: u32) -> Result<Reservation, StoreError> {
        let mut tail = self.tail.lock();
        let page_size = self.options.page_size;
        let fits = |segment: &Arc<Segment>| {
            let layout = Layout::new(tail.end.offset(), length, page_size);
            (layout.end <= self.segment_bytes).then(|| (segment.clone(), layout))
        };
        let (segment, layout) = match tail.active.as_ref().and_then(fits) {
            Some(room) => room,
            None => (
                self.roll(&mut tail)?,
                Layout::new(FILE_HEADER_BYTES as u64, length, page_size),
            ),
        };
        let reservation = Reservation { segment, layout };
        tail.open.insert(reservation.start());
        tail.end = reservation.end();
        Ok(reservation)
    }

    /// Begins a new segment.
    fn roll(&self, tail: &mut Tail) -> Result<Arc<Segment>, StoreError> {
        let Store { options, .. } = self;
        let id = SegmentId(tail.next_segment);
        let header = FileHeader {
            page_size: options.page_size,
            volume: options.volume,
            segment: id,
        };
        // The number is used up even if this fails: a file of it may be left behind.
        tail.next_segment += 1;
        let segment = Arc::new(Segment::create(&*options.disk, &options.dir, header)?);
        let end = FILE_HEADER_BYTES as u64;
        self.state
            .lock()
            .segments
            .insert(id, SegmentState::new(segment.clone(), end));
        tail.active = Some(segment.clone());
        tail.dirty.push(segment.clone());
        tail.names = true;
        Ok(segment)
    }

    /// Writes a record into its room.
    pub(super) fn write(
        &self,
        room: &Reservation,
        digest: &Digest,
        pieces: &[Bytes],
    ) -> Result<RecordHeader, StoreError> {
        let Reservation { segment, layout } = room;
        let floor = self.watermark.durable().position.0;
        let mut lead = record_lead(
            segment.id,
            layout,
            floor,
            digest.id,
            &digest.block_crcs,
            &digest.leaf_hashes,
        );
        let header = RecordHeader::parse(&lead);
        let failed = StoreError::io(&segment.path);
        // A small record is one write.
        let outcome = match pieces {
            [only] if only.len() <= crate::limits::INLINE_PUT_MAX_BYTES => {
                lead.extend_from_slice(only);
                segment.file.write_at(&lead, layout.record_offset)
            }
            pieces => segment
                .file
                .write_at(&lead, layout.record_offset)
                .and_then(|()| {
                    let mut offset = layout.payload_offset;
                    pieces.iter().try_for_each(|piece| {
                        segment.file.write_at(piece, offset)?;
                        offset += piece.len() as u64;
                        Ok(())
                    })
                }),
        };
        outcome.map_err(failed)?;
        Ok(header.expect("a header that was just written"))
    }

    /// The record is written and, if it is to be found, in the catalog.
    pub(super) fn finish(&self, room: &Reservation) {
        let mut tail = self.tail.lock();
        if let Some(state) = self.state.lock().segments.get_mut(&room.segment.id) {
            state.end = state.end.max(room.layout.end);
        }
        tail.open.remove(&room.start());
        drop(tail);
        self.watermark.appended();
    }

    /// The record could not be written. The segment is closed, and what was written of the record is cut
    /// off if nothing follows it.
    pub(super) fn abandon(&self, room: &Reservation, id: &ChunkId, why: &StoreError) {
        let mut tail = self.tail.lock();
        let last = tail.end == room.end();
        if tail
            .active
            .as_ref()
            .is_some_and(|active| active.id == room.segment.id)
        {
            tail.active = None;
        }
        tracing::warn!(%id, error = %why, "a chunk could not be written");
        if last {
            match room.segment.file.set_len(room.layout.record_offset) {
                Ok(()) => tail.end = room.start(),
                Err(error) => tracing::warn!(%error, "an unfinished record stays behind"),
            }
        }
        tail.open.remove(&room.start());
    }
}
