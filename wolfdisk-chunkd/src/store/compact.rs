//! Compaction and checkpoints, the two that must not meet.
//!
//! Compaction copies what lives in a segment to the end of the stream, syncs the copies, moves the catalog
//! over in one step and removes the file. A crash before the move leaves garbage, one after it a file that
//! nothing needs: its chunks are found twice, and the later record counts.
//!
//! A checkpoint between copy and move would name the old records at a position behind the copies, so that
//! a start would neither find the old file nor scan the copies. Hence one lock for both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::{FILE_HEADER_BYTES, RecordHeader};

use super::Store;
use super::catalog::{Entry, prefix};
use super::checkpoint::{self, Checkpoint, SegmentRow};
use super::damage::Damage;
use super::error::StoreError;
use super::place::{Place, Position};
use super::put::Admission;
use super::scan::{Found, Scanner};
use super::segment::{Segment, Verdict};
use super::state::{SegmentState, State, place_of, record_bytes};
use crate::limits;

/// What is known about earlier maintenance.
pub struct Maintenance {
    /// Bytes put when the last checkpoint was written.
    pub put_bytes: u64,
}

/// What compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The segment that is gone.
    pub segment: SegmentId,
    /// Bytes that were copied out of it.
    pub copied_bytes: u64,
    /// Bytes that it held beyond them.
    pub freed_bytes: u64,
}

/// What compaction did in a given time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hurried {
    /// Segments that are gone.
    pub segments: u32,
    /// Bytes that they held beyond what was copied out of them.
    pub freed_bytes: u64,
    /// The time was over before the work was.
    pub more: bool,
}

impl Store {
    /// Compacts the segment that gains most, if one is worth it. `pace` is told after each copy how many
    /// bytes it took and may sleep.
    ///
    /// # Errors
    /// `Full` if there is no room for the copies, or what the system says.
    pub fn compact(&self, pace: &dyn Fn(u64)) -> Result<Option<Compacted>, StoreError> {
        let _one = self.maintenance.lock();
        let tight = self.room()?.is_tight();
        let Some(segment) = self.worthwhile(tight) else {
            return Ok(None);
        };
        // All or nothing: copies of half a segment would take room and free none.
        self.admit(self.live_bytes(segment.id), Admission::Compaction)?;
        let copies = self.copy_live(&segment, pace)?;
        let copied = copies
            .last()
            .map(|(_, last)| Position::new(last.segment, last.end()));
        let superseded = self.superseded_until();
        if let Some(last) = copied.into_iter().chain(superseded).max() {
            self.sync_to(last)?;
        }
        let copied_bytes = copies.iter().map(|(_, to)| record_bytes(to)).sum();
        let mut state = self.state.lock();
        copies.iter().for_each(|(from, to)| {
            // One that was freed meanwhile leaves its copy as garbage.
            state.relocate(from, to);
        });
        let emptied = state
            .segments
            .get(&segment.id)
            .is_some_and(|segment| segment.live_chunks == 0);
        if !emptied
            || state
                .segments
                .get(&segment.id)
                .is_some_and(|segment| segment.damaged)
        {
            // Until its damaged chunks are healed or freed.
            let explained = state.damage.is_in(segment.id);
            if let Some(kept) = state.segments.get_mut(&segment.id) {
                kept.damaged |= !explained;
            }
            tracing::warn!(
                segment = segment.id.0,
                "a segment holds damaged chunks and is kept"
            );
            return Ok(None);
        }
        let gone = state.segments.remove(&segment.id);
        drop(state);
        let freed_bytes = gone.map_or(0, |gone| gone.end.saturating_sub(copied_bytes));
        self.counters.compacted_segments.add(1);
        self.counters.compacted_bytes.add(copied_bytes);
        let removed = self.options.disk.remove(&segment.path);
        removed.map_err(StoreError::io(&segment.path))?;
        Ok(Some(Compacted {
            segment: segment.id,
            copied_bytes,
            freed_bytes,
        }))
    }

    /// Compacts at full speed until nothing is worth it, no room is left for copies, or `limit` is over.
    ///
    /// # Errors
    /// As [`Store::compact`], but for the want of room.
    pub fn compact_within(&self, limit: Duration) -> Result<Hurried, StoreError> {
        let begun = Instant::now();
        let mut done = Hurried::default();
        while begun.elapsed() < limit {
            match self.compact(&|_| ()) {
                Ok(Some(compacted)) => {
                    done.segments += 1;
                    done.freed_bytes += compacted.freed_bytes;
                }
                Ok(None) | Err(StoreError::Full) => return Ok(done),
                Err(error) => return Err(error),
            }
        }
        done.more = true;
        Ok(done)
    }

