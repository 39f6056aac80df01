//! Reading ranges of chunks: from the mapping, verified, without a copy; else through the daemon.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::limits::BLOCK_SIZE_BYTES;
use wolfdisk_common::segment::RecordHeader;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::{LocateRequest, ReadRequest, RetiredRequest, SegmentRequest};

use super::locations::{Locations, Place};
use super::mapping::Mapping;
use super::remote::Remote;
use super::segments::Segments;
use crate::counters::{Counter, Counters};
use crate::error::{Error, Result};
use crate::limits;
use crate::transport::{ChunkCalls, call};

/// A verified range: of a mapping that it keeps alive, or bytes of its own.
#[derive(Clone, Debug)]
pub(crate) enum ChunkBytes {
    Mapped {
        mapping: Arc<Mapping>,
        offset: usize,
        length: usize,
    },
    Owned(Bytes),
}

impl ChunkBytes {
    pub(crate) fn len(&self) -> usize {
        match self {
            ChunkBytes::Mapped { length, .. } => *length,
            ChunkBytes::Owned(bytes) => bytes.len(),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            ChunkBytes::Mapped {
                mapping,
                offset,
                length,
            } => mapping
                .bytes()
                .get(*offset..offset + length)
                .unwrap_or_default(),
            ChunkBytes::Owned(bytes) => bytes,
        }
    }

    /// Keeps the first `at` bytes, of which there must be so many, and gives the others.
    pub(crate) fn split_off(&mut self, at: usize) -> ChunkBytes {
        match self {
            ChunkBytes::Mapped {
                mapping,
                offset,
                length,
            } => {
                let rest = ChunkBytes::Mapped {
                    mapping: Arc::clone(mapping),
                    offset: *offset + at,
                    length: *length - at,
                };
                *length = at;
                rest
            }
            ChunkBytes::Owned(bytes) => ChunkBytes::Owned(bytes.split_off(at)),
        }
    }

    /// A page of its mapping could not be read.
    pub(crate) fn is_damaged(&self) -> bool {
        match self {
            ChunkBytes::Mapped { mapping, .. } => mapping.is_damaged(),
            ChunkBytes::Owned(_) => false,
        }
    }
}

/// What reading from the mapping gave.
enum Mapped {
    Bytes(ChunkBytes),
    /// The chunk has no place on this machine.
    Elsewhere,
    /// Its segment is not mapped, or a page of it could not be read.
    Unusable,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    calls: ChunkCalls,
    counters: Arc<Counters>,
    locations: Locations,
    segments: Segments,
    /// See [`crate::VolumeConfig::mapped_max_bytes`].
    mapped_max: usize,
    /// If the chunks are on another machine.
    remote: Option<Arc<Remote>>,
}

impl ChunkReader {
    /// A reader that asks `calls`, or `remote`.
    pub(crate) fn new(
        calls: ChunkCalls,
        counters: Arc<Counters>,
        mapped_max: usize,
        remote: Option<Arc<Remote>>,
    ) -> ChunkReader {
        ChunkReader {
            calls,
            counters,
            locations: Locations::default(),
            segments: Segments::default(),
            mapped_max,
            remote,
        }
    }

    /// What reads instead, if the chunks are on another machine.
    pub(crate) fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    /// `length` bytes of a chunk from `offset` on. Every block that is served was verified in this call.
    pub(crate) fn read(&self, id: ChunkId, offset: usize, length: usize) -> Result<ChunkBytes> {
        match self.read_mapped(id, offset, length) {
            Ok(Mapped::Bytes(bytes)) => return Ok(bytes),
            // It may be on another node: the daemon fetches it.
            Ok(Mapped::Elsewhere) => return self.read_through(id, offset, length),
            Ok(Mapped::Unusable) => {}
            Err(error) => self.is_damaged(&id, offset, &error),
        }
        // The place may have been out of date, or its segment unmapped: once more from the start,
        // then by way of the daemon, which verifies (and repairs) by itself.
        self.locations.forget(&id);
        match self.read_mapped(id, offset, length) {
            Ok(Mapped::Bytes(bytes)) => Ok(bytes),
            _ => self.read_through(id, offset, length),
        }
    }

    fn is_damaged(&self, id: &ChunkId, offset: usize, error: &Error) {
        self.counters.count(Counter::DamagedBlocks);
        tracing::warn!(chunk = %id, offset, %error, "a chunk cannot be used");
    }

    fn read_through(&self, id: ChunkId, offset: usize, length: usize) -> Result<ChunkBytes> {
        self.counters.count(Counter::ChunkRead);
        let request = ReadRequest {
            id: id_bytes(&id),
            offset: offset as u32,
            length: length as u32,
            ..ReadRequest::default()
        };
        let reply =
            call(|options| self.calls.read(options, &request)).map_err(|error| match error {
                // To whoever reads the file it is not the file that is missing.
                Error::Failed(Failure::Errno(libc::ENOENT)) => {
                    let error = missing(&id);
                    self.is_damaged(&id, offset, &error);
                    error
                }
                other => other,
            })?;
        if reply.data.len() == length {
            Ok(ChunkBytes::Owned(reply.data))
        } else {
            Err(Error::Malformed("a read of another length"))
        }
    }

    /// Learns the places of chunks that will be read soon, all in one call, and has the kernel read them.
    pub(crate) fn prefetch(&self, ids: &[ChunkId]) -> Result<()> {
        let unknown: Vec<ChunkId> = ids
            .iter()
            .filter(|id| self.locations.get(id).is_none())
            .copied()
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        self.locate(&unknown)
    }

