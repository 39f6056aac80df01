//! Bytes of an export **\[format\]**. All numbers are little-endian, all checksums CRC32C.
//!
//! A header, then blocks: those of the log, those of records, one end. Nothing follows the end.
//!
//! | offset | size | header, 80 bytes |
//! |---|---|---|
//! | 0 | 8 | magic `WDINDEXP` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | length of this header, 80 |
//! | 16 | 16 | volume id (UUID) |
//! | 32 | 8 | version of the index |
//! | 40 | 8 | the last log entry in it |
//! | 48 | 8 | that entry's term |
//! | 56 | 8 | incarnation of the daemon that wrote this |
//! | 64 | 8 | when it was written, seconds since 1970 (signed) |
//! | 72 | 4 | zero |
//! | 76 | 4 | checksum of bytes 0 to 75 |
//!
//! | offset | size | block |
//! |---|---|---|
//! | 0 | 1 | kind: 1 an entry of the log, 2 records, 3 the end |
//! | 1 | 3 | zero |
//! | 4 | 4 | length L of what follows these 20 bytes |
//! | 8 | 8 | number of the block, from 0 |
//! | 16 | 4 | checksum of bytes 0 to 15 and of what follows |
//! | 20 | L | see below |
//!
//! * An entry: its index u64, its term u64, its payload. Entries have ascending indexes without gaps up to that of the
//!   header; there are those that content of files still rides in, and what is between them.
//! * Records: length of the key u16, length of the value u32, key, value, as they are in the checkpoint but for its
//!   checksum; in ascending order of all keys, at least one in a block.
//! * The end: number of entries u64, number of records u64, SHA-256 of everything before this block and of these two
//!   numbers.

use uuid::Uuid;
use wolfdisk_common::ids::{Incarnation, LogIndex, Term, Version};

use crate::limits::RECORD_PAYLOAD_MAX_BYTES;

/// The newest format.
pub const FORMAT: u32 = 1;
/// Bytes before the first block.
pub const HEADER_BYTES: usize = 80;
/// Bytes of a block before what it holds.
pub const BLOCK_HEADER_BYTES: usize = 20;
/// Of an entry before its payload.
pub const ENTRY_HEAD_BYTES: usize = 16;
/// Of a record before its key.
pub const RECORD_HEAD_BYTES: usize = 6;
/// Of the end.
pub const END_BYTES: usize = 48;
/// What a block holds at the most: an entry, or records, of which the last may be the longest that there is.
pub const BLOCK_MAX_BYTES: usize = ENTRY_HEAD_BYTES + RECORD_PAYLOAD_MAX_BYTES;
/// A block of records is ended when it holds so much.
pub const RECORDS_BYTES: usize = 256 * 1024;

pub(super) const KIND_ENTRY: u8 = 1;
pub(super) const KIND_RECORDS: u8 = 2;
pub(super) const KIND_END: u8 = 3;

const MAGIC: &[u8; 8] = b"WDINDEXP";
const CRC_AT: usize = HEADER_BYTES - 4;

/// What an export is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The volume.
    pub volume: Uuid,
    /// Mutations in it.
    pub version: Version,
    /// The last log entry in it.
    pub index: LogIndex,
    /// That entry's term.
    pub term: Term,
    /// The life of the daemon that wrote it.
    pub incarnation: Incarnation,
    /// When, in seconds since 1970.
    pub created_s: i64,
}

/// Why a file is not taken for an export.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It could not be read.
    #[error("the export cannot be read")]
    Io(#[from] std::io::Error),
    /// It begins like something else.
    #[error("this is no export of an index: it does not begin like one")]
    Magic,
    /// A newer release wrote it.
    #[error(
        "the export has format {0}, this release reads up to {FORMAT}: import it with the newer release"
    )]
    Newer(u32),
    /// It ends before its end.
    #[error("the export is cut off after {0} bytes: copy it again, or take another one")]
    Short(u64),
    /// It is not what was written.
    #[error("the export is damaged at offset {at}: {what}; copy it again, or take another one")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = &mut bytes[..];
        put(&mut rest, MAGIC);
        put(&mut rest, &FORMAT.to_le_bytes());
        put(&mut rest, &(HEADER_BYTES as u32).to_le_bytes());
        put(&mut rest, self.volume.as_bytes());
        put(&mut rest, &self.version.0.to_le_bytes());
        put(&mut rest, &self.index.0.to_le_bytes());
        put(&mut rest, &self.term.0.to_le_bytes());
        put(&mut rest, &self.incarnation.0.to_le_bytes());
        put(&mut rest, &self.created_s.to_le_bytes());
        let (covered, crc) = bytes.split_at_mut(CRC_AT);
        crc.copy_from_slice(&crc32c::crc32c(covered).to_le_bytes());
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// All but `Io` and `Short`.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, FormatError> {
        let mut rest = &bytes[..];
        let damaged = |what| FormatError::Damaged { at: 0, what };
        if take(&mut rest) != Some(*MAGIC) {
            return Err(FormatError::Magic);
        }
        match take(&mut rest).map(u32::from_le_bytes) {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(FormatError::Newer(found)),
            _ => return Err(damaged("it has no format version")),
        }
        let (covered, crc) = bytes.split_at(CRC_AT);
        if crc != crc32c::crc32c(covered).to_le_bytes() {
            return Err(damaged("the checksum of its header is wrong"));
        }
        let fields = || -> Option<(Header, [u8; 4], [u8; 4])> {
            let length = take(&mut rest)?;
            let mut long = || take(&mut rest).map(u64::from_le_bytes);
            let (low, high) = (long()?, long()?);
            let volume = [low.to_le_bytes(), high.to_le_bytes()].concat();
            let header = Header {
                volume: Uuid::from_slice(&volume).ok()?,
                version: Version(long()?),
                index: LogIndex(long()?),
                term: Term(long()?),
                incarnation: Incarnation(long()?),
                created_s: long()? as i64,
            };
            Some((header, length, take(&mut rest)?))
        };
        let mut fields = fields;
        let (header, length, zero) = fields().ok_or_else(|| damaged("its header is too short"))?;
        if u32::from_le_bytes(length) as usize != HEADER_BYTES || zero != [0; 4] {
            return Err(damaged("its header is not one of this format"));
        }
        Ok(header)
    }
}

fn put(room: &mut &mut [u8], bytes: &[u8]) {
    let (first, rest) = std::mem::take(room).split_at_mut(bytes.len());
    first.copy_from_slice(bytes);
    *room = rest;
}

/// The next bytes of what is left.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

/// The head of a block without its checksum.
pub(super) fn block_head(kind: u8, length: usize, number: u64) -> [u8; BLOCK_HEADER_BYTES - 4] {
    let mut head = [0; BLOCK_HEADER_BYTES - 4];
    let mut rest = &mut head[..];
    put(&mut rest, &[kind, 0, 0, 0]);
    put(&mut rest, &(length as u32).to_le_bytes());
    put(&mut rest, &number.to_le_bytes());
    head
}

pub(super) fn block_crc(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}