    /// The closed, durable segment with the smallest share of live bytes, if that is small enough.
    fn worthwhile(&self, tight: bool) -> Option<Arc<Segment>> {
        let percent = if tight {
            limits::COMPACT_LIVE_PERCENT_TIGHT
        } else {
            limits::COMPACT_LIVE_PERCENT
        };
        let durable = self.watermark.durable().position;
        let tail = self.tail.lock();
        let state = self.state.lock();
        // The highest number stays on disk, so that a start never gives it out again.
        let highest = state.segments.last_key_value().map(|(id, _)| *id)?;
        let short = self.segment_bytes / limits::SHORT_SEGMENT_FRACTION;
        let many_short = state
            .segments
            .values()
            .filter(|segment| segment.end < short)
            .count()
            >= limits::COMPACT_SHORT_SEGMENTS;
        state
            .segments
            .iter()
            .filter(|(id, segment)| {
                let closed = **id != highest && !tail.is_open(**id);
                let whole = !segment.damaged && !state.damage.is_in(**id);
                closed && whole && Position::new(**id, segment.end) <= durable
            })
            .map(|(_, segment)| (live_percent(segment), segment))
            .filter(|(live, segment)| *live < percent || (many_short && segment.end < short))
            .min_by_key(|(live, _)| *live)
            .map(|(_, segment)| segment.segment.clone())
    }

    /// Forgets what is superseded by durable records; the position where the rest will be.
    fn superseded_until(&self) -> Option<Position> {
        let durable = self.watermark.durable().position;
        let mut state = self.state.lock();
        state.superseded.retain(|pair| pair.until() > durable);
        state.superseded.iter().map(|pair| pair.until()).max()
    }

    fn live_bytes(&self, segment: SegmentId) -> u64 {
        let state = self.state.lock();
        state
            .segments
            .get(&segment)
            .map_or(0, |state| state.live_bytes)
    }

    /// Copies every live chunk of a segment to the end of the stream: pairs of old and new record.
    fn copy_live(
        &self,
        segment: &Segment,
        pace: &dyn Fn(u64),
    ) -> Result<Vec<(RecordHeader, RecordHeader)>, StoreError> {
        let end = self
            .state
            .lock()
            .segments
            .get(&segment.id)
            .map_or(0, |state| state.end);
        let end = end.min(segment.file.len().map_err(StoreError::io(&segment.path))?);
        let mut scanner = Scanner::new(segment, FILE_HEADER_BYTES as u64, end, u64::MAX);
        let mut copies = Vec::new();
        while let Some(found) = scanner.advance().map_err(StoreError::io(&segment.path))? {
            let Found::Record(header) = found else {
                continue;
            };
            if live_entry(&self.state.lock(), &header).is_none() {
                continue;
            }
            match segment.inspect(&header) {
                Verdict::Intact(digest, bytes) | Verdict::Salvageable(digest, bytes) => {
                    let (room, copy) = self.append(&digest, &[Bytes::from(bytes)])?;
                    self.finish(&room);
                    copies.push((header, copy));
                    pace(record_bytes(&copy));
                }
                Verdict::Damaged(ranges) => {
                    let damage = Damage {
                        id: header.id,
                        length: header.length,
                        ranges,
                    };
                    if self.state.lock().mark_damaged(&header, damage) {
                        self.counters.damaged_chunks.add(1);
                    }
                }
            }
        }
        Ok(copies)
    }

