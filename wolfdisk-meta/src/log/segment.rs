//! One segment file, and where each of its records stands.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::disk::DiskFile;
use wolfdisk_common::ids::{LogIndex, Term};

use super::at;
use super::format::{
    BLOCK_BYTES, Bad, RECORD_PREFIX_MAX_BYTES, RecordHeader, SegmentHeader, decode_record,
    payload_is_good, prefix_bytes, record_bytes,
};
use crate::consensus::ReplicationError;

/// Where a record stands. Twelve bytes, because there are a million of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Offset of the record in the file.
    pub offset: u32,
    /// Length of its payload.
    pub length: u32,
    /// Checksum of its payload's first block: nearly every payload has no other, so that reading a part
    /// takes one read.
    pub first_crc: u32,
}

/// See the module.
pub(super) struct Segment {
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
    pub header: SegmentHeader,
    pub places: Vec<Place>,
    /// Where the next record goes.
    pub end: u64,
}

impl Segment {
    /// Index of the record after the last.
    pub fn next_index(&self) -> LogIndex {
        LogIndex(self.header.first_index.0 + self.places.len() as u64)
    }

    /// The end of the last record in the global byte order.
    pub fn global_end(&self) -> u64 {
        self.header.start + self.end
    }

    /// Where the record `index` stands.
    pub fn place(&self, index: LogIndex) -> Option<Place> {
        let position = index.0.checked_sub(self.header.first_index.0)?;
        self.places.get(usize::try_from(position).ok()?).copied()
    }

    /// A part of the payload of the record at `place`, verified.
    ///
    /// # Errors
    /// `NoEntry` if the record is shorter, `Damaged`, `Io`.
    pub fn read(
        &self,
        seed: u32,
        index: LogIndex,
        place: Place,
        offset: u32,
        length: u32,
    ) -> Result<Bytes, ReplicationError> {
        let (from, length) = (offset as usize, length as usize);
        let end = from.saturating_add(length);
        let whole = place.length as usize;
        if end > whole {
            return Err(ReplicationError::NoEntry(index));
        }
        let first = from / BLOCK_BYTES;
        let begin = first * BLOCK_BYTES;
        let stop = end.next_multiple_of(BLOCK_BYTES).min(whole);
        let mut blocks = vec![0; stop - begin];
        let payload_at = u64::from(place.offset) + prefix_bytes(whole) as u64;
        let read = self
            .file
            .read_exact_at(&mut blocks, payload_at + begin as u64);
        read.map_err(at(&self.path))?;
        let good = match whole <= BLOCK_BYTES {
            true => crc32c::crc32c(&blocks) == place.first_crc || blocks.is_empty(),
            false => {
                let mut prefix = [0; RECORD_PREFIX_MAX_BYTES];
                let (_, table) = self.prefix(seed, place, &mut prefix)?;
                payload_is_good(&blocks, table.get(first..).unwrap_or_default())
            }
        };
        match good {
            true => Ok(Bytes::from(blocks).slice(from - begin..end - begin)),
            false => Err(self.damaged(place.offset, "the checksum of a record's payload is wrong")),
        }
    }

    /// A whole record, verified.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`, `Io`.
    pub fn read_whole(
        &self,
        seed: u32,
        index: LogIndex,
        place: Place,
    ) -> Result<(Term, Bytes), ReplicationError> {
        let mut bytes = vec![0; record_bytes(place.length as usize)];
        self.file
            .read_exact_at(&mut bytes, place.offset.into())
            .map_err(at(&self.path))?;
        let (header, table) =
            decode_record(&bytes, seed).map_err(|bad| self.bad(place.offset, bad))?;
        let from = prefix_bytes(place.length as usize);
        let payload = bytes
            .get(from..from + place.length as usize)
            .unwrap_or_default();
        let same = header.index == index && header.length == place.length;
        if !same || !payload_is_good(payload, table) {
            return Err(self.damaged(place.offset, "a record is not the one that was written"));
        }
        let term = header.term;
        let end = from + place.length as usize;
        Ok((term, Bytes::from(bytes).slice(from..end)))
    }

    /// The head of the record at `place`.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn head(&self, seed: u32, place: Place) -> Result<RecordHeader, ReplicationError> {
        let mut room = [0; RECORD_PREFIX_MAX_BYTES];
        self.prefix(seed, place, &mut room)
            .map(|(header, _)| header)
    }

    fn prefix<'a>(
        &self,
        seed: u32,
        place: Place,
        room: &'a mut [u8; RECORD_PREFIX_MAX_BYTES],
    ) -> Result<(RecordHeader, &'a [[u8; 4]]), ReplicationError> {
        let count = self
            .file
            .read_at(room, place.offset.into())
            .map_err(at(&self.path))?;
        let (bytes, _) = room.split_at(count);
        decode_record(bytes, seed).map_err(|bad| self.bad(place.offset, bad))
    }

    fn bad(&self, offset: u32, bad: Bad) -> ReplicationError {
        match bad {
            Bad::Damaged(what) => self.damaged(offset, what),
            Bad::Newer(_) => self.damaged(offset, "a record has changed its format"),
        }
    }

    pub fn damaged(&self, offset: impl Into<u64>, what: &str) -> ReplicationError {
        ReplicationError::Damaged {
            path: self.path.clone(),
            offset: offset.into(),
            what: what.to_owned(),
        }
    }
}
