//! Opening a log: what of it is believed, where it is cut, and when it is refused.
//!
//! Records are believed from the first on, as long as each is intact and chained to the one before. The
//! floor is the greatest `synced` value found in any intact record, also behind a bad one. If belief ends
//! below the floor, something that was durable is damaged, and the log is refused. At or above it, what
//! follows was never promised: later segments are removed, the rest of the segment is zeroed and synced,
//! and the log goes on there. What is believed above it is written again and synced: it may only be in the
//! kernel's cache, even there as pages that a failed sync has dropped.
//!
//! A segment gets its name only when its zeroes are durable. So a missing segment, one of the wrong
//! length, and a first segment without a good header are damage wherever the floor is.

use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;
use wolfdisk_common::disk::{Disk, DiskFile, OpenMode};
use wolfdisk_common::ids::LogIndex;

use super::cut::Cut;
use super::format::{
    ALIGNMENT, Bad, FORMAT, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader,
    decode_record, payload_is_good, prefix_bytes, record_bytes, seed, segment_sequence,
};
use super::segment::{Place, Segment};
use super::spare::{TEMPORARY, zero};
use super::{LogOptions, at};
use crate::consensus::ReplicationError;

/// An open log's content; everything in it is durable.
pub(super) struct Recovered {
    pub segments: Vec<Segment>,
    pub log_id: Uuid,
    /// Checksum of the last record.
    pub chain: u32,
}

/// A segment's file before it is believed.
struct Found {
    sequence: u64,
    path: std::path::PathBuf,
    file: Arc<dyn DiskFile>,
    length: u64,
    header: Result<SegmentHeader, Bad>,
}

/// Where belief ended, and why.
struct End {
    offset: u64,
    chain: u32,
    what: &'static str,
}

/// Reads, judges and cleans the log in `directory`; none if there is no segment.
pub(super) fn recover(
    disk: &dyn Disk,
    directory: &Path,
    options: &LogOptions,
) -> Result<Option<Recovered>, ReplicationError> {
    let mut found = find(disk, directory, options)?;
    take_back(disk, directory, &mut found)?;
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let header = match &first.header {
        Ok(header) => header,
        Err(Bad::Newer(found)) => return Err(newer(&first.path, *found)),
        Err(Bad::Damaged(what)) => return Err(damaged(&first.path, 0, what)),
    };
    check_files(&found)?;
    let log_id = header.log_id;
    let mut walk = Walk {
        seed: seed(log_id),
        floor: 0,
        segments: Vec::new(),
    };
    let mut end = End {
        offset: 0,
        chain: header.chain,
        what: "",
    };
    let mut bytes = Vec::new();
    for candidate in &found {
        let Some(header) = walk.follows(candidate, &end) else {
            break;
        };
        load(candidate, &mut bytes)?;
        end = walk.believe(candidate, header, &bytes)?;
    }
    walk.scan_rest(&found, &mut bytes)?;
    let believed = walk.segments.len();
    let last = walk
        .segments
        .last_mut()
        .ok_or_else(|| damaged(&first.path, 0, "it is empty"))?;
    if last.global_end() < walk.floor {
        return Err(match found.get(believed).map(|next| (next, &next.header)) {
            Some((next, Err(Bad::Damaged(what)))) => damaged(&next.path, 0, what),
            _ => damaged(&last.path, end.offset, end.what),
        });
    }
    cut(disk, directory, last, &found, believed, &mut bytes)?;
    // Records that a killed daemon wrote but did not sync are in the page cache at best.
    for segment in &walk.segments {
        if segment.header.start + segment.header.length > walk.floor {
            make_durable(segment, walk.floor, &mut bytes).map_err(at(&segment.path))?;
        }
    }
    disk.sync_dir(directory).map_err(at(directory))?;
    Ok(Some(Recovered {
        segments: walk.segments,
        log_id,
        chain: end.chain,
    }))
}

struct Walk {
    seed: u32,
    floor: u64,
    segments: Vec<Segment>,
}

