//! The segment file of the chunk store **\[format\]**: headers and layout, no I/O.
//!
//! The store writes segments, front-ends read them through mappings; both verify with what is here. All
//! integers are little-endian, checksums are CRC32C (RFC 3720), offsets count from the file's start.
//!
//! ```text
//! segment := file header | record* ; records begin at multiples of 8, gaps are zero
//!
//! file header, 64 bytes
//!    0  8  magic "WDSEGMNT"
//!    8  4  format version, 1
//!   12  4  page size that large payloads are aligned to, a power of two
//!   16 16  volume id
//!   32  4  segment id
//!   36 24  zero
//!   60  4  CRC of bytes 0..60
//!
//! record := fixed header | tables | gap | payload
//!
//! fixed header, 96 bytes
//!    0  4  magic "WDCR"
//!    4  2  format version, 1
//!    6  2  zero
//!    8  4  segment id        \ a record that is found elsewhere (a copy inside a payload, a
//!   12  4  zero              | misdirected write) does not match
//!   16  8  record offset     / its own place
//!   24  8  payload offset
//!   32  4  payload length
//!   36  4  length of the tables
//!   40  8  floor: the place up to which segments were known synced when this was written
//!   48 32  chunk id
//!   80  4  CRC of the tables
//!   84  8  zero
//!   92  4  CRC of bytes 0..92
//!
//! tables := CRC (4) of each 4 KiB block of the payload, then,
//!           if the payload is longer than 64 KiB, SHA-256 (32) of each 64 KiB leaf
//! ```
//!
//! A payload of 64 KiB or more begins at a multiple of the page size, a smaller one right after the
//! tables. The last block and the last leaf may be short. The next record begins at the next multiple
//! of 8 after the payload.

use crate::ids::{ChunkId, SegmentId};
use crate::limits::{BLOCK_SIZE_BYTES, CHUNK_SIZE_MAX_BYTES, LEAF_SIZE_BYTES};

/// Bytes of the file header; the first record begins here.
pub const FILE_HEADER_BYTES: usize = 64;
/// Bytes of a record's fixed header; its tables begin here.
pub const RECORD_HEADER_BYTES: usize = 96;
/// Records begin at multiples of this.
pub const RECORD_ALIGN_BYTES: u64 = 8;
/// Payloads of at least this size are page-aligned, so that they can be mapped and spliced.
pub const ALIGNED_PAYLOAD_MIN_BYTES: usize = LEAF_SIZE_BYTES;
/// No segment is longer: a place in one fits 28 bits.
pub const SEGMENT_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The first bytes of a record.
pub const RECORD_MAGIC: [u8; 4] = *b"WDCR";

const FILE_MAGIC: [u8; 8] = *b"WDSEGMNT";
const FORMAT: u16 = 1;
const CRC_BYTES: usize = 4;
const HASH_BYTES: usize = 32;

/// Why bytes are no header, or a header that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Fewer bytes than a header has.
    #[error("the header is cut short")]
    Short,
    /// The magic is missing.
    #[error("no header is here")]
    Magic,
    /// A checksum does not match.
    #[error("a checksum does not match")]
    Checksum,
    /// Written by a newer release.
    #[error("format {0} of a newer release")]
    NewerFormat(u32),
    /// The checksum matches but the values cannot be: a fault of the writer.
    #[error("impossible values in a header")]
    Impossible,
}

/// What a segment file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Large payloads begin at multiples of this.
    pub page_size: u32,
    /// The volume it belongs to.
    pub volume: [u8; 16],
    /// Its own number.
    pub segment: SegmentId,
}

impl FileHeader {
    /// The bytes at the start of the file.
    pub fn to_bytes(self) -> [u8; FILE_HEADER_BYTES] {
        let mut writer = Writer::<FILE_HEADER_BYTES>::default();
        writer.put(0, &FILE_MAGIC);
        writer.put(8, &u32::from(FORMAT).to_le_bytes());
        writer.put(12, &self.page_size.to_le_bytes());
        writer.put(16, &self.volume);
        writer.put(32, &self.segment.0.to_le_bytes());
        writer.seal()
    }

    /// Reads and verifies the start of a file.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn parse(bytes: &[u8]) -> Result<FileHeader, SegmentError> {
        let reader = Reader::<FILE_HEADER_BYTES>::open(bytes, &FILE_MAGIC)?;
        match reader.u32(8) {
            1 => {}
            newer => return Err(SegmentError::NewerFormat(newer)),
        }
        let header = FileHeader {
            page_size: reader.u32(12),
            volume: reader.array(16),
            segment: SegmentId(reader.u32(32)),
        };
        let possible = header.page_size.is_power_of_two() && header.page_size >= 4096;
        if possible {
            Ok(header)
        } else {
            Err(SegmentError::Impossible)
        }
    }
}

