//! Finding and reading chunks.

use std::sync::Arc;

use wolfdisk_common::disk::{DiskFile, OpenMode};
use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::segment::RecordHeader;

use super::Store;
use super::error::StoreError;
use super::segment::{RecordFault, Segment};
use super::state::{Candidate, place_of};
use super::verify::Checked;

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment.
    pub segment: SegmentId,
    /// The record's header in it.
    pub record_offset: u64,
    /// The payload in it.
    pub payload_offset: u64,
    /// Bytes of the payload.
    pub length: u32,
}

/// A range that was read, and what it can be verified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithLeaves {
    /// The bytes.
    pub data: Vec<u8>,
    /// The hashes of all leaves of the chunk, after one another; none of a chunk of one leaf.
    pub leaves: Vec<u8>,
    /// Bytes of the chunk.
    pub chunk: u32,
}

/// A segment's file, opened for reading only.
pub struct ReadOnly {
    /// The file.
    pub file: Arc<dyn DiskFile>,
    /// Where its last record ended; it may have grown since.
    pub end: u64,
}

/// A chunk that was found: its place and its record's header.
pub(super) struct Hit {
    pub candidate: Candidate,
    pub header: RecordHeader,
}

impl Store {
    /// Where a chunk is; none if it is not here, or nothing of it can be served.
    ///
    /// # Errors
    /// What the system says.
    pub fn locate(&self, id: &ChunkId) -> Result<Option<Location>, StoreError> {
        let Some(Hit { header, .. }) = self.find(id)? else {
            return Ok(None);
        };
        let total = {
            let state = self.state.lock();
            let damage = state.damage.get(place_of(&header));
            damage.is_some_and(super::damage::Damage::is_total)
        };
        Ok((!total).then_some(Location {
            segment: header.segment,
            record_offset: header.record_offset,
            payload_offset: header.payload_offset,
            length: header.length,
        }))
    }

    /// Reads a range of a chunk and verifies the blocks it touches. Reads from the disk.
    ///
    /// # Errors
    /// `NotFound`, `Range`, `Damaged` (other ranges of the chunk may still be read), or what the system says.
    pub fn read(&self, id: &ChunkId, offset: u32, length: u32) -> Result<Vec<u8>, StoreError> {
        self.read_by(id, offset, length, |segment, header| {
            segment.read(header, offset, length)
        })
    }

    /// Like [`Store::read`], with the hashes of all leaves of the chunk.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_with_leaves(
        &self,
        id: &ChunkId,
        offset: u32,
        length: u32,
    ) -> Result<WithLeaves, StoreError> {
        self.read_by(id, offset, length, |segment, header| {
            Ok(WithLeaves {
                data: segment.read(header, offset, length)?,
                leaves: segment.leaf_hashes(header)?,
                chunk: header.length,
            })
        })
    }

    /// Like [`Store::read_with_leaves`], of a range that may end behind the chunk: what there is of it.
    ///
    /// # Errors
    /// As [`Store::read`], but for `Range`.
    pub fn read_clipped(
        &self,
        id: &ChunkId,
        offset: u32,
        length: u32,
    ) -> Result<WithLeaves, StoreError> {
        let Some(hit) = self.find(id)? else {
            return Err(StoreError::NotFound(*id));
        };
        // A chunk has one length wherever it is.
        let offset = offset.min(hit.header.length);
        let length = length.min(hit.header.length - offset);
        self.read_with_leaves(id, offset, length)
    }

    fn read_by<T>(
        &self,
        id: &ChunkId,
        offset: u32,
        length: u32,
        read: impl Fn(&Segment, &RecordHeader) -> Result<T, RecordFault>,
    ) -> Result<T, StoreError> {
        loop {
            let Some(hit) = self.find(id)? else {
                return Err(StoreError::NotFound(*id));
            };
            let header = &hit.header;
            if offset
                .checked_add(length)
                .is_none_or(|end| end > header.length)
            {
                return Err(StoreError::Range {
                    offset,
                    length,
                    size: header.length,
                });
            }
            let known = {
                let state = self.state.lock();
                let damage = state.damage.get(place_of(header));
                damage.is_some_and(|damage| damage.touches(offset, length))
            };
            if known {
                return Err(StoreError::Damaged(*id));
            }
            match read(&hit.candidate.segment, header) {
                Ok(bytes) => return Ok(bytes),
                Err(fault) => {
                    tracing::debug!(%id, offset, %fault, "a read met damage");
                    // What can be rebuilt is, and is then read where it is now.
                    match self.verify(&hit) {
                        Ok(Checked::Healed) => {}
                        Err(error) if error.is_fatal() => return Err(error),
                        Ok(_) | Err(_) => return Err(StoreError::Damaged(*id)),
                    }
                }
            }
        }
    }

    /// Opens a segment's file anew, for reading only; none if it is gone.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_read_only(&self, id: SegmentId) -> Result<Option<ReadOnly>, StoreError> {
        let known = {
            let state = self.state.lock();
            state
                .segments
                .get(&id)
                .map(|known| (known.segment.path.clone(), known.end))
        };
        let Some((path, end)) = known else {
            return Ok(None);
        };
        match self.options.disk.open(&path, OpenMode::Read) {
            Ok(file) => Ok(Some(ReadOnly { file, end })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&path)(error)),
        }
    }

    /// Which of these segments are gone.
    pub fn retired(&self, held: &[SegmentId]) -> Vec<SegmentId> {
        let state = self.state.lock();
        held.iter()
            .copied()
            .filter(|id| !state.segments.contains_key(id))
            .collect()
    }

    /// The record of a chunk. A record whose header is damaged is taken out on the way.
    pub(super) fn find(&self, id: &ChunkId) -> Result<Option<Hit>, StoreError> {
        let candidates = self.state.lock().candidates(id);
        for candidate in candidates {
            match candidate.segment.header(candidate.entry.place.offset) {
                Ok(header) if header.id == *id => return Ok(Some(Hit { candidate, header })),
                Ok(_) => {}
                Err(RecordFault::Damaged) => {
                    self.quarantine(&candidate, "its header does not match its checksum");
                }
                Err(RecordFault::Io(error)) => {
                    return Err(StoreError::io(&candidate.segment.path)(error));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn quarantine(&self, candidate: &Candidate, why: &str) {
        if self.state.lock().quarantine(&candidate.entry, why) {
            self.counters.damaged_chunks.add(1);
        }
    }
}
