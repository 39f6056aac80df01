//! The references of the index against the chunk store, and the files that damage concerns.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;

use crate::index::key::{self, Key};
use crate::index::record::{ExtentRecord, ExtentSource};
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::limits;
use crate::tasks::chunkd::{self, Chunkd};

/// Bytes of a chunk that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// In the chunk.
    pub ranges: Vec<Range<u64>>,
    /// For people.
    pub why: &'static str,
}

/// What is lost, by chunk.
pub type Losses = BTreeMap<ChunkId, Loss>;

/// Bytes of a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLoss {
    /// The file.
    pub ino: Ino,
    /// The chunk that they are in.
    pub chunk: ChunkId,
    /// Bytes of the file, ascending.
    pub ranges: Vec<Range<u64>>,
    /// For people.
    pub why: &'static str,
}

/// What the chunk store knows to be damaged, and the number of changes of that so far.
///
/// # Errors
/// The chunk store does not answer.
pub fn damaged(chunkd: &Chunkd) -> Result<(Losses, u64), Failure> {
    let mut losses = Losses::new();
    let mut after = Bytes::new();
    loop {
        let request = v1::DamagedRequest {
            after: after.clone(),
            max: limits::DAMAGED_AT_ONCE,
        };
        let reply = chunkd.damaged(&mut chunkd::patient(), &request)?;
        for chunk in &reply.chunks {
            let ranges = chunk.ranges.iter().map(|range| range.from..range.to);
            if let Ok(id) = ChunkId::from_slice(&chunk.id) {
                let loss = Loss {
                    ranges: ranges.collect(),
                    why: "the stored bytes do not match their checksums",
                };
                losses.insert(id, loss);
            }
        }
        match reply.chunks.last() {
            Some(last) if !reply.end => after = last.id.clone(),
            _ => return Ok((losses, reply.revision)),
        }
    }
}

/// Which of `chunks` (ascending, with their lengths) the store does not have, or has with another length.
/// `going_on` is told of each page and may end it.
///
/// # Errors
/// The chunk store does not answer.
pub fn missing(
    chunkd: &Chunkd,
    chunks: &mut dyn Iterator<Item = (ChunkId, u32)>,
    going_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<(ChunkId, u32)>, Failure> {
    let mut missing = Vec::new();
    let mut wanted = chunks.peekable();
    let mut after = Bytes::new();
    loop {
        let request = v1::InventoryRequest {
            after: after.clone(),
            max: limits::INVENTORY_AT_ONCE,
            stamp_above: 0,
            stamp_at_most: u64::MAX,
        };
        let page = chunkd.inventory(&mut chunkd::patient(), &request)?;
        for (id, length) in page.ids.iter().zip(&page.lengths) {
            let Ok(id) = ChunkId::from_slice(id) else {
                continue;
            };
            while let Some(absent) = wanted.next_if(|(wanted, _)| *wanted < id) {
                missing.push(absent);
            }
            missing.extend(
                wanted
                    .next_if(|(wanted, _)| *wanted == id)
                    .filter(|(_, known)| known != length),
            );
        }
        let go_on = going_on(page.ids.len() as u64);
        match page.ids.last() {
            Some(last) if !page.end && go_on => after = last.clone(),
            _ if !go_on => return Ok(Vec::new()),
            _ => {
                missing.extend(wanted);
                return Ok(missing);
            }
        }
    }
}

/// The files that losses concern, in the order of their inodes. `going_on` is told of each record and may
/// end it.
///
/// # Errors
/// Storage failed.
pub fn files_of(
    records: &impl Read,
    losses: &Losses,
    going_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<FileLoss>, TableError> {
    let mut found: Vec<FileLoss> = Vec::new();
    if losses.is_empty() {
        return Ok(found);
    }
    records.each_readable(&key::all_extents(), |key, record: ExtentRecord| {
        let (Key::Extent { ino, end }, ExtentSource::Chunk { id, offset, .. }) =
            (key, record.source)
        else {
            return going_on();
        };
        if let Some(loss) = losses.get(&id) {
            let start = end.saturating_sub(record.length);
            let ranges = in_file(loss, u64::from(offset), start, record.length);
            match found.last_mut() {
                _ if ranges.is_empty() => {}
                Some(last) if last.ino == ino && last.chunk == id => last.extend(ranges),
                _ => found.push(FileLoss {
                    ino,
                    chunk: id,
                    ranges,
                    why: loss.why,
                }),
            }
        }
        going_on() && found.len() < limits::FINDINGS_MAX
    })?;
    Ok(found)
}

impl FileLoss {
    fn extend(&mut self, more: Vec<Range<u64>>) {
        for range in more {
            match self.ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.ranges.push(range),
            }
        }
    }
}

/// The part of a loss that an extent of `length` bytes at `start` shows, which begins at `offset` of the
/// chunk: as bytes of the file.
fn in_file(loss: &Loss, offset: u64, start: u64, length: u64) -> Vec<Range<u64>> {
    let ranges = loss.ranges.iter();
    ranges
        .map(|range| {
            let from = range.start.clamp(offset, offset + length);
            let to = range.end.clamp(offset, offset + length);
            start + (from - offset)..start + (to - offset)
        })
        .filter(|range| !range.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_where_the_file_shows_the_chunk() {
        let loss = Loss {
            ranges: vec![0..4096, 8192..12_288],
            why: "",
        };
        // An extent that shows bytes 4000 to 9000 of the chunk at offset 100 of the file.
        assert_eq!(in_file(&loss, 4000, 100, 5000), [100..196, 4292..5100]);
        assert_eq!(in_file(&loss, 4096, 0, 4096), []);
    }
}
