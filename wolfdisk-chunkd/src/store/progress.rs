//! The scrub file **\[format\]**: how far scrubbing has come, and what is known to be damaged.
//!
//! Nothing depends on it: without it, or with a damaged one, scrubbing begins anew and damage is found
//! again. It is replaced as a whole. Integers are little-endian, times are seconds since 1970, ranges are
//! bytes of a payload.
//!
//! ```text
//! file   := magic "WDSCRUB\0" | format u32 = 1 | damaged chunks u32 | volume id 16 | since u64 |
//!           flags u32: 1 a pass is under way, 2 a pass has ended | zero u32 | pass | last | chunk * |
//!           CRC32C of all before, u32
//! pass   := began u64 | ended u64 | next place u64 | bytes u64 | chunks u64 | damaged u64 | healed u64
//! last   := as pass
//! chunk  := id 32 | segment u32 | offset / 8, u32 | length u32 | ranges u32 | (from u32 | to u32) *
//! ```

use std::io;
use std::path::{Path, PathBuf};

use wolfdisk_common::disk::{Disk, OpenMode, replace_file};
use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::segment::RECORD_ALIGN_BYTES;

use super::Store;
use super::catalog::prefix;
use super::damage::Damage;
use super::error::StoreError;
use super::place::{Place, Position};
use super::verify::Pass;
use crate::limits;

const MAGIC: [u8; 8] = *b"WDSCRUB\0";
const FORMAT: u32 = 1;
const RUNNING: u32 = 1;
const ENDED: u32 = 2;

/// One pass over all chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// When it began.
    pub began_s: u64,
    /// When it ended; 0: it has not.
    pub ended_s: u64,
    /// How far it has come.
    pub pass: Pass,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When the last pass that ended had begun; before the first, when the store was made.
    pub since_s: u64,
    /// The one under way.
    pub running: Option<Scrubbed>,
    /// The last that ended.
    pub last: Option<Scrubbed>,
}

/// The damaged chunks of the file.
pub type Rows = Vec<(Place, Damage)>;

/// Where the file lies.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("scrub")
}