/// Where the parts of a record lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the record begins.
    pub record_offset: u64,
    /// Where its payload begins.
    pub payload_offset: u64,
    /// Bytes of the payload.
    pub length: u32,
    /// Where the next record begins.
    pub end: u64,
}

impl Layout {
    /// The layout of a record at `record_offset` (a multiple of 8) for a payload of `length` bytes.
    pub fn new(record_offset: u64, length: u32, page_size: u32) -> Layout {
        let tables_end = record_offset + (RECORD_HEADER_BYTES + tables_bytes(length)) as u64;
        let aligned = length as usize >= ALIGNED_PAYLOAD_MIN_BYTES;
        let align = if aligned { u64::from(page_size) } else { 1 };
        let payload_offset = tables_end.next_multiple_of(align);
        let end = (payload_offset + u64::from(length)).next_multiple_of(RECORD_ALIGN_BYTES);
        Layout {
            record_offset,
            payload_offset,
            length,
            end,
        }
    }

    /// Bytes from the record's start to its payload.
    pub fn lead_bytes(&self) -> usize {
        (self.payload_offset - self.record_offset) as usize
    }

    /// Bytes that the whole record takes.
    pub fn total_bytes(&self) -> u64 {
        self.end - self.record_offset
    }
}

/// Blocks of a payload of `length` bytes.
pub fn blocks(length: u32) -> usize {
    (length as usize).div_ceil(BLOCK_SIZE_BYTES)
}

/// Leaf hashes kept for a payload of `length` bytes: none up to one leaf, whose hash is the id.
pub fn leaves(length: u32) -> usize {
    let length = length as usize;
    if length > LEAF_SIZE_BYTES {
        length.div_ceil(LEAF_SIZE_BYTES)
    } else {
        0
    }
}

/// Bytes of the tables of a payload of `length` bytes.
pub fn tables_bytes(length: u32) -> usize {
    blocks(length) * CRC_BYTES + leaves(length) * HASH_BYTES
}

/// The fixed header of a record. It vouches for itself and, by a checksum, for its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The segment it was written to.
    pub segment: SegmentId,
    /// Where it was written.
    pub record_offset: u64,
    /// Where the payload begins.
    pub payload_offset: u64,
    /// Bytes of the payload.
    pub length: u32,
    /// The place up to which segments were known synced when this was written.
    pub floor: u64,
    /// The chunk.
    pub id: ChunkId,
    tables_crc: u32,
}

impl RecordHeader {
    /// Reads and verifies a fixed header; `bytes` may go on after it.
    ///
    /// Whoever read it from (segment, offset) compares [`RecordHeader::segment`] and
    /// [`RecordHeader::record_offset`] with that.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn parse(bytes: &[u8]) -> Result<RecordHeader, SegmentError> {
        let reader = Reader::<RECORD_HEADER_BYTES>::open(bytes, &RECORD_MAGIC)?;
        match u16::from_le_bytes(reader.array(4)) {
            FORMAT => {}
            newer => return Err(SegmentError::NewerFormat(newer.into())),
        }
        let header = RecordHeader {
            segment: SegmentId(reader.u32(8)),
            record_offset: u64::from_le_bytes(reader.array(16)),
            payload_offset: u64::from_le_bytes(reader.array(24)),
            length: reader.u32(32),
            floor: u64::from_le_bytes(reader.array(40)),
            id: ChunkId(reader.array(48)),
            tables_crc: reader.u32(80),
        };
        if header.is_possible(reader.u32(36)) {
            Ok(header)
        } else {
            Err(SegmentError::Impossible)
        }
    }

    fn is_possible(&self, tables: u32) -> bool {
        let tables_end = self
            .record_offset
            .saturating_add(RECORD_HEADER_BYTES as u64 + u64::from(tables));
        self.length as usize <= CHUNK_SIZE_MAX_BYTES
            && tables as usize == tables_bytes(self.length)
            && self.record_offset.is_multiple_of(RECORD_ALIGN_BYTES)
            && self.payload_offset >= tables_end
            && self.payload_offset.saturating_add(self.length.into()) <= SEGMENT_MAX_BYTES
    }

    /// Where the tables lie, counted from the start of the record.
    pub fn tables_range(&self) -> std::ops::Range<usize> {
        RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + tables_bytes(self.length)
    }

    /// Verifies the tables; `record` are the record's bytes from its start, at least up to the tables'
    /// end.
    ///
    /// # Errors
    /// `Short`, or `Checksum` if they do not match.
    pub fn tables<'a>(&self, record: &'a [u8]) -> Result<Tables<'a>, SegmentError> {
        let bytes = record.get(self.tables_range()).ok_or(SegmentError::Short)?;
        if crc32c::crc32c(bytes) != self.tables_crc {
            return Err(SegmentError::Checksum);
        }
        let (crcs, leaves) = bytes.split_at(blocks(self.length) * CRC_BYTES);
        Ok(Tables {
            length: self.length,
            crcs,
            leaves,
        })
    }

    /// Where the next record begins.
    pub fn end(&self) -> u64 {
        (self.payload_offset + u64::from(self.length)).next_multiple_of(RECORD_ALIGN_BYTES)
    }
}

