//! Bytes of the log **\[format\]**. All numbers are little-endian, all checksums CRC32C (RFC 3720).
//!
//! A segment file is named by its sequence, 16 hexadecimal digits and `.log`. It is a header of 128
//! bytes, then records, each beginning at a multiple of 8, then zeroes. Its length never changes.
//!
//! | offset | size | segment header |
//! |---|---|---|
//! | 0 | 8 | magic `WDLOGSEG` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | length of this header, 128 |
//! | 16 | 16 | log id (UUID), drawn when the log was made |
//! | 32 | 8 | sequence of the segment |
//! | 40 | 8 | index of the first record |
//! | 48 | 8 | start: where byte 0 of this file stands in the global byte order |
//! | 56 | 8 | length of the file; the next segment starts at start + length |
//! | 64 | 4 | chain: checksum of the record before the first one; of the log id if there is none |
//! | 68 | 4 | checksum of bytes 0 to 67 |
//! | 72 | 56 | zeroes |
//!
//! | offset | size | record |
//! |---|---|---|
//! | 0 | 4 | length L of the payload |
//! | 4 | 1 | kind: 1 an entry |
//! | 5 | 1 | format version, 1 |
//! | 6 | 2 | number N of blocks: ceil(L / 128 KiB) |
//! | 8 | 8 | index |
//! | 16 | 8 | term |
//! | 24 | 8 | synced: an offset in the global byte order; all before it was durable when this was written |
//! | 32 | 4 | chain: the checksum (offset 36) of the record before |
//! | 36 | 4 | checksum of the log id, bytes 0 to 35 and the table |
//! | 40 | 4 N | table: the checksum of each block of 128 KiB of the payload |
//! | | | zeroes to a multiple of 8 |
//! | | L | payload |
//! | | | zeroes to a multiple of 8 |
//!
//! A reader of a part of a payload reads and verifies the blocks that hold it. The log id in the
//! checksum keeps a copy of another log, stored in a file and riding in this one, from being taken for
//! records.

use uuid::Uuid;
use wolfdisk_common::ids::{LogIndex, Term};

use crate::limits::RECORD_PAYLOAD_MAX_BYTES;

/// Bytes of a segment before its first record.
pub const SEGMENT_HEADER_BYTES: usize = 128;
/// Bytes of a record before its table.
pub const RECORD_HEADER_BYTES: usize = 40;
/// Payload covered by one checksum: data that rides in the log fits in one with what names it.
pub const BLOCK_BYTES: usize = 128 * 1024;
/// Records begin at multiples of this.
pub const ALIGNMENT: usize = 8;
/// The longest header and table.
pub const RECORD_PREFIX_MAX_BYTES: usize =
    RECORD_HEADER_BYTES + 4 * RECORD_PAYLOAD_MAX_BYTES.div_ceil(BLOCK_BYTES);

const SEGMENT_MAGIC: &[u8; 8] = b"WDLOGSEG";
const SEGMENT_CRC_AT: usize = 68;
const RECORD_CRC_AT: usize = 36;
const KIND_ENTRY: u8 = 1;
/// The newest format of segments and of records.
pub const FORMAT: u32 = 1;

/// The head of a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The log it belongs to.
    pub log_id: Uuid,
    /// Its place among the segments.
    pub sequence: u64,
    /// Index of its first record.
    pub first_index: LogIndex,
    /// Where byte 0 of the file stands in the global byte order.
    pub start: u64,
    /// Length of the file.
    pub length: u64,
    /// Checksum of the record before the first.
    pub chain: u32,
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Bytes of payload.
    pub length: u32,
    /// Its index.
    pub index: LogIndex,
    /// The term it was proposed in.
    pub term: Term,
    /// All before this global offset was durable when the record was written.
    pub synced: u64,
    /// Checksum of the record before.
    pub chain: u32,
    /// Its own checksum, which the next record names.
    pub crc: u32,
}

/// What is wrong with bytes that should be a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Not what was written.
    Damaged(&'static str),
    /// Intact, and of a release after this one.
    Newer(u32),
}

/// The name of a segment's file.
pub fn segment_name(sequence: u64) -> String {
    format!("{sequence:016x}.log")
}

