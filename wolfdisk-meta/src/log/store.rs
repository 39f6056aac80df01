//! The log itself: entries are queued, written by one system call for each segment touched, read back
//! and removed from the front. Owned by one task; two threads work for it (see the module above).
//!
//! After a failed write what the file holds is unknown: every later call fails too.

mod anew;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::ids::{LogIndex, Term};

use super::cut::Cut;
use super::format::{
    RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, encode_record, record_bytes, seed,
    segment_name,
};
use super::recover::{Recovered, recover};
use super::segment::{Place, Segment};
use super::spare::{Blank, Keeper};
use super::sync::{Dirty, Syncer};
use super::{LogCounts, LogOptions, at};
use crate::consensus::ReplicationError;
use crate::limits::RECORD_PAYLOAD_MAX_BYTES;
pub use anew::Anew;

/// Lengths of segments are multiples of this.
const SEGMENT_UNIT_BYTES: u64 = 4096;
/// Writes end where a page of the kernel's cache ends.
const PAGE_BYTES: u64 = 4096;
const _: () = assert!(SEGMENT_UNIT_BYTES.is_multiple_of(PAGE_BYTES));
/// A write buffer that has grown beyond this is given back.
const BUFFER_KEPT_BYTES: usize = 1024 * 1024;
/// Index of the first entry of a new log.
const FIRST_INDEX: LogIndex = LogIndex(1);

/// See the module.
pub struct Log {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    seed: u32,
    /// Never empty; the last one is written to.
    segments: VecDeque<Segment>,
    queue: VecDeque<(Term, Bytes)>,
    chain: u32,
    buffer: Vec<u8>,
    needed: LogIndex,
    broken: bool,
    syncer: Syncer,
    keeper: Keeper,
}

