//! Verifying whole chunks against their ids, one by one or all in the order of the disk.
//!
//! A pass walks through the segments record by record and reads what lives. It looks at nothing that is
//! not durable yet: before that a record may still be being written. What was appended or moved while the
//! pass was elsewhere was verified when it was written.

use bytes::Bytes;
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::FILE_HEADER_BYTES;

use super::Store;
use super::damage::Damage;
use super::error::StoreError;
use super::lookup::Hit;
use super::place::Position;
use super::put::Admission;
use super::scan::{Found, Scanner};
use super::segment::{RecordFault, Segment, Verdict};
use super::state::{Candidate, place_of, record_bytes};
use crate::limits;

/// What became of a chunk that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// All its bytes are right.
    Intact,
    /// Its bytes were right and what was recorded beside them was not: it was stored anew.
    Healed,
    /// Some of its bytes are lost.
    Damaged,
    /// It is not there any more.
    Gone,
}

/// How far a pass over all chunks has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// What lies before was verified.
    pub next: Position,
    /// Bytes of records that were read.
    pub bytes: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Chunks of them with damage.
    pub damaged: u64,
    /// Chunks of them that were stored anew.
    pub healed: u64,
}

impl Store {
    /// Verifies one chunk and does what can be done about damage.
    ///
    /// # Errors
    /// It could be stored anew, and that failed.
    pub(super) fn verify(&self, hit: &Hit) -> Result<Checked, StoreError> {
        let Hit { candidate, header } = hit;
        match candidate.segment.inspect(header) {
            Verdict::Intact(..) => {
                // It may have been a sector that could not be read for a while.
                self.state.lock().damage.remove(place_of(header));
                Ok(Checked::Intact)
            }
            Verdict::Salvageable(digest, bytes) => {
                self.admit(record_bytes(header), Admission::Compaction)?;
                let (room, copy) = self.append(&digest, &[Bytes::from(bytes)])?;
                let moved = self.state.lock().supersede(header, &copy);
                self.finish(&room);
                if !moved {
                    return Ok(Checked::Gone);
                }
                tracing::warn!(id = %header.id, "a chunk with damaged checksums was stored anew");
                self.counters.healed_chunks.add(1);
                Ok(Checked::Healed)
            }
            Verdict::Damaged(ranges) => {
                let damage = Damage {
                    id: header.id,
                    length: header.length,
                    ranges,
                };
                if self.state.lock().mark_damaged(header, damage) {
                    self.counters.damaged_chunks.add(1);
                }
                Ok(Checked::Damaged)
            }
        }
    }

    /// Verifies about `budget` bytes of chunks from where `pass` is. Gives whether it came to the end.
    ///
    /// # Errors
    /// What is salvageable could not be stored anew.
    pub fn verify_some(&self, pass: &mut Pass, budget: u64) -> Result<bool, StoreError> {
        let stop_at = pass.bytes + budget;
        while pass.bytes < stop_at {
            let Some((id, end)) = self.segment_from(pass.next) else {
                return Ok(true);
            };
            let first = pass.next.offset_in(id, u64::MAX);
            let start = first.max(FILE_HEADER_BYTES as u64);
            let Some(segment) = self.segment_file(id) else {
                pass.next = Position::new(id, end);
                continue;
            };
            // From the medium, not from memory; and what was read once is not to push out what others use.
            let ahead = (stop_at - pass.bytes) + limits::SCRUB_STEP_BYTES;
            segment.file.forget(start, ahead.min(end - start));
            self.verify_segment(&segment, start..end, stop_at, pass)?;
            let came_to = pass.next.offset_in(id, end);
            segment.file.forget(start, came_to.saturating_sub(start));
        }
        Ok(false)
    }

    /// The first segment with durable records at or after a position, and where those end.
    fn segment_from(&self, from: Position) -> Option<(SegmentId, u64)> {
        let durable = self.watermark.durable().position;
        let state = self.state.lock();
        state
            .segments
            .range(from.segment()..)
            .map(|(id, known)| (*id, durable.offset_in(*id, known.end)))
            .find(|(id, end)| from < Position::new(*id, *end) && *end > FILE_HEADER_BYTES as u64)
    }