    /// Writes a checkpoint if enough was appended since the last one.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn checkpoint_if_due(&self) -> Result<bool, StoreError> {
        let since = self.counters.put_bytes.get() - self.maintenance.lock().put_bytes;
        if since < limits::CHECKPOINT_APPENDED_BYTES {
            return Ok(false);
        }
        self.checkpoint().map(|()| true)
    }

    /// Writes the catalog to its file, after making durable what it names.
    ///
    /// # Errors
    /// What the system says. After an error that is not fatal the last checkpoint still stands.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let mut maintenance = self.maintenance.lock();
        let put_bytes = self.counters.put_bytes.get();
        self.superseded_until();
        let position = self.tail.lock().settled();
        let (mut image, late) = snapshot(&self.state.lock(), position);
        self.sync_to(position)?;
        for (entry, segment) in late {
            // It is in the counts, but a start will find it by scanning and count it again.
            let Ok(header) = segment.header(entry.place.offset) else {
                continue;
            };
            if let Some(row) = image.segments.iter_mut().find(|row| row.id == segment.id) {
                row.live_bytes = row.live_bytes.saturating_sub(record_bytes(&header));
                row.live_chunks = row.live_chunks.saturating_sub(1);
            }
        }
        let options = &self.options;
        checkpoint::store(&*options.disk, &options.dir, options.volume, &image)?;
        *maintenance = Maintenance { put_bytes };
        self.counters.checkpoints.add(1);
        Ok(())
    }
}

type Late = Vec<(Entry, Arc<Segment>)>;

/// The catalog as of `position`, and the chunks in it that were appended after.
fn snapshot(state: &State, position: Position) -> (Checkpoint, Late) {
    let (mut chunks, late): (Vec<Entry>, Vec<Entry>) = state
        .catalog
        .iter()
        .partition(|entry| entry.place.position() < position);
    let mut segments: Vec<SegmentRow> = state
        .segments
        .iter()
        .map(|(id, segment)| SegmentRow {
            id: *id,
            end: position.offset_in(*id, segment.end),
            live_bytes: segment.live_bytes,
            live_chunks: segment.live_chunks,
        })
        .collect();
    // A start that does not find the later record needs the earlier one.
    for pair in &state.superseded {
        let old = place_of(&pair.old);
        let between = old.position() < position && place_of(&pair.new).position() >= position;
        if between && let Some(row) = segments.iter_mut().find(|row| row.id == old.segment) {
            row.live_bytes += record_bytes(&pair.old);
            row.live_chunks += 1;
            chunks.push(Entry {
                prefix: prefix(&pair.old.id),
                place: old,
                stamp: 0,
            });
        }
    }
    let late = late
        .into_iter()
        .filter_map(|entry| {
            state
                .candidate(entry)
                .map(|candidate| (entry, candidate.segment))
        })
        .collect();
    (
        Checkpoint {
            position,
            segments,
            chunks,
        },
        late,
    )
}

pub(super) fn live_entry(state: &State, header: &RecordHeader) -> Option<Entry> {
    let place = Place {
        segment: header.segment,
        offset: header.record_offset,
    };
    state
        .catalog
        .candidates(prefix(&header.id))
        .find(|entry| entry.place == place)
}

fn live_percent(segment: &SegmentState) -> u64 {
    let size = segment.end.saturating_sub(FILE_HEADER_BYTES as u64).max(1);
    // One that is empty comes first.
    if segment.live_chunks == 0 {
        0
    } else {
        (segment.live_bytes * 100 / size).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use wolfdisk_common::disk::crash::CrashDisk;

    use super::super::{Admission, Options};
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_checkpoint_names_what_was_superseded_until_the_new_record_is_durable() {
        let disk = CrashDisk::new();
        let open = || {
            let store = Store::open(Options {
                disk: Arc::new(disk.clone()),
                dir: PathBuf::from("/c"),
                volume: [1; 16],
                page_size: 4096,
                segment_bytes: None,
            });
            store.expect("a store")
        };
        let store = open();
        let bytes = [5; 10_000];
        let digest = Digest::of(&bytes);
        let pieces = [Bytes::copy_from_slice(&bytes)];
        let put = store.put(&digest, &pieces, Admission::Ordinary);
        store.sync_to(put.expect("a put").position).expect("synced");
        let old = store.find(&digest.id).expect("found").expect("it is here");
        // A put that has entered its record but is not finished: a checkpoint ends before it.
        let (_room, new) = store.append(&digest, &pieces).expect("appended");
        assert!(store.state.lock().heal(&old.header, &new));
        store.checkpoint().expect("a checkpoint");
        drop(store);
        // Nothing of it was synced.
        for path in disk.files() {
            if path.to_string_lossy().ends_with("00000001.seg") {
                let cut = |bytes: &mut Vec<u8>| bytes.truncate(old.header.end() as usize);
                disk.corrupt(&path, cut).expect("a segment");
            }
        }
        let found = open().read(&digest.id, 0, 10_000).expect("the old record");
        assert_eq!(found, bytes);
    }
}