impl Log {
    /// Opens the log in `directory`, or makes one there if it holds none. Everything in it is durable
    /// then.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`, `Io`.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: &LogOptions,
    ) -> Result<Log, ReplicationError> {
        disk.create_dir_all(directory).map_err(at(directory))?;
        let segment_bytes = options.segment_bytes.next_multiple_of(SEGMENT_UNIT_BYTES);
        let recovered = match recover(&*disk, directory, options)? {
            Some(recovered) => recovered,
            None => create(&*disk, directory, segment_bytes, FIRST_INDEX)?,
        };
        let Recovered {
            segments,
            log_id,
            chain,
        } = recovered;
        if let Some(last) = segments.last() {
            // What is still blank was read in large pieces, like the rest; see there what that costs.
            last.file.forget(last.end, last.header.length - last.end);
        }
        let last = segments
            .last()
            .map(|last| (last.next_index().0 - 1, last.global_end()));
        let (index, offset) = last.unwrap_or_default();
        let needed = segments
            .first()
            .map_or(FIRST_INDEX, |first| first.header.first_index);
        let syncing = options.syncing;
        let syncer = Syncer::start(disk.clone(), directory, LogIndex(index), offset, syncing);
        let keeper = Keeper::start(disk.clone(), directory, segment_bytes, syncing);
        Ok(Log {
            directory: directory.to_owned(),
            disk,
            segment_bytes,
            seed: seed(log_id),
            segments: segments.into(),
            queue: VecDeque::new(),
            chain,
            buffer: Vec::new(),
            needed,
            broken: false,
            syncer: syncer.map_err(at(directory))?,
            keeper: keeper.map_err(at(directory))?,
        })
    }

    /// Makes a log in `directory`, which holds none, whose first entry is to be `first`, and opens it.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(
        disk: Arc<dyn Disk>,
        directory: &Path,
        first: LogIndex,
        options: &LogOptions,
    ) -> Result<Log, ReplicationError> {
        disk.create_dir_all(directory).map_err(at(directory))?;
        let segment_bytes = options.segment_bytes.next_multiple_of(SEGMENT_UNIT_BYTES);
        create(&*disk, directory, segment_bytes, first)?;
        Log::open(disk, directory, options)
    }

    /// Index of the first entry that is still there, if any is.
    pub fn first_index(&self) -> LogIndex {
        self.segments
            .front()
            .map_or(FIRST_INDEX, |first| first.header.first_index)
    }

    /// Index of the last entry written; 0 if none ever was.
    pub fn written(&self) -> LogIndex {
        LogIndex(self.last().next_index().0 - 1)
    }

    /// Refuses a log that does not follow on an index which holds everything up to `applied`.
    ///
    /// # Errors
    /// `Damaged`: it lacks entries after `applied`, or ends before it.
    pub fn refuse_gap(&self, applied: LogIndex) -> Result<(), ReplicationError> {
        let (first, last) = (self.first_index(), self.written());
        if first.0 <= applied.0 + 1 && last >= applied {
            return Ok(());
        }
        Err(ReplicationError::Damaged {
            path: self.directory.clone(),
            offset: 0,
            what: format!(
                "it holds entries {first} to {last}, but the index was written at entry {applied}"
            ),
        })
    }

    /// Sequence of the first segment.
    pub fn first_segment(&self) -> u64 {
        self.segments
            .front()
            .map_or(0, |first| first.header.sequence)
    }

    /// Queues an entry and says where it will stand.
    ///
    /// # Panics
    /// If the payload is longer than a record may be: the caller bounds what it proposes.
    pub fn append(&mut self, term: Term, payload: Bytes) -> LogIndex {
        assert!(
            payload.len() <= RECORD_PAYLOAD_MAX_BYTES,
            "an entry of {} bytes",
            payload.len()
        );
        self.queue.push_back((term, payload));
        LogIndex(self.written().0 + self.queue.len() as u64)
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// `Io`, also if an earlier write or a sync has failed.
    pub fn flush(&mut self) -> Result<(), ReplicationError> {
        if self.broken {
            return Err(self.syncer.failure().unwrap_or_else(|| self.unknown()));
        }
        if let Some(failure) = self.syncer.failure() {
            self.broken = true;
            return Err(failure);
        }
        let outcome = self.write_queue();
        self.broken = outcome.is_err();
        self.syncer.settle();
        outcome
    }

    fn write_queue(&mut self) -> Result<(), ReplicationError> {
        while let Some((_, payload)) = self.queue.front() {
            let need = record_bytes(payload.len()) as u64;
            let last = self.last();
            let new = last.end + need > last.header.length;
            if new {
                self.roll(need)?;
            }
            self.write_segment(new)?;
        }
        Ok(())
    }

    /// Writes as many queued entries as the last segment has room for.
    fn write_segment(&mut self, new: bool) -> Result<(), ReplicationError> {
        let synced = self.syncer.durable_offset();
        let (mut chain, mut buffer) = (self.chain, std::mem::take(&mut self.buffer));
        buffer.clear();
        let mut places = Vec::new();
        let last = self.segments.back_mut().expect("a log has a segment");
        while let Some((term, payload)) = self.queue.front() {
            let offset = last.end + buffer.len() as u64;
            if offset + record_bytes(payload.len()) as u64 > last.header.length {
                break;
            }
            let index = LogIndex(last.next_index().0 + places.len() as u64);
            let length = payload.len() as u32;
            let header = RecordHeader {
                length,
                index,
                term: *term,
                synced,
                chain,
                crc: 0,
            };
            let (crc, first_crc) = encode_record(&mut buffer, self.seed, &header, payload);
            chain = crc;
            places.push(Place {
                offset: offset as u32,
                length,
                first_crc,
            });
            self.queue.pop_front();
        }
        let counts = self.syncer.counts();
        counts
            .entries
            .fetch_add(places.len() as u64, Ordering::Relaxed);
        counts
            .bytes
            .fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let end = last.end + buffer.len() as u64;
        pad_to_page(&mut buffer, end);
        last.file
            .write_at(&buffer, last.end)
            .map_err(at(&last.path))?;
        last.end = end;
        last.places.extend_from_slice(&places);
        let (index, offset) = (LogIndex(last.next_index().0 - 1), last.global_end());
        let dirty = Dirty {
            path: last.path.clone(),
            file: last.file.clone(),
            new,
        };
        self.syncer.written(index, offset, dirty);
        self.chain = chain;
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            self.buffer = buffer;
        }
        Ok(())
    }

    /// Begins the next segment, with room for a record of `need` bytes.
    fn roll(&mut self, need: u64) -> Result<(), ReplicationError> {
        let whole = (SEGMENT_HEADER_BYTES as u64 + need).next_multiple_of(SEGMENT_UNIT_BYTES);
        let length = self.segment_bytes.max(whole);
        let last = self.last();
        let header = SegmentHeader {
            log_id: last.header.log_id,
            sequence: last.header.sequence + 1,
            first_index: last.next_index(),
            start: last.header.start + last.header.length,
            length,
            chain: self.chain,
        };
        let blank = self.keeper.take(length)?;
        // Neither the header nor the name is synced here: the next sync covers both, and until then no
        // record in the segment is durable.
        let segment = begin(&*self.disk, &self.directory, blank, header)?;
        self.segments.push_back(segment);
        self.keeper.replenish();
        Ok(())
    }

    /// Bytes of the payload of a written entry.
    ///
    /// # Errors
    /// `NoEntry`, `Damaged`, `Io`.
    pub fn read(
        &self,
        index: LogIndex,
        offset: u32,
        length: u32,
    ) -> Result<Bytes, ReplicationError> {
        let (segment, place) = self.find(index)?;
        segment.read(self.seed, index, place, offset, length)
    }

    /// A written entry.
    ///
    /// # Errors
    /// `NoEntry`, `Damaged`, `Io`.
    pub fn read_entry(&self, index: LogIndex) -> Result<(Term, Bytes), ReplicationError> {
        let (segment, place) = self.find(index)?;
        segment.read_whole(self.seed, index, place)
    }

    /// Entries below `index` are not needed any more; whole segments of them go.
    ///
    /// # Errors
    /// What removing gave, now or in the background before.
    pub fn truncate_before(&mut self, index: LogIndex) -> Result<(), ReplicationError> {
        self.needed = self.needed.max(index.min(self.last().next_index()));
        // A segment goes only when the one after it is durable: header, name and a record.
        let durable = self.syncer.durable_offset();
        let stands = |next: &Segment, needed| {
            next.header.first_index <= needed && next.header.start < durable
        };
        let mut old = Vec::new();
        while self
            .segments
            .get(1)
            .is_some_and(|next| stands(next, self.needed))
        {
            old.extend(self.segments.pop_front().map(|segment| segment.path));
        }
        match old.is_empty() {
            true => Ok(()),
            false => self.keeper.remove(old),
        }
    }

    /// The term of a written entry.
    ///
    /// # Errors
    /// `NoEntry`, `Damaged`, `Io`.
    pub fn term(&self, index: LogIndex) -> Result<Term, ReplicationError> {
        let (segment, place) = self.find(index)?;
        segment.head(self.seed, place).map(|header| header.term)
    }

    /// Bytes of the payload of a written entry, without reading it; none: it is not there.
    pub fn payload_bytes(&self, index: LogIndex) -> Option<usize> {
        let (_, place) = self.find(index).ok()?;
        Some(place.length as usize)
    }

    /// Takes back every entry above `index`, durably; others are to stand there. What was queued must have
    /// been written. After a crash at any moment either all of them are there or none.
    ///
    /// # Errors
    /// `NoEntry` if `index` lies before what the log still holds: nothing was changed. Else `Io` or `Damaged`,
    /// and every later call fails too.
    pub fn truncate_after(&mut self, index: LogIndex) -> Result<(), ReplicationError> {
        self.flush()?;
        if index >= self.written() {
            return Ok(());
        }
        let next = LogIndex(index.0 + 1);
        self.find(next)?;
        // Nothing of what goes may be written by a sync that ends later.
        self.syncer.sync()?;
        let outcome = self.take_back(next);
        self.broken = outcome.is_err();
        outcome
    }

    /// Removes the entry `next`, which is there, and all after it.
    fn take_back(&mut self, next: LogIndex) -> Result<(), ReplicationError> {
        let (segment, place) = self.find(next)?;
        let kept = segment.place(LogIndex(next.0 - 1));
        let chain = match kept {
            Some(before) => segment.head(self.seed, before)?.crc,
            None => segment.header.chain,
        };
        let (sequence, offset) = (segment.header.sequence, u64::from(place.offset));
        let cut = Cut {
            log_id: segment.header.log_id,
            sequence,
            offset,
        };
        let after = self.segments.iter();
        let after = after.filter(|segment| segment.header.sequence > sequence);
        let after: Vec<_> = after.map(|segment| segment.path.clone()).collect();
        cut.declare(&*self.disk, &self.directory)?;
        let (segment, _) = self.find(next)?;
        let rest = (
            &*segment.file,
            segment.path.as_path(),
            segment.header.length,
        );
        cut.carry_out(&*self.disk, &self.directory, rest, &after)?;
        self.segments.truncate(self.segments.len() - after.len());
        let last = self.segments.back_mut().expect("a log has a segment");
        let left = next.0 - last.header.first_index.0;
        last.places.truncate(left as usize);
        last.end = offset;
        self.chain = chain;
        self.needed = self.needed.min(next);
        let end = self.last().global_end();
        self.syncer.rewind(LogIndex(next.0 - 1), end);
        Ok(())
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<LogCounts> {
        self.syncer.counts().clone()
    }

    /// Bytes between the first needed entry and the end.
    pub fn bytes(&self) -> u64 {
        let end = self.last().global_end();
        let begin = self
            .find(self.needed)
            .map(|(segment, place)| segment.header.start + u64::from(place.offset));
        // An entry that is not written yet begins at the end.
        end - begin.unwrap_or(end)
    }

    /// Everything up to here survives a power cut.
    pub fn durable(&self) -> LogIndex {
        self.syncer.durable()
    }

    /// Follows [`Log::durable`].
    pub fn subscribe(&self) -> watch::Receiver<LogIndex> {
        self.syncer.subscribe()
    }

    /// Somebody waits for `index` to be durable.
    pub fn want_durable(&mut self, index: LogIndex) {
        self.syncer.want(index);
        self.syncer.settle();
    }

    /// Writes what is queued and returns when all is durable.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&mut self) -> Result<(), ReplicationError> {
        self.flush()?;
        self.syncer.sync()
    }

    /// Why the log cannot be synced any more.
    pub fn failure(&self) -> Option<ReplicationError> {
        self.syncer.failure()
    }

    fn find(&self, index: LogIndex) -> Result<(&Segment, Place), ReplicationError> {
        let after = self
            .segments
            .partition_point(|segment| segment.header.first_index <= index);
        let segment = after
            .checked_sub(1)
            .and_then(|position| self.segments.get(position));
        let found = segment.and_then(|segment| Some((segment, segment.place(index)?)));
        found.ok_or(ReplicationError::NoEntry(index))
    }

    fn last(&self) -> &Segment {
        self.segments.back().expect("a log has a segment")
    }

    fn unknown(&self) -> ReplicationError {
        let what = "an earlier write failed, so what the log holds is unknown";
        at(&self.last().path)(std::io::Error::other(what))
    }
}

