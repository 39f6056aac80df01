//! The catalog file **\[format\]**: the catalog at one position of the order of appends.
//!
//! It holds every chunk whose record begins before the position and that was neither freed nor found
//! damaged. A start loads it and scans what was appended after; without it, or with a damaged one,
//! everything is scanned. It is written only after everything before the position is durable.
//!
//! Integers are little-endian.
//!
//! ```text
//! file    := header | segment * segments | chunk * chunks
//! header  := magic "WDCATLG\0" | format u32 = 1 | segments u32 | volume id 16 | position u64 |
//!            chunks u64 | zero 8 | CRC32C of all after the header u32 | CRC32C of the 60 bytes before u32
//! segment := id u32 | zero u32 | end u64 | live bytes u64 | live chunks u64
//! chunk   := the first 8 bytes of its id as big-endian number u64 | segment u32 | offset / 8, u32
//! ```

use std::io;
use std::path::{Path, PathBuf};

use wolfdisk_common::disk::{Disk, OpenMode, replace_file};
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::{RECORD_ALIGN_BYTES, SEGMENT_MAX_BYTES};

use super::catalog::Entry;
use super::error::StoreError;
use super::place::{Place, Position};
use crate::limits;

const MAGIC: [u8; 8] = *b"WDCATLG\0";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 32;
const CHUNK_BYTES: usize = 16;

/// A segment as the checkpoint knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Its number.
    pub id: SegmentId,
    /// Where its last record ends.
    pub end: u64,
    /// Bytes of records that hold live chunks.
    pub live_bytes: u64,
    /// Live chunks.
    pub live_chunks: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// What was appended before is in it.
    pub position: Position,
    /// All segments that existed.
    pub segments: Vec<SegmentRow>,
    /// All live chunks, in no order.
    pub chunks: Vec<Entry>,
}

/// What became of the file.
#[derive(Debug)]
pub enum Loaded {
    /// It is intact.
    Intact(Checkpoint),
    /// There is none.
    Missing,
    /// It cannot be used; everything has to be scanned.
    Damaged,
}

/// Where the file lies.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("catalog")
}

/// Replaces the file; durable when it returns.
///
/// # Errors
/// What the system says. The old one is intact then.
pub fn store(
    disk: &dyn Disk,
    dir: &Path,
    volume: [u8; 16],
    state: &Checkpoint,
) -> Result<(), StoreError> {
    let path = path(dir);
    replace_file(disk, &path, &encode(volume, state)).map_err(StoreError::io(&path))
}

/// Reads the file.
///
/// # Errors
/// `NewerFormat`, `ForeignVolume`, or what the system says.
pub fn load(disk: &dyn Disk, dir: &Path, volume: [u8; 16]) -> Result<Loaded, StoreError> {
    let path = path(dir);
    let file = match disk.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Missing),
        Err(error) => return Err(StoreError::io(&path)(error)),
    };
    let length = file.len().map_err(StoreError::io(&path))?;
    if length > HEADER_BYTES as u64 + limits::CATALOG_CHUNKS_MAX * CHUNK_BYTES as u64 {
        return Ok(Loaded::Damaged);
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)
        .map_err(StoreError::io(&path))?;
    decode(&bytes, &path, volume)
}

/// Reads the bytes of the file at `path`, which errors name.
///
/// # Errors
/// `NewerFormat` or `ForeignVolume`.
pub fn decode(bytes: &[u8], path: &Path, volume: [u8; 16]) -> Result<Loaded, StoreError> {
    let Some((header, body)) = parse_header(bytes) else {
        return Ok(Loaded::Damaged);
    };
    let path = path.to_owned();
    if header.format != FORMAT {
        return Err(StoreError::NewerFormat {
            path,
            found: header.format,
        });
    }
    if header.volume != volume {
        return Err(StoreError::ForeignVolume { path });
    }
    Ok(parse_body(&header, body).map_or(Loaded::Damaged, Loaded::Intact))
}

struct Header {
    format: u32,
    segments: usize,
    volume: [u8; 16],
    position: Position,
    chunks: u64,
    body_crc: u32,
}

/// The bytes of the file.
pub fn encode(volume: [u8; 16], state: &Checkpoint) -> Vec<u8> {
    let size =
        HEADER_BYTES + state.segments.len() * SEGMENT_BYTES + state.chunks.len() * CHUNK_BYTES;
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.reserve_exact(size - HEADER_BYTES);
    for row in &state.segments {
        bytes.extend_from_slice(&row.id.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&row.end.to_le_bytes());
        bytes.extend_from_slice(&row.live_bytes.to_le_bytes());
        bytes.extend_from_slice(&row.live_chunks.to_le_bytes());
    }
    for chunk in &state.chunks {
        bytes.extend_from_slice(&chunk.prefix.to_le_bytes());
        bytes.extend_from_slice(&chunk.place.segment.0.to_le_bytes());
        bytes.extend_from_slice(&(chunk.place.unit() as u32).to_le_bytes());
    }
    let (room, body) = bytes.split_at_mut(HEADER_BYTES);
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&(state.segments.len() as u32).to_le_bytes());
    header.extend_from_slice(&volume);
    header.extend_from_slice(&state.position.0.to_le_bytes());
    header.extend_from_slice(&(state.chunks.len() as u64).to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    room.copy_from_slice(&header);
    bytes
}