    /// The place of a chunk is known.
    pub(crate) fn is_located(&self, id: &ChunkId) -> bool {
        self.locations.get(id).is_some()
    }

    /// Asks the kernel to read a whole chunk if it is mapped.
    pub(crate) fn advise(&self, id: &ChunkId) {
        if let Some(place) = self.locations.get(id)
            && let Some(mapping) = self.segments.get(place.segment)
        {
            mapping.prefetch(place.payload_offset as usize, place.length as usize);
        }
    }

    /// Lets go of segments that the store has replaced.
    pub(crate) fn drop_retired(&self) -> Result<()> {
        let held = self.segments.held();
        if held.is_empty() {
            return Ok(());
        }
        let request = RetiredRequest { held };
        let reply = call(|options| self.calls.retired(options, &request))?;
        for segment in reply.retired.into_iter().map(SegmentId) {
            self.segments.unmap(segment);
            self.locations.forget_segment(segment);
        }
        Ok(())
    }

    fn read_mapped(&self, id: ChunkId, offset: usize, length: usize) -> Result<Mapped> {
        let Some(place) = self.place(&id)? else {
            return Ok(Mapped::Elsewhere);
        };
        let Some(mapping) = self.mapping(&place)? else {
            return Ok(Mapped::Unusable);
        };
        let start = verify(&mapping, &place, &id, offset, length)?;
        let mapped = length.max(limits::FAULT_AROUND_BYTES);
        self.segments.has_read(mapped, self.mapped_max);
        Ok(Mapped::Bytes(ChunkBytes::Mapped {
            mapping,
            offset: start,
            length,
        }))
    }

    /// Where a chunk is; none: not on this machine.
    fn place(&self, id: &ChunkId) -> Result<Option<Place>> {
        if let Some(place) = self.locations.get(id) {
            return Ok(Some(place));
        }
        self.locate(std::slice::from_ref(id))?;
        Ok(self.locations.get(id))
    }

    /// The segment of a place; none: it cannot be used.
    fn mapping(&self, place: &Place) -> Result<Option<Arc<Mapping>>> {
        match self.segments.get(place.segment) {
            Some(mapping) => Ok((!mapping.is_damaged()).then_some(mapping)),
            None => self.fetch_segment(place.segment),
        }
    }

    fn locate(&self, ids: &[ChunkId]) -> Result<()> {
        self.counters.count(Counter::Locate);
        let request = LocateRequest {
            ids: ids.iter().map(id_bytes).collect(),
        };
        let reply = call(|options| self.calls.locate(options, &request))?;
        for (id, location) in ids.iter().zip(reply.locations) {
            if location.found {
                let place = Place {
                    segment: SegmentId(location.segment),
                    record_offset: location.record_offset,
                    payload_offset: location.payload_offset,
                    length: location.length,
                };
                self.locations.learn(*id, place);
            }
        }
        Ok(())
    }

    /// Maps a segment; none where descriptors do not travel.
    fn fetch_segment(&self, segment: SegmentId) -> Result<Option<Arc<Mapping>>> {
        self.counters.count(Counter::Segment);
        let request = SegmentRequest { segment: segment.0 };
        let mut received = Vec::new();
        let reply = call(|options| {
            let reply = self.calls.segment(options, &request)?;
            received = std::mem::take(&mut options.received);
            Ok(reply)
        });
        match reply {
            Ok(_) => {}
            Err(Error::Failed(Failure::Unsupported(_))) => return Ok(None),
            Err(error) => return Err(error),
        }
        let fd = received
            .pop()
            .ok_or(Error::Malformed("a segment without its descriptor"))?;
        self.segments.map(segment, &File::from(fd)).map(Some)
    }
}

/// Verifies the header and every block of the range; gives where the range begins in the mapping.
fn verify(
    mapping: &Mapping,
    place: &Place,
    id: &ChunkId,
    offset: usize,
    length: usize,
) -> Result<usize> {
    let damaged = || Error::Failed(Failure::Corrupt(format!("chunk {id}")));
    let record = mapping
        .bytes()
        .get(place.record_offset as usize..)
        .ok_or_else(damaged)?;
    let header = RecordHeader::parse(record).map_err(|_| damaged())?;
    let end = offset + length;
    let consistent = header.id == *id
        && header.segment == place.segment
        && header.record_offset == place.record_offset
        && end <= header.length as usize;
    if !consistent {
        return Err(damaged());
    }
    let tables = header.tables(record).map_err(|_| damaged())?;
    let first_block = offset / BLOCK_SIZE_BYTES;
    let blocks_end = end
        .next_multiple_of(BLOCK_SIZE_BYTES)
        .min(header.length as usize);
    let payload = header.payload_offset as usize;
    let blocks = mapping
        .bytes()
        .get(payload + first_block * BLOCK_SIZE_BYTES..payload + blocks_end)
        .ok_or_else(damaged)?;
    tables.check(first_block, blocks).map_err(|_| damaged())?;
    if mapping.is_damaged() {
        Err(damaged())
    } else {
        Ok(payload + offset)
    }
}

pub(crate) fn missing(id: &ChunkId) -> Error {
    Error::Failed(Failure::Corrupt(format!("chunk {id} is missing")))
}

pub(crate) fn id_bytes(id: &ChunkId) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}
