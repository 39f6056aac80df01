//! An open segment file and the records in it.
//!
//! Bytes below a finished record's end never change. Removing the file does not take them from whoever
//! holds it open or mapped.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wolfdisk_common::disk::{Disk, DiskFile, OpenMode};
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::limits::BLOCK_SIZE_BYTES;
use wolfdisk_common::segment::{FileHeader, RECORD_HEADER_BYTES, RecordHeader, blocks, leaves};

use super::damage::ranges_of;
use super::error::StoreError;
use crate::digest::Digest;

/// See the module.
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub file: Arc<dyn DiskFile>,
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What was read does not match its checksums, or is another record.
    #[error("checksum mismatch")]
    Damaged,
}

/// What a whole record turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// All of it is what it was.
    Intact(Digest, Vec<u8>),
    /// The payload is, by its hash; the checksums beside it are not, and it must be stored anew.
    Salvageable(Digest, Vec<u8>),
    /// These ranges of the payload are lost.
    Damaged(Vec<Range<u32>>),
}

/// The file name of a segment.
pub fn file_name(id: SegmentId) -> String {
    format!("{:08x}.seg", id.0)
}

/// The segment that a file name stands for.
pub fn parse_file_name(name: &std::ffi::OsStr) -> Option<SegmentId> {
    let digits = name.to_str()?.strip_suffix(".seg")?;
    let id = u32::from_str_radix(digits, 16).ok().filter(|id| *id > 0)?;
    (file_name(SegmentId(id)).as_str() == name).then_some(SegmentId(id))
}

impl Segment {
    /// Creates an empty segment. Durable after a sync of it and of the directory.
    ///
    /// # Errors
    /// What the system says; nothing is left then.
    pub fn create(disk: &dyn Disk, dir: &Path, header: FileHeader) -> Result<Segment, StoreError> {
        let path = dir.join(file_name(header.segment));
        let file = disk
            .open(&path, OpenMode::CreateNew)
            .map_err(StoreError::io(&path))?;
        if let Err(error) = file.write_at(&header.to_bytes(), 0) {
            if let Err(error) = disk.remove(&path) {
                tracing::warn!(%error, path = %path.display(), "an empty segment stays behind");
            }
            return Err(StoreError::io(&path)(error));
        }
        Ok(Segment {
            id: header.segment,
            path,
            file,
        })
    }

    /// Reads and verifies the fixed header of the record at `offset`.
    ///
    /// # Errors
    /// `Damaged` if none is there that says it belongs there.
    pub fn header(&self, offset: u64) -> Result<RecordHeader, RecordFault> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => RecordFault::Damaged,
                _ => RecordFault::Io(error),
            })?;
        let header = RecordHeader::parse(&bytes).map_err(|_| RecordFault::Damaged)?;
        let own = header.segment == self.id && header.record_offset == offset;
        if own {
            Ok(header)
        } else {
            Err(RecordFault::Damaged)
        }
    }

    /// Reads a range of the payload and verifies the blocks it touches. The range lies within it.
    ///
    /// # Errors
    /// `Damaged` if a block or the tables do not match.
    pub fn read(
        &self,
        header: &RecordHeader,
        offset: u32,
        length: u32,
    ) -> Result<Vec<u8>, RecordFault> {
        let block = BLOCK_SIZE_BYTES as u32;
        let first = offset / block * block;
        let last = (offset + length).next_multiple_of(block).min(header.length);
        let lead = self.bytes(header.record_offset, header.tables_range().end)?;
        let tables = header.tables(&lead).map_err(|_| RecordFault::Damaged)?;
        let count = last.saturating_sub(first) as usize;
        let mut bytes = self.bytes(header.payload_offset + u64::from(first), count)?;
        tables
            .check((first / block) as usize, &bytes)
            .map_err(|_| RecordFault::Damaged)?;
        bytes.drain(..(offset - first) as usize);
        bytes.truncate(length as usize);
        Ok(bytes)
    }

    /// The hashes of all leaves, after one another; none of a payload of one leaf.
    ///
    /// # Errors
    /// `Damaged` if the tables do not match.
    pub fn leaf_hashes(&self, header: &RecordHeader) -> Result<Vec<u8>, RecordFault> {
        let lead = self.bytes(header.record_offset, header.tables_range().end)?;
        let tables = header.tables(&lead).map_err(|_| RecordFault::Damaged)?;
        let hashes = (0..leaves(header.length)).filter_map(|leaf| tables.leaf_hash(leaf));
        Ok(hashes.flatten().copied().collect())
    }

    /// Reads the whole payload and verifies everything: block checksums, leaf hashes and the id.
    ///
    /// # Errors
    /// `Damaged` if anything does not match.
    pub fn read_verified(&self, header: &RecordHeader) -> Result<(Digest, Vec<u8>), RecordFault> {
        let bytes = self.read(header, 0, header.length)?;
        let digest = Digest::of(&bytes);
        if digest.id == header.id {
            Ok((digest, bytes))
        } else {
            Err(RecordFault::Damaged)
        }
    }

    /// Reads all of a record and tells what is left of it. A sector that cannot be read is damage like any
    /// other.
    pub fn inspect(&self, header: &RecordHeader) -> Verdict {
        let payload = self.bytes(header.payload_offset, header.length as usize);
        let lead = self.bytes(header.record_offset, header.tables_range().end);
        let tables = lead.as_ref().ok().and_then(|lead| header.tables(lead).ok());
        if let Ok(bytes) = payload {
            let digest = Digest::of(&bytes);
            if digest.id == header.id {
                let whole = tables.is_some_and(|tables| tables.check(0, &bytes).is_ok());
                return match whole {
                    true => Verdict::Intact(digest, bytes),
                    false => Verdict::Salvageable(digest, bytes),
                };
            }
        }
        let all = 0..header.length;
        let Some(tables) = tables else {
            return Verdict::Damaged(vec![all]);
        };
        let bad: Vec<usize> = (0..blocks(header.length))
            .filter(|block| {
                let start = block * BLOCK_SIZE_BYTES;
                let count = BLOCK_SIZE_BYTES.min(header.length as usize - start);
                let bytes = self.bytes(header.payload_offset + start as u64, count);
                bytes.is_err() || bytes.is_ok_and(|bytes| tables.check(*block, &bytes).is_err())
            })
            .collect();
        // The hash is wrong but no checksum is: then nothing tells which bytes to believe.
        match bad.is_empty() {
            true => Verdict::Damaged(vec![all]),
            false => Verdict::Damaged(ranges_of(&bad, BLOCK_SIZE_BYTES, header.length)),
        }
    }

    fn bytes(&self, offset: u64, count: usize) -> Result<Vec<u8>, RecordFault> {
        let mut bytes = vec![0; count];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(RecordFault::Damaged),
            Err(error) => Err(RecordFault::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn only_our_own_names_are_segments() {
        assert_eq!(
            parse_file_name(OsStr::new("0000001f.seg")),
            Some(SegmentId(31))
        );
        for other in [
            "1f.seg",
            "0000001F.seg",
            "00000000.seg",
            "0000001f.seg.new",
            "epoch",
            "+000001f.seg",
        ] {
            assert_eq!(parse_file_name(OsStr::new(other)), None, "{other}");
        }
    }
}