impl Walk {
    /// The header of `candidate` if it goes on where belief stands.
    fn follows(&self, candidate: &Found, end: &End) -> Option<SegmentHeader> {
        let header = candidate.header.clone().ok()?;
        let Some(last) = self.segments.last() else {
            return Some(header);
        };
        let follows = header.log_id == last.header.log_id
            && header.sequence == last.header.sequence + 1
            && header.start == last.header.start + last.header.length
            && header.first_index == last.next_index()
            && header.chain == end.chain;
        follows.then_some(header)
    }

    /// Believes records from the segment's start as long as they deserve it.
    fn believe(
        &mut self,
        candidate: &Found,
        header: SegmentHeader,
        bytes: &[u8],
    ) -> Result<End, ReplicationError> {
        let mut places = Vec::new();
        let mut offset = SEGMENT_HEADER_BYTES;
        let mut chain = header.chain;
        let what = loop {
            let rest = bytes.get(offset..).unwrap_or_default();
            let (record, table) = match decode_record(rest, self.seed) {
                Ok(good) => good,
                Err(Bad::Newer(found)) => return Err(newer(&candidate.path, found)),
                Err(Bad::Damaged(what)) => break what,
            };
            let index = LogIndex(header.first_index.0 + places.len() as u64);
            if record.chain != chain || record.index != index {
                break "a record does not follow the one before it";
            }
            let (from, length) = (prefix_bytes(record.length as usize), record.length as usize);
            let payload = rest.get(from..from + length);
            if !payload.is_some_and(|payload| payload_is_good(payload, table)) {
                break "the checksum of a record's payload is wrong";
            }
            let first_crc = table.first().map_or(0, |crc| u32::from_le_bytes(*crc));
            places.push(Place {
                offset: offset as u32,
                length: record.length,
                first_crc,
            });
            self.floor = self.floor.max(record.synced);
            chain = record.crc;
            offset += record_bytes(length);
        };
        let (path, file) = (candidate.path.clone(), candidate.file.clone());
        self.segments.push(Segment {
            path,
            file,
            header,
            places,
            end: offset as u64,
        });
        Ok(End {
            offset: offset as u64,
            chain,
            what,
        })
    }

    /// Raises the floor by whatever intact records stand behind the end of belief.
    fn scan_rest(&mut self, found: &[Found], bytes: &mut Vec<u8>) -> Result<(), ReplicationError> {
        let Some(last) = self.segments.last() else {
            return Ok(());
        };
        let (sequence, end) = (last.header.sequence, last.end as usize);
        for candidate in found
            .iter()
            .filter(|candidate| candidate.sequence >= sequence)
        {
            load(candidate, bytes)?;
            let from = if candidate.sequence == sequence {
                end
            } else {
                0
            };
            let mut rest = bytes.get(from..).unwrap_or_default();
            while rest.len() >= RECORD_HEADER_BYTES {
                let (first, after) = rest.split_at(ALIGNMENT);
                // Zeroes are no record: kind and format are not 0.
                if first != [0; ALIGNMENT]
                    && let Ok((record, _)) = decode_record(rest, self.seed)
                {
                    self.floor = self.floor.max(record.synced);
                }
                rest = after;
            }
        }
        Ok(())
    }
}

/// Segments by sequence; removes what a crash left of files being made, and what is below the first.
fn find(
    disk: &dyn Disk,
    directory: &Path,
    options: &LogOptions,
) -> Result<Vec<Found>, ReplicationError> {
    let mut found = Vec::new();
    for name in disk.list(directory).map_err(at(directory))? {
        let path = directory.join(&name);
        let name = name.to_string_lossy();
        if name.ends_with(TEMPORARY) {
            disk.remove(&path).map_err(at(&path))?;
            continue;
        }
        let Some(sequence) = segment_sequence(&name) else {
            continue;
        };
        if sequence < options.first_segment {
            disk.remove(&path).map_err(at(&path))?;
            continue;
        }
        let file = disk.open(&path, OpenMode::ReadWrite).map_err(at(&path))?;
        let length = file.len().map_err(at(&path))?;
        let mut head = [0; SEGMENT_HEADER_BYTES];
        file.read_at(&mut head, 0).map_err(at(&path))?;
        let header = SegmentHeader::decode(&head);
        found.push(Found {
            sequence,
            path,
            file,
            length,
            header,
        });
    }
    found.sort_by_key(|found| found.sequence);
    Ok(found)
}