/// Fills the write up with zeroes, which is what stands there already, to the end of a page. Of a page that
/// is not in the cache any more and of which only a part is written the kernel first reads the rest, and
/// the writer waits for the disk.
fn pad_to_page(buffer: &mut Vec<u8>, end: u64) {
    let padding = end.next_multiple_of(PAGE_BYTES) - end;
    buffer.resize(buffer.len() + padding as usize, 0);
}

/// Writes the header into a blank file and gives it its name.
fn begin(
    disk: &dyn Disk,
    directory: &Path,
    blank: Blank,
    header: SegmentHeader,
) -> Result<Segment, ReplicationError> {
    let path = directory.join(segment_name(header.sequence));
    blank
        .file
        .write_at(&header.encode(), 0)
        .map_err(at(&blank.path))?;
    disk.rename(&blank.path, &path).map_err(at(&path))?;
    let end = SEGMENT_HEADER_BYTES as u64;
    Ok(Segment {
        path,
        file: blank.file,
        header,
        places: Vec::new(),
        end,
    })
}

/// The first segment of a new log, durable with its name.
fn create(
    disk: &dyn Disk,
    directory: &Path,
    length: u64,
    first_index: LogIndex,
) -> Result<Recovered, ReplicationError> {
    let log_id = Uuid::new_v4();
    let chain = seed(log_id);
    let header = SegmentHeader {
        log_id,
        sequence: 1,
        first_index,
        start: 0,
        length,
        chain,
    };
    let path = directory.join("first.new");
    let blank = super::spare::blank(disk, &path, length)?;
    blank
        .file
        .write_at(&header.encode(), 0)
        .map_err(at(&path))?;
    // Before the name: a first segment without a good header would be taken for damage.
    blank.file.sync_data().map_err(at(&path))?;
    let segment = begin(disk, directory, blank, header)?;
    segment.file.sync_data().map_err(at(&segment.path))?;
    disk.sync_dir(directory).map_err(at(directory))?;
    Ok(Recovered {
        segments: vec![segment],
        log_id,
        chain,
    })
}