fn parse_header(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let (fields, crc) = header.split_last_chunk::<4>()?;
    let (magic, rest) = fields.split_first_chunk::<8>()?;
    if *magic != MAGIC || crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (format, rest) = rest.split_first_chunk::<4>()?;
    let (segments, rest) = rest.split_first_chunk::<4>()?;
    let (volume, rest) = rest.split_first_chunk::<16>()?;
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let (chunks, rest) = rest.split_first_chunk::<8>()?;
    let (_, body_crc) = rest.split_first_chunk::<8>()?;
    let header = Header {
        format: u32::from_le_bytes(*format),
        segments: u32::from_le_bytes(*segments) as usize,
        volume: *volume,
        position: Position(u64::from_le_bytes(*position)),
        chunks: u64::from_le_bytes(*chunks),
        body_crc: u32::from_le_bytes(*body_crc.first_chunk()?),
    };
    Some((header, body))
}

fn parse_body(header: &Header, body: &[u8]) -> Option<Checkpoint> {
    let chunks = header.chunks.checked_mul(CHUNK_BYTES as u64)?;
    let expected = chunks.checked_add(header.segments as u64 * SEGMENT_BYTES as u64)?;
    if body.len() as u64 != expected || crc32c::crc32c(body) != header.body_crc {
        return None;
    }
    let (segments, chunks) = body.split_at_checked(header.segments * SEGMENT_BYTES)?;
    Some(Checkpoint {
        position: header.position,
        segments: segments
            .as_chunks()
            .0
            .iter()
            .map(parse_segment)
            .collect::<Option<_>>()?,
        chunks: chunks
            .as_chunks()
            .0
            .iter()
            .map(parse_chunk)
            .collect::<Option<_>>()?,
    })
}

fn parse_segment(bytes: &[u8; SEGMENT_BYTES]) -> Option<SegmentRow> {
    let (id, rest) = bytes.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    let (end, rest) = rest.split_first_chunk::<8>()?;
    let (live_bytes, live_chunks) = rest.split_first_chunk::<8>()?;
    Some(SegmentRow {
        id: SegmentId(u32::from_le_bytes(*id)),
        end: u64::from_le_bytes(*end),
        live_bytes: u64::from_le_bytes(*live_bytes),
        live_chunks: u64::from_le_bytes(*live_chunks.first_chunk()?),
    })
    .filter(|row| row.id.0 > 0 && row.end <= SEGMENT_MAX_BYTES)
}

fn parse_chunk(bytes: &[u8; CHUNK_BYTES]) -> Option<Entry> {
    let (prefix, rest) = bytes.split_first_chunk::<8>()?;
    let (segment, unit) = rest.split_first_chunk::<4>()?;
    let offset = u64::from(u32::from_le_bytes(*unit.first_chunk()?)) * RECORD_ALIGN_BYTES;
    let segment = SegmentId(u32::from_le_bytes(*segment));
    let place = Place { segment, offset };
    (segment.0 > 0 && offset < SEGMENT_MAX_BYTES).then_some(Entry {
        prefix: u64::from_le_bytes(*prefix),
        place,
        stamp: 0,
    })
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::disk::crash::CrashDisk;

    use super::*;

    #[test]
    fn a_count_that_no_file_can_hold_is_damage() {
        let mut bytes = encode([1; 16], &Checkpoint::default());
        let (fields, crc) = bytes.split_at_mut(HEADER_BYTES - 4);
        fields[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
        crc.copy_from_slice(&crc32c::crc32c(fields).to_le_bytes());
        let loaded = decode(&bytes, Path::new("/catalog"), [1; 16]);
        assert!(matches!(loaded, Ok(Loaded::Damaged)));
    }

    #[test]
    fn it_is_read_back_and_any_flipped_bit_is_seen() {
        let disk = CrashDisk::new();
        let dir = Path::new("/c");
        disk.create_dir_all(dir).expect("a directory");
        let id = SegmentId(3);
        let state = Checkpoint {
            position: Position::new(id, 4096),
            segments: vec![SegmentRow {
                id,
                end: 4096,
                live_bytes: 100,
                live_chunks: 2,
            }],
            chunks: (0..2)
                .map(|n| Entry {
                    prefix: n,
                    place: Place {
                        segment: id,
                        offset: 64 + 8 * n,
                    },
                    stamp: 0,
                })
                .collect(),
        };
        assert!(matches!(load(&disk, dir, [1; 16]), Ok(Loaded::Missing)));
        store(&disk, dir, [1; 16], &state).expect("stored");
        assert!(matches!(load(&disk, dir, [1; 16]), Ok(Loaded::Intact(found)) if found == state));
        assert!(matches!(
            load(&disk, dir, [2; 16]),
            Err(StoreError::ForeignVolume { .. })
        ));
        for bit in 0..encode([1; 16], &state).len() * 8 {
            let flip = |bytes: &mut Vec<u8>| bytes[bit / 8] ^= 1 << (bit % 8);
            disk.corrupt(&path(dir), flip).expect("a file");
            assert!(
                matches!(load(&disk, dir, [1; 16]), Ok(Loaded::Damaged)),
                "bit {bit}"
            );
            disk.corrupt(&path(dir), flip).expect("a file");
        }
    }
}