/// Carries out what taking entries back has begun.
fn take_back(
    disk: &dyn Disk,
    directory: &Path,
    found: &mut Vec<Found>,
) -> Result<(), ReplicationError> {
    let Some(cut) = Cut::declared(disk, directory)? else {
        return Ok(());
    };
    let whose = found.first().and_then(|first| first.header.as_ref().ok());
    let position = found
        .iter()
        .position(|found| found.sequence == cut.sequence);
    let (Some(_), Some(position)) = (whose.filter(|whose| whose.log_id == cut.log_id), position)
    else {
        return Err(cut.is_of_another(directory));
    };
    let after: Vec<_> = found
        .drain(position + 1..)
        .map(|later| later.path)
        .collect();
    let last = found.last().ok_or_else(|| cut.is_of_another(directory))?;
    let rest = (&*last.file, last.path.as_path(), last.length);
    tracing::info!(path = %last.path.display(), offset = cut.offset, "taking back the log's end was interrupted; it is done now");
    cut.carry_out(disk, directory, rest, &after)
}

/// What no power cut can have done.
fn check_files(found: &[Found]) -> Result<(), ReplicationError> {
    for pair in found.windows(2) {
        if let [before, after] = pair
            && before.sequence + 1 != after.sequence
        {
            return Err(damaged(&after.path, 0, "the segment before it is missing"));
        }
    }
    for candidate in found {
        match &candidate.header {
            Err(Bad::Newer(found)) => return Err(newer(&candidate.path, *found)),
            Ok(header) if header.sequence != candidate.sequence => {
                return Err(damaged(
                    &candidate.path,
                    32,
                    "its name is that of another segment",
                ));
            }
            Ok(header) if header.length != candidate.length => {
                return Err(damaged(
                    &candidate.path,
                    candidate.length,
                    "it is cut off or too long",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes segments after the `believed` ones, the newest first, and zeroes the rest of the last.
fn cut(
    disk: &dyn Disk,
    directory: &Path,
    last: &Segment,
    found: &[Found],
    believed: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), ReplicationError> {
    let later = found.get(believed..).unwrap_or_default();
    for candidate in later.iter().rev() {
        tracing::warn!(path = %candidate.path.display(), "removing a log segment that was never synced");
        disk.remove(&candidate.path).map_err(at(&candidate.path))?;
    }
    if !later.is_empty() {
        disk.sync_dir(directory).map_err(at(directory))?;
    }
    bytes.resize((last.header.length - last.end) as usize, 0);
    last.file
        .read_exact_at(bytes, last.end)
        .map_err(at(&last.path))?;
    if bytes.iter().any(|byte| *byte != 0) {
        tracing::warn!(path = %last.path.display(), offset = last.end, "cutting the log's unsynced end");
        zero(&*last.file, last.end, last.header.length).map_err(at(&last.path))?;
    }
    Ok(())
}

/// Writes again what stands in `segment` after the floor, and syncs it. A sync alone is not enough: where one has failed
/// before, the kernel keeps the pages as if they were clean, and the next one succeeds without them.
fn make_durable(segment: &Segment, floor: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let from = floor.saturating_sub(segment.header.start).min(segment.end);
    bytes.resize((segment.end - from) as usize, 0);
    segment.file.read_exact_at(bytes, from)?;
    segment.file.write_at(bytes, from)?;
    segment.file.sync_data()
}

fn load(candidate: &Found, bytes: &mut Vec<u8>) -> Result<(), ReplicationError> {
    bytes.resize(candidate.length as usize, 0);
    candidate
        .file
        .read_exact_at(bytes, 0)
        .map_err(at(&candidate.path))
}

fn damaged(path: &Path, offset: u64, what: &str) -> ReplicationError {
    ReplicationError::Damaged {
        path: path.to_owned(),
        offset,
        what: what.to_owned(),
    }
}

fn newer(path: &Path, found: u32) -> ReplicationError {
    ReplicationError::NewerFormat {
        path: path.to_owned(),
        found,
        known: FORMAT,
    }
}
