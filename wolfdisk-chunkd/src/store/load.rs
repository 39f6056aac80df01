//! Filling the catalog at a start: from the checkpoint, and from the records that were appended after it.
//!
//! Every record carries the floor: the position that was durable when it was written. The greatest floor
//! decides what an unreadable record means: before it, something that was durable is damaged, and that is
//! reported; after it, an append was torn, and what lies behind the last intact record is cut off.

use std::collections::BTreeMap;
use std::sync::Arc;

use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::{FILE_HEADER_BYTES, FileHeader, RecordHeader};

use super::Options;
use super::checkpoint::{Checkpoint, SegmentRow};
use super::error::StoreError;
use super::open::FoundSegment;
use super::place::Position;
use super::scan::{Found, Scanner};
use super::segment::{RecordFault, Segment, file_name};
use super::state::{SegmentState, State};
use super::status::Counters;

/// Copied at once when bytes are written once more.
const REWRITE_BYTES: u64 = 1024 * 1024;

type Segments = BTreeMap<SegmentId, FoundSegment>;

/// See the module.
pub(super) struct Loader<'a> {
    pub options: &'a Options,
    pub state: State,
    pub counters: Counters,
    /// Every segment that the checkpoint names was there when the store was closed.
    pub was_closed: bool,
}

impl<'a> Loader<'a> {
    pub fn new(options: &'a Options, state: State, counters: Counters) -> Loader<'a> {
        Loader {
            options,
            state,
            counters,
            was_closed: false,
        }
    }

    /// Fills the state. Gives the end of what exists, all of which is durable then.
    ///
    /// # Errors
    /// What the system says, or a sync that failed.
    pub fn load(&mut self, found: &Segments, image: Checkpoint) -> Result<Position, StoreError> {
        if self.was_closed {
            self.note_missing(found, &image);
        }
        let image = match covers(&image, found) {
            true => image,
            false => {
                let reason = "a segment is shorter than the catalog says: everything was scanned";
                self.state.note(reason.to_owned());
                Checkpoint::default()
            }
        };
        let start = image.position;
        self.take_checkpoint(found, &image)?;
        let scanned: Vec<&FoundSegment> = found
            .values()
            .filter(|segment| segment.end() > start && !segment.is_leftover(&image))
            .collect();
        let mut floor = start;
        for segment in &scanned {
            floor = floor.max(self.floor_of(segment, start)?);
        }
        for segment in &scanned {
            self.scan(segment, start, floor)?;
        }
        if !scanned.is_empty() {
            let dir = &self.options.dir;
            self.options
                .disk
                .sync_dir(dir)
                .map_err(StoreError::sync(dir))?;
        }
        let end = self.state.segments.last_key_value();
        Ok(end.map_or(start, |(id, last)| Position::new(*id, last.end).max(start)))
    }

    /// Tells of segments with chunks whose files are lost.
    fn note_missing(&mut self, found: &Segments, image: &Checkpoint) {
        let is_lost = |row: &&SegmentRow| row.live_chunks > 0 && !found.contains_key(&row.id);
        let lost: Vec<&SegmentRow> = image.segments.iter().filter(is_lost).collect();
        let Some(first) = lost.first() else { return };
        let (files, chunks) = (
            lost.len(),
            lost.iter().map(|row| row.live_chunks).sum::<u64>(),
        );
        self.state.note(format!(
            "{files} segment files that the catalog names are not in {}, {} first, and {chunks} chunks with them; \
             see: wolfdiskctl check",
            self.options.dir.display(),
            file_name(first.id)
        ));
    }

    /// Takes over what the checkpoint says about segments that are still there.
    fn take_checkpoint(&mut self, found: &Segments, image: &Checkpoint) -> Result<(), StoreError> {
        for segment in found.values().filter(|segment| segment.is_leftover(image)) {
            // It was compacted, but its removal did not last.
            let path = &segment.segment.path;
            self.options
                .disk
                .remove(path)
                .map_err(StoreError::io(path))?;
        }
        for row in &image.segments {
            let Some(found) = found.get(&row.id) else {
                continue;
            };
            if found.headless {
                self.state.note(format!(
                    "{} has a damaged file header",
                    found.segment.path.display()
                ));
            }
            let mut state = SegmentState::new(found.segment.clone(), row.end);
            state.live_bytes = row.live_bytes;
            state.live_chunks = row.live_chunks;
            self.state.segments.insert(row.id, state);
        }
        for entry in &image.chunks {
            if self.state.segments.contains_key(&entry.place.segment) {
                let stamp = self.state.stamp_now();
                self.state
                    .catalog
                    .insert(super::catalog::Entry { stamp, ..*entry });
            }
        }
        Ok(())
    }

    /// The greatest floor that the records of a segment after `start` carry.
    fn floor_of(&self, found: &FoundSegment, start: Position) -> Result<Position, StoreError> {
        let mut scanner = found.scanner(start, u64::MAX);
        let mut floor = Position::default();
        while let Some(next) = scanner
            .advance()
            .map_err(StoreError::io(&found.segment.path))?
        {
            if let Found::Record(header) = next {
                floor = floor.max(Position(header.floor));
            }
        }
        Ok(floor)
    }

    /// Enters the records of a segment, cuts its torn tail, and makes the rest durable.
    fn scan(
        &mut self,
        found: &FoundSegment,
        start: Position,
        floor: Position,
    ) -> Result<(), StoreError> {
        let segment = &found.segment;
        let known = floor.offset_in(segment.id, found.end().offset());
        let mut end = found.first_record(start);
        let mut gap = None;
        let fresh = SegmentState::new(segment.clone(), end);
        self.state.segments.entry(segment.id).or_insert(fresh);
        let mut scanner = found.scanner(start, known);
        while let Some(next) = scanner.advance().map_err(StoreError::io(&segment.path))? {
            match next {
                Found::Record(header) => {
                    self.enter(&header)?;
                    end = header.end();
                    self.report(segment, gap.take(), known);
                }
                Found::Gap { from, to } => gap = Some((from, to)),
            }
        }
        let lost = gap.is_some_and(|(from, _)| from < known);
        if lost {
            self.report(segment, gap, known);
            end = found.end().offset();
        }
        if let Some(state) = self.state.segments.get_mut(&segment.id) {
            state.end = state.end.max(end);
        }
        self.settle(found, end, known)
    }

    /// Cuts the file at `end` and makes everything from `known` on durable.
    fn settle(&mut self, found: &FoundSegment, end: u64, known: u64) -> Result<(), StoreError> {
        let segment = &found.segment;
        let failed = || StoreError::io(&segment.path);
        let mut length = found.length;
        if end < length {
            self.counters.torn_bytes.add(length - end);
            tracing::info!(path = %segment.path.display(), torn_bytes = length - end, "a torn tail is cut");
            segment.file.set_len(end).map_err(failed())?;
            length = end;
        }
        if found.headless && known <= FILE_HEADER_BYTES as u64 {
            let header = FileHeader {
                page_size: self.options.page_size,
                volume: self.options.volume,
                segment: segment.id,
            };
            segment
                .file
                .write_at(&header.to_bytes(), 0)
                .map_err(failed())?;
        } else if found.headless {
            self.state.note(format!(
                "{} has a damaged file header",
                segment.path.display()
            ));
        }
        let mut offset = if known <= FILE_HEADER_BYTES as u64 {
            0
        } else {
            known
        };
        while offset < length {
            let mut bytes = vec![0; REWRITE_BYTES.min(length - offset) as usize];
            segment
                .file
                .read_exact_at(&mut bytes, offset)
                .map_err(failed())?;
            segment.file.write_at(&bytes, offset).map_err(failed())?;
            offset += bytes.len() as u64;
        }
        segment
            .file
            .sync_data()
            .map_err(StoreError::sync(&segment.path))
    }

    /// Enters one record; of two with one id the later counts.
    fn enter(&mut self, header: &RecordHeader) -> Result<(), StoreError> {
        self.counters.scanned_records.add(1);
        for candidate in self.state.candidates(&header.id) {
            match candidate.segment.header(candidate.entry.place.offset) {
                Ok(earlier) if earlier.id == header.id => {
                    self.state.relocate(&earlier, header);
                    return Ok(());
                }
                Ok(_) => {}
                Err(RecordFault::Damaged) => {
                    if self
                        .state
                        .quarantine(&candidate.entry, "its header is unreadable")
                    {
                        self.counters.damaged_chunks.add(1);
                    }
                }
                Err(RecordFault::Io(error)) => {
                    return Err(StoreError::io(&candidate.segment.path)(error));
                }
            }
        }
        self.state.insert(header);
        Ok(())
    }

    fn report(&mut self, segment: &Arc<Segment>, gap: Option<(u64, u64)>, known: u64) {
        let Some((from, to)) = gap else { return };
        self.counters.gap_bytes.add(to - from);
        if from < known {
            self.counters.damaged_chunks.add(1);
            if let Some(state) = self.state.segments.get_mut(&segment.id) {
                state.damaged = true;
            }
            let path = segment.path.display();
            self.state.note(format!(
                "{path} is damaged between offsets {from} and {to}: chunks may be lost"
            ));
        }
    }
}

/// Whether every segment is as long as the checkpoint says.
fn covers(image: &Checkpoint, found: &Segments) -> bool {
    let long_enough = |row: &SegmentRow| {
        found
            .get(&row.id)
            .is_none_or(|found| found.end().offset() >= row.end)
    };
    image.segments.iter().all(long_enough)
}

impl FoundSegment {
    /// Whether it was gone when the checkpoint was written.
    fn is_leftover(&self, image: &Checkpoint) -> bool {
        self.segment.id < image.position.segment()
            && !image.segments.iter().any(|row| row.id == self.segment.id)
    }

    fn first_record(&self, start: Position) -> u64 {
        start
            .offset_in(self.segment.id, u64::MAX)
            .max(FILE_HEADER_BYTES as u64)
    }

    fn scanner(&self, start: Position, verify_from: u64) -> Scanner<'_> {
        Scanner::new(
            &self.segment,
            self.first_record(start),
            self.length,
            verify_from,
        )
    }
}
