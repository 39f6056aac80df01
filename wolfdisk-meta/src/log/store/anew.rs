//! The beginning of a log that takes the place of another: segments that nobody believes until the manifest names the first
//! of them, with the entries that are known to belong there.
//!
//! They are of the same log and come behind its last segment, so that whatever the manifest says, there is one order. What
//! their records say of the floor (see `recover`) is what was durable before: so an opening of the old log does not take
//! them for a promise, and removes them as segments that were never synced.

use std::path::PathBuf;
use std::sync::Arc;

use wolfdisk_common::disk::Disk;
use wolfdisk_common::ids::{LogIndex, Term};

use super::super::at;
use super::super::format::{
    RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, encode_record, record_bytes,
};
use super::super::segment::{Place, Segment};
use super::super::spare::blank;
use super::{Log, SEGMENT_UNIT_BYTES, begin};
use crate::consensus::ReplicationError;

/// The name of a segment of it while it is made.
const NAME: &str = "anew.new";

/// See the module.
pub struct Anew {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    seed: u32,
    /// Durable in the log that it follows.
    synced: u64,
    /// Never empty.
    segments: Vec<Segment>,
    chain: u32,
}

impl Anew {
    /// The sequence of its first segment, for the manifest.
    pub fn sequence(&self) -> u64 {
        self.segments
            .first()
            .map_or(0, |first| first.header.sequence)
    }

    /// Where the next entry will stand.
    pub fn next_index(&self) -> LogIndex {
        self.segments
            .last()
            .map_or(LogIndex(0), Segment::next_index)
    }

    /// Writes an entry, which is not durable before [`Anew::sync`].
    ///
    /// # Errors
    /// `Io`; what was written counts for nothing then.
    pub fn append(&mut self, term: Term, payload: &[u8]) -> Result<(), ReplicationError> {
        let need = record_bytes(payload.len()) as u64;
        let last = self.segments.last().expect("it has a segment");
        if last.end + need > last.header.length {
            let header = SegmentHeader {
                sequence: last.header.sequence + 1,
                first_index: last.next_index(),
                start: last.header.start + last.header.length,
                chain: self.chain,
                ..last.header
            };
            let segment = self.segment(header, need)?;
            self.segments.push(segment);
        }
        let last = self.segments.last_mut().expect("it has a segment");
        let header = RecordHeader {
            length: payload.len() as u32,
            index: last.next_index(),
            term,
            synced: self.synced,
            chain: self.chain,
            crc: 0,
        };
        let mut bytes = Vec::with_capacity(need as usize);
        let (crc, first_crc) = encode_record(&mut bytes, self.seed, &header, payload);
        let written = last.file.write_at(&bytes, last.end);
        written.map_err(at(&last.path))?;
        last.places.push(Place {
            offset: last.end as u32,
            length: header.length,
            first_crc,
        });
        last.end += bytes.len() as u64;
        self.chain = crc;
        Ok(())
    }

    /// Makes all of it durable, names included.
    ///
    /// # Errors
    /// `Io`; it counts for nothing then.
    pub fn sync(&self) -> Result<(), ReplicationError> {
        for segment in &self.segments {
            segment.file.sync_data().map_err(at(&segment.path))?;
        }
        let named = self.disk.sync_dir(&self.directory);
        named.map_err(at(&self.directory))
    }

    /// Makes a segment with room for a record of `need` bytes, durable but for its name.
    fn segment(&self, header: SegmentHeader, need: u64) -> Result<Segment, ReplicationError> {
        let whole = (SEGMENT_HEADER_BYTES as u64 + need).next_multiple_of(SEGMENT_UNIT_BYTES);
        let header = SegmentHeader {
            length: self.segment_bytes.max(whole),
            ..header
        };
        let blank = blank(&*self.disk, &self.directory.join(NAME), header.length)?;
        let head = blank.file.write_at(&header.encode(), 0);
        // Before the name: a first segment without a good header would be taken for damage.
        let synced = head.and_then(|()| blank.file.sync_data());
        synced.map_err(at(&blank.path))?;
        begin(&*self.disk, &self.directory, blank, header)
    }
}

impl Log {
    /// Makes the beginning of a log whose first entry is to be `first`: what is before has come as a snapshot. It
    /// counts from when the manifest names its sequence as the first; until then an opening removes it. When it is
    /// filled and synced, [`Log::begin_anew`] is to follow. Nothing may be appended to this log meanwhile.
    ///
    /// # Errors
    /// `Io`; the log goes on as it was.
    pub fn prepare_anew(&mut self, first: LogIndex) -> Result<Anew, ReplicationError> {
        let last = self.last();
        let mut anew = Anew {
            directory: self.directory.clone(),
            disk: self.disk.clone(),
            segment_bytes: self.segment_bytes,
            seed: self.seed,
            synced: self.syncer.durable_offset(),
            segments: Vec::new(),
            chain: self.chain,
        };
        let header = SegmentHeader {
            log_id: last.header.log_id,
            sequence: last.header.sequence + 1,
            first_index: first,
            start: last.header.start + last.header.length,
            length: self.segment_bytes,
            chain: self.chain,
        };
        anew.segments.push(anew.segment(header, 0)?);
        anew.sync()?;
        Ok(anew)
    }

    /// Goes on behind what [`Log::prepare_anew`] has made, which is synced and which the manifest names by now. What was
    /// in the log goes.
    ///
    /// # Errors
    /// `Io`, and every later call fails too: the daemon must end, and its restart finds the log begun anew.
    pub fn begin_anew(&mut self, anew: Anew) -> Result<(), ReplicationError> {
        self.queue.clear();
        // Nothing of what goes may be taken for durable by a sync that ends later.
        let outcome = self.syncer.sync();
        self.broken = outcome.is_err();
        outcome?;
        let old = std::mem::replace(&mut self.segments, anew.segments.into());
        self.chain = anew.chain;
        self.needed = self.first_index();
        let (last, end) = (self.written(), self.last().global_end());
        self.syncer.rewind(last, end);
        self.keeper
            .remove(old.into_iter().map(|segment| segment.path).collect())
    }
}