fn load(disk: &dyn Disk, dir: &Path, volume: [u8; 16]) -> io::Result<Option<(Progress, Rows)>> {
    let file = match disk.open(&path(dir), OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.len()?;
    if length > limits::SCRUB_FILE_MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(decode(&bytes, volume))
}

/// The bytes of the file.
pub fn encode(volume: [u8; 16], progress: &Progress, rows: &[(Place, Damage)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let running = u32::from(progress.running.is_some()) * RUNNING;
    let flags = running | (u32::from(progress.last.is_some()) * ENDED);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&volume);
    bytes.extend_from_slice(&progress.since_s.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for scrubbed in [progress.running, progress.last] {
        let Scrubbed {
            began_s,
            ended_s,
            pass,
        } = scrubbed.unwrap_or_default();
        for number in [
            began_s,
            ended_s,
            pass.next.0,
            pass.bytes,
            pass.chunks,
            pass.damaged,
            pass.healed,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    for (place, damage) in rows {
        bytes.extend_from_slice(&damage.id.0);
        for number in [
            place.segment.0,
            place.unit() as u32,
            damage.length,
            damage.ranges.len() as u32,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for range in &damage.ranges {
            bytes.extend_from_slice(&range.start.to_le_bytes());
            bytes.extend_from_slice(&range.end.to_le_bytes());
        }
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Bytes that are taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_le_bytes)
    }

    fn scrubbed(&mut self) -> Option<Scrubbed> {
        Some(Scrubbed {
            began_s: self.u64()?,
            ended_s: self.u64()?,
            pass: Pass {
                next: Position(self.u64()?),
                bytes: self.u64()?,
                chunks: self.u64()?,
                damaged: self.u64()?,
                healed: self.u64()?,
            },
        })
    }

    fn row(&mut self) -> Option<(Place, Damage)> {
        let id = ChunkId(*self.array()?);
        let place = Place {
            segment: SegmentId(self.u32()?),
            offset: u64::from(self.u32()?) * RECORD_ALIGN_BYTES,
        };
        let length = self.u32()?;
        let count = self.u32()?;
        let ranges = (0..count)
            .map(|_| Some(self.u32()?..self.u32()?))
            .collect::<Option<Vec<_>>>()?;
        let possible = ranges
            .iter()
            .all(|range| range.start < range.end && range.end <= length);
        possible.then_some((place, Damage { id, length, ranges }))
    }
}

/// Reads the bytes of the file. None: it is damaged, of another volume or of another release.
pub fn decode(bytes: &[u8], volume: [u8; 16]) -> Option<(Progress, Rows)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut input = Input(body);
    if *input.array::<8>()? != MAGIC || input.u32()? != FORMAT {
        return None;
    }
    let count = input.u32()?;
    if *input.array::<16>()? != volume {
        return None;
    }
    let since_s = input.u64()?;
    let flags = input.u32()?;
    input.u32()?;
    let (running, last) = (input.scrubbed()?, input.scrubbed()?);
    let rows = (0..count).map(|_| input.row()).collect::<Option<Rows>>()?;
    let progress = Progress {
        since_s,
        running: (flags & RUNNING != 0).then_some(running),
        last: (flags & ENDED != 0).then_some(last),
    };
    input.0.is_empty().then_some((progress, rows))
}

impl Store {
    /// What an earlier life knew of scrubbing and damage. Damage of chunks that are still where they were
    /// is known from then on.
    pub fn load_progress(&self) -> Option<Progress> {
        let options = &self.options;
        let loaded = match load(&*options.disk, &options.dir, options.volume) {
            Ok(loaded) => loaded?,
            Err(error) => {
                tracing::warn!(%error, "the scrub file cannot be read: scrubbing begins anew");
                return None;
            }
        };
        let (progress, rows) = loaded;
        let mut state = self.state.lock();
        for (place, damage) in rows {
            let there = state
                .catalog
                .candidates(prefix(&damage.id))
                .any(|entry| entry.place == place);
            if there {
                state.damage.insert(place, damage);
            }
        }
        Some(progress)
    }

    /// Keeps how far scrubbing has come, and what is known to be damaged.
    ///
    /// # Errors
    /// What the system says; the file is the one before.
    pub fn store_progress(&self, progress: &Progress) -> Result<(), StoreError> {
        let rows: Rows = {
            let state = self.state.lock();
            let all = state.damage.iter().take(limits::SCRUB_FILE_CHUNKS_MAX);
            all.map(|(place, damage)| (place, damage.clone())).collect()
        };
        let options = &self.options;
        let bytes = encode(options.volume, progress, &rows);
        let path = path(&options.dir);
        replace_file(&*options.disk, &path, &bytes).map_err(StoreError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_any_flipped_bit_is_seen() {
        let scrubbed = |seed: u64| Scrubbed {
            began_s: seed,
            ended_s: seed + 1,
            pass: Pass {
                next: Position(seed + 2),
                bytes: seed + 3,
                chunks: seed + 4,
                damaged: seed + 5,
                healed: seed + 6,
            },
        };
        let progress = Progress {
            since_s: 7,
            running: Some(scrubbed(10)),
            last: Some(scrubbed(100)),
        };
        let place = Place {
            segment: SegmentId(3),
            offset: 4096,
        };
        let damage = Damage {
            id: ChunkId([9; 32]),
            length: 20_000,
            ranges: vec![0..4096, 8192..12_288],
        };
        let rows = vec![(place, damage)];
        let bytes = encode([1; 16], &progress, &rows);
        assert_eq!(decode(&bytes, [1; 16]), Some((progress, rows)));
        assert_eq!(decode(&bytes, [2; 16]), None);
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            if let Some(byte) = broken.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert_eq!(decode(&broken, [1; 16]), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode(bytes.split_at(length).0, [1; 16]), None);
        }
    }
}