/// The sequence in the name of a segment's file.
pub fn segment_sequence(name: &str) -> Option<u64> {
    let digits = name
        .strip_suffix(".log")
        .filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// What all checksums of records of a log begin with.
pub fn seed(log_id: Uuid) -> u32 {
    crc32c::crc32c(log_id.as_bytes())
}

/// Bytes from the start of a record to its payload.
pub fn prefix_bytes(payload: usize) -> usize {
    (RECORD_HEADER_BYTES + 4 * payload.div_ceil(BLOCK_BYTES)).next_multiple_of(ALIGNMENT)
}

/// Bytes of a whole record.
pub fn record_bytes(payload: usize) -> usize {
    prefix_bytes(payload) + payload.next_multiple_of(ALIGNMENT)
}

impl SegmentHeader {
    /// The bytes of the header.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(SEGMENT_MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(SEGMENT_HEADER_BYTES as u32).to_le_bytes());
        bytes.extend_from_slice(self.log_id.as_bytes());
        for number in [self.sequence, self.first_index.0, self.start, self.length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let mut whole = [0; SEGMENT_HEADER_BYTES];
        whole
            .iter_mut()
            .zip(bytes)
            .for_each(|(room, byte)| *room = byte);
        whole
    }

    /// Reads a header.
    ///
    /// # Errors
    /// See [`Bad`].
    pub fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<SegmentHeader, Bad> {
        let number = |at| u64::from_le_bytes(field(bytes, at));
        let small = |at| u32::from_le_bytes(field(bytes, at));
        if field::<8>(bytes, 0) != *SEGMENT_MAGIC {
            return Err(Bad::Damaged("it does not begin like a segment"));
        }
        let (covered, _) = bytes.split_at(SEGMENT_CRC_AT);
        if crc32c::crc32c(covered) != small(SEGMENT_CRC_AT) {
            return Err(Bad::Damaged(
                "the checksum of the segment's header is wrong",
            ));
        }
        if small(8) != FORMAT {
            return Err(Bad::Newer(small(8)));
        }
        Ok(SegmentHeader {
            log_id: Uuid::from_bytes(field(bytes, 16)),
            sequence: number(32),
            first_index: LogIndex(number(40)),
            start: number(48),
            length: number(56),
            chain: small(64),
        })
    }
}

/// Appends a record to `buffer` and gives its checksum and that of its first block.
pub fn encode_record(
    buffer: &mut Vec<u8>,
    seed: u32,
    header: &RecordHeader,
    payload: &[u8],
) -> (u32, u32) {
    let begin = buffer.len();
    let blocks = payload.len().div_ceil(BLOCK_BYTES);
    buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&[KIND_ENTRY, FORMAT as u8]);
    buffer.extend_from_slice(&(blocks as u16).to_le_bytes());
    for number in [header.index.0, header.term.0, header.synced] {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
    buffer.extend_from_slice(&header.chain.to_le_bytes());
    let mut crc = buffer
        .get(begin..)
        .map_or(seed, |bytes| crc32c::crc32c_append(seed, bytes));
    let mut first = 0;
    let mut table = Vec::with_capacity(4 * blocks);
    for (number, block) in payload.chunks(BLOCK_BYTES).enumerate() {
        let block_crc = crc32c::crc32c(block);
        first = if number == 0 { block_crc } else { first };
        table.extend_from_slice(&block_crc.to_le_bytes());
    }
    crc = crc32c::crc32c_append(crc, &table);
    buffer.extend_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(&table);
    buffer.resize(begin + prefix_bytes(payload.len()), 0);
    buffer.extend_from_slice(payload);
    buffer.resize(begin + record_bytes(payload.len()), 0);
    (crc, first)
}

/// Reads the header at the beginning of `bytes`, which must hold the table too, and gives it with the
/// table.
///
/// # Errors
/// See [`Bad`].
pub fn decode_record(bytes: &[u8], seed: u32) -> Result<(RecordHeader, &[[u8; 4]]), Bad> {
    let short = Bad::Damaged("a record's header is cut off");
    let (head, rest) = bytes
        .split_first_chunk::<RECORD_HEADER_BYTES>()
        .ok_or(short)?;
    let number = |at| u64::from_le_bytes(field(head, at));
    let small = |at| u32::from_le_bytes(field(head, at));
    let length = small(0);
    let blocks = usize::from(u16::from_le_bytes(field(head, 6)));
    if length as usize > RECORD_PAYLOAD_MAX_BYTES
        || blocks != (length as usize).div_ceil(BLOCK_BYTES)
    {
        return Err(Bad::Damaged("a record's length is impossible"));
    }
    let (table, _) = rest.split_at_checked(4 * blocks).ok_or(short)?;
    let (covered, _) = head.split_at(RECORD_CRC_AT);
    let crc = small(RECORD_CRC_AT);
    if crc32c::crc32c_append(crc32c::crc32c_append(seed, covered), table) != crc {
        return Err(Bad::Damaged("the checksum of a record's header is wrong"));
    }
    let [kind, format] = field::<2>(head, 4);
    if (kind, u32::from(format)) != (KIND_ENTRY, FORMAT) {
        return Err(Bad::Newer(u32::from(format).max(FORMAT + 1)));
    }
    let header = RecordHeader {
        length,
        index: LogIndex(number(8)),
        term: Term(number(16)),
        synced: number(24),
        chain: small(32),
        crc,
    };
    Ok((header, table.as_chunks().0))
}

/// Whether a payload is what its table says.
pub fn payload_is_good(payload: &[u8], table: &[[u8; 4]]) -> bool {
    let mut pairs = payload.chunks(BLOCK_BYTES).zip(table);
    pairs.all(|(block, crc)| crc32c::crc32c(block) == u32::from_le_bytes(*crc))
}

/// `N` bytes at a constant offset inside a fixed header.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    *found.expect("the offset lies inside the header")
}