/// The verified tables of a record.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    length: u32,
    crcs: &'a [u8],
    leaves: &'a [u8],
}

impl Tables<'_> {
    /// The checksum of a block, none beyond the payload.
    pub fn block_crc(&self, block: usize) -> Option<u32> {
        let (crcs, _) = self.crcs.as_chunks::<CRC_BYTES>();
        crcs.get(block).map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// The SHA-256 of a leaf; none for a payload of one leaf, whose hash is the chunk's id.
    pub fn leaf_hash(&self, leaf: usize) -> Option<&[u8; 32]> {
        let (leaves, _) = self.leaves.as_chunks::<HASH_BYTES>();
        leaves.get(leaf)
    }

    /// Verifies whole blocks from `first_block` on; `bytes` begins with that block and ends with a
    /// block's or the payload's end. Gives the number of the first block that does not match.
    ///
    /// # Errors
    /// That number.
    pub fn check(&self, first_block: usize, bytes: &[u8]) -> Result<(), usize> {
        for (index, bytes) in bytes.chunks(BLOCK_SIZE_BYTES).enumerate() {
            let block = first_block + index;
            let start = block * BLOCK_SIZE_BYTES;
            let expected = (self.length as usize)
                .saturating_sub(start)
                .min(BLOCK_SIZE_BYTES);
            let matches =
                bytes.len() == expected && self.block_crc(block) == Some(crc32c::crc32c(bytes));
            if !matches {
                return Err(block);
            }
        }
        Ok(())
    }
}

/// Everything of a record before its payload, the gap included, ready to be written.
///
/// `block_crcs` and `leaf_hashes` are those of the whole payload; leaf hashes of a payload of one leaf
/// are left out.
pub fn record_lead(
    segment: SegmentId,
    layout: &Layout,
    floor: u64,
    id: ChunkId,
    block_crcs: &[u32],
    leaf_hashes: &[[u8; 32]],
) -> Vec<u8> {
    assert_eq!(
        block_crcs.len(),
        blocks(layout.length),
        "one checksum for each block"
    );
    let kept = leaves(layout.length);
    assert!(
        kept == 0 || leaf_hashes.len() == kept,
        "one hash for each leaf"
    );
    let mut tables = Vec::with_capacity(tables_bytes(layout.length));
    block_crcs
        .iter()
        .for_each(|crc| tables.extend_from_slice(&crc.to_le_bytes()));
    leaf_hashes
        .iter()
        .take(kept)
        .for_each(|hash| tables.extend_from_slice(hash));

    let mut writer = Writer::<RECORD_HEADER_BYTES>::default();
    writer.put(0, &RECORD_MAGIC);
    writer.put(4, &FORMAT.to_le_bytes());
    writer.put(8, &segment.0.to_le_bytes());
    writer.put(16, &layout.record_offset.to_le_bytes());
    writer.put(24, &layout.payload_offset.to_le_bytes());
    writer.put(32, &layout.length.to_le_bytes());
    writer.put(36, &(tables.len() as u32).to_le_bytes());
    writer.put(40, &floor.to_le_bytes());
    writer.put(48, &id.0);
    writer.put(80, &crc32c::crc32c(&tables).to_le_bytes());
    let mut lead = Vec::with_capacity(layout.lead_bytes());
    lead.extend_from_slice(&writer.seal());
    lead.extend_from_slice(&tables);
    lead.resize(layout.lead_bytes(), 0);
    lead
}

/// A header of `N` bytes under construction; its checksum is the last four.
struct Writer<const N: usize>([u8; N]);

impl<const N: usize> Default for Writer<N> {
    fn default() -> Self {
        Writer([0; N])
    }
}

impl<const N: usize> Writer<N> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let room = self.0.split_at_mut(at).1.split_at_mut(bytes.len()).0;
        room.copy_from_slice(bytes);
    }

    fn seal(mut self) -> [u8; N] {
        let crc = crc32c::crc32c(self.0.split_at(N - CRC_BYTES).0);
        self.put(N - CRC_BYTES, &crc.to_le_bytes());
        self.0
    }
}