    fn segment_file(&self, id: SegmentId) -> Option<std::sync::Arc<Segment>> {
        let state = self.state.lock();
        state.segments.get(&id).map(|known| known.segment.clone())
    }

    fn verify_segment(
        &self,
        segment: &std::sync::Arc<Segment>,
        range: std::ops::Range<u64>,
        stop_at: u64,
        pass: &mut Pass,
    ) -> Result<(), StoreError> {
        let mut at = range.start;
        let mut scanner = Scanner::new(segment, range.start, range.end, u64::MAX);
        while pass.bytes < stop_at {
            match scanner.advance() {
                Ok(None) => {
                    pass.next = Position::new(segment.id, range.end);
                    return Ok(());
                }
                Ok(Some(Found::Record(header))) => {
                    let entry = super::compact::live_entry(&self.state.lock(), &header);
                    if let Some(entry) = entry {
                        let segment = segment.clone();
                        let candidate = Candidate { entry, segment };
                        self.count(pass, &Hit { candidate, header })?;
                    }
                    at = header.end();
                }
                Ok(Some(Found::Gap { from, to })) => {
                    self.verify_listed(segment.id, from..to, pass)?;
                    at = to;
                }
                // A sector with headers: what the catalog knows to be there is asked for one by one.
                Err(error) => {
                    tracing::warn!(path = %segment.path.display(), %error, "a segment cannot be read");
                    self.verify_listed(segment.id, at..range.end, pass)?;
                    pass.next = Position::new(segment.id, range.end);
                    return Ok(());
                }
            }
            pass.next = Position::new(segment.id, at);
        }
        Ok(())
    }

    /// Verifies what the catalog says of a range where no record was found.
    fn verify_listed(
        &self,
        segment: SegmentId,
        range: std::ops::Range<u64>,
        pass: &mut Pass,
    ) -> Result<(), StoreError> {
        let listed = self.state.lock().entries_in(segment, range);
        for candidate in listed {
            match candidate.segment.header(candidate.entry.place.offset) {
                Ok(header) => self.count(pass, &Hit { candidate, header })?,
                Err(fault @ (RecordFault::Damaged | RecordFault::Io(_))) => {
                    self.quarantine(&candidate, &format!("its header: {fault}"));
                    pass.damaged += 1;
                }
            }
        }
        Ok(())
    }

    fn count(&self, pass: &mut Pass, hit: &Hit) -> Result<(), StoreError> {
        let checked = self.verify(hit)?;
        let bytes = record_bytes(&hit.header);
        pass.bytes += bytes;
        pass.chunks += 1;
        self.counters.verified_bytes.add(bytes);
        self.counters.verified_chunks.add(1);
        match checked {
            Checked::Damaged => pass.damaged += 1,
            Checked::Healed => pass.healed += 1,
            Checked::Intact | Checked::Gone => {}
        }
        Ok(())
    }

    /// Bytes of live chunks that a pass has before it when it begins.
    pub fn live_bytes_total(&self) -> u64 {
        let state = self.state.lock();
        state
            .segments
            .values()
            .map(|segment| segment.live_bytes)
            .sum()
    }

    /// What is known to be damaged, after `after`, by chunk id; at most `max`.
    pub fn damaged(
        &self,
        after: Option<wolfdisk_common::ids::ChunkId>,
        max: usize,
    ) -> (Vec<Damage>, bool) {
        let state = self.state.lock();
        let mut found: Vec<Damage> = state
            .damage
            .iter()
            .map(|(_, damage)| damage)
            .filter(|damage| Some(damage.id) > after)
            .cloned()
            .collect();
        drop(state);
        found.sort_by_key(|damage| damage.id);
        let end = found.len() <= max;
        found.truncate(max);
        (found, end)
    }

    /// Counts the changes of what is known to be damaged.
    pub fn damage_revision(&self) -> u64 {
        self.state.lock().damage.revision()
    }
}