/// A header of `N` bytes whose magic and checksum are right.
struct Reader<'a, const N: usize>(&'a [u8; N]);

impl<'a, const N: usize> Reader<'a, N> {
    fn open(bytes: &'a [u8], magic: &[u8]) -> Result<Self, SegmentError> {
        let reader = Reader(bytes.first_chunk::<N>().ok_or(SegmentError::Short)?);
        if !reader.0.starts_with(magic) {
            return Err(SegmentError::Magic);
        }
        if crc32c::crc32c(reader.0.split_at(N - CRC_BYTES).0) != reader.u32(N - CRC_BYTES) {
            return Err(SegmentError::Checksum);
        }
        Ok(reader)
    }

    /// Bytes at a place that the format fixes inside the header.
    fn array<const M: usize>(&self, at: usize) -> [u8; M] {
        self.0
            .split_at(at)
            .1
            .first_chunk::<M>()
            .copied()
            .unwrap_or([0; M])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash;

    fn record(payload: &[u8], offset: u64, page_size: u32) -> (Layout, Vec<u8>) {
        let layout = Layout::new(offset, payload.len() as u32, page_size);
        let crcs: Vec<u32> = payload
            .chunks(BLOCK_SIZE_BYTES)
            .map(crc32c::crc32c)
            .collect();
        let leaves: Vec<_> = payload
            .chunks(LEAF_SIZE_BYTES)
            .map(hash::leaf_hash)
            .collect();
        let id = hash::chunk_id_of_leaves(payload.len(), &leaves);
        (
            layout,
            record_lead(SegmentId(7), &layout, 99, id, &crcs, &leaves),
        )
    }

    #[test]
    fn a_file_header_survives_and_any_flipped_bit_is_seen() {
        let header = FileHeader {
            page_size: 65536,
            volume: [9; 16],
            segment: SegmentId(3),
        };
        let bytes = header.to_bytes();
        assert_eq!(FileHeader::parse(&bytes), Ok(header));
        for bit in 0..FILE_HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::parse(&bad).is_err(), "bit {bit}");
        }
        assert_eq!(FileHeader::parse(&bytes[..63]), Err(SegmentError::Short));
    }

    #[test]
    fn the_bytes_of_a_record_are_fixed() {
        let (layout, lead) = record(b"abc", 64, 4096);
        assert_eq!(
            layout,
            Layout {
                record_offset: 64,
                payload_offset: 164,
                length: 3,
                end: 168
            }
        );
        assert_eq!(&lead[0..8], b"WDCR\x01\0\0\0");
        assert_eq!(&lead[8..12], &[7, 0, 0, 0]);
        assert_eq!(&lead[16..24], &[64, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&lead[48..52], &[0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(&lead[96..100], &crc32c::crc32c(b"abc").to_le_bytes());
    }

    proptest! {
        #[test]
        fn a_record_is_read_back(length in 0usize..200_000, slot in 8u64..10_000, wide: bool) {
            let page_size = if wide { 65_536 } else { 4096 };
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (layout, lead) = record(&payload, slot * 8, page_size);
            let header = RecordHeader::parse(&lead).expect("a header");
            prop_assert_eq!(header.payload_offset, layout.payload_offset);
            prop_assert_eq!(header.end(), layout.end);
            prop_assert_eq!(header.id, hash::chunk_id(&payload));
            prop_assert_eq!((header.floor, header.segment), (99, SegmentId(7)));
            if length >= ALIGNED_PAYLOAD_MIN_BYTES {
                prop_assert_eq!(layout.payload_offset % u64::from(page_size), 0);
            }
            let tables = header.tables(&lead).expect("tables");
            prop_assert_eq!(tables.check(0, &payload), Ok(()));
            prop_assert_eq!(tables.leaf_hash(0).is_some(), length > LEAF_SIZE_BYTES);
            if let Some(tail) = payload.get(BLOCK_SIZE_BYTES..) {
                prop_assert_eq!(tables.check(1, tail), Ok(()));
                prop_assert!(tail.is_empty() || tables.check(0, tail).is_err());
            }
        }

        #[test]
        fn any_flipped_bit_is_seen(length in 1usize..70_000, pick: prop::sample::Index) {
            let payload = vec![5; length];
            let (_, mut lead) = record(&payload, 64, 4096);
            let used = RECORD_HEADER_BYTES + tables_bytes(length as u32);
            let bit = pick.index(used * 8);
            lead[bit / 8] ^= 1 << (bit % 8);
            let seen = RecordHeader::parse(&lead).and_then(|header| header.tables(&lead).map(|_| ()));
            prop_assert!(seen.is_err());
        }
    }
}
