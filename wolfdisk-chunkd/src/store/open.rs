//! Opening a store: what a crash left becomes a store that keeps its promises.
//!
//! 1. Read the epoch file; a start has the next incarnation and the next put epoch.
//! 2. Take away the mark of a store that was closed ([`super::presence`]). Load the checkpoint, scan the segments that
//!    were appended to after it ([`super::load`]).
//! 3. Cut torn tails. Write once more what is intact but not known to be durable, and sync it: after a failed
//!    sync or a `kill -9` the page cache may show bytes that the disk does not have.
//! 4. Store the epoch file, and a checkpoint if anything was scanned. Only then is anything answered.
//!
//! New appends always go to a new segment: nothing that exists is written to again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use wolfdisk_common::disk::OpenMode;
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::{FILE_HEADER_BYTES, FileHeader, SegmentError};
use wolfdisk_common::timings::Timings;

use super::append::Tail;
use super::checkpoint::{self, Checkpoint, Loaded};
use super::compact::Maintenance;
use super::epoch::{self, Epochs};
use super::error::StoreError;
use super::load::Loader;
use super::place::Position;
use super::segment::{Segment, parse_file_name};
use super::state::State;
use super::status::Counters;
use super::watermark::Watermark;
use super::{Options, Store, presence, space};

impl Store {
    /// Opens the store in `options.dir`, or creates it there.
    ///
    /// # Errors
    /// What keeps it from being opened, in one line with the fix.
    pub fn open(options: Options) -> Result<Store, StoreError> {
        let Options {
            disk, dir, volume, ..
        } = &options;
        disk.create_dir_all(dir).map_err(StoreError::io(dir))?;
        let last = epoch::load(&**disk, dir, *volume)?;
        let names = disk.list(dir).map_err(StoreError::io(dir))?;
        let ids: Vec<SegmentId> = names
            .iter()
            .filter_map(|name| parse_file_name(name))
            .collect();
        if last.is_none() && !ids.is_empty() {
            return Err(StoreError::NoEpoch {
                path: epoch::path(dir),
            });
        }
        let last = last.unwrap_or(Epochs::ZERO);
        let epochs = last.next_start();
        let (image, damaged) = match checkpoint::load(&**disk, dir, *volume)? {
            Loaded::Intact(image) => (image, false),
            Loaded::Missing => (Checkpoint::default(), false),
            Loaded::Damaged => (Checkpoint::default(), true),
        };
        let state = State::new(epochs.put_epoch, image.chunks.len());
        let mut loader = Loader::new(&options, state, Counters::default());
        // The sync of the directory that comes with the epochs makes this durable.
        loader.was_closed = presence::take_mark(&**disk, dir, last.incarnation)?;
        if damaged {
            loader
                .state
                .note("the catalog file was damaged: everything was scanned".to_owned());
        }
        let segments = loader.open_segments(&ids)?;
        let end = loader.load(&segments, image)?;
        let Loader {
            state, counters, ..
        } = loader;
        epoch::store(&**disk, dir, *volume, epochs)?;
        let total = disk.space(dir).map_err(StoreError::io(dir))?.total_bytes;
        let next_segment = ids.last().map_or(1, |id| id.0 + 1).max(end.segment().0 + 1);
        let found = [
            &counters.scanned_records,
            &counters.torn_bytes,
            &counters.gap_bytes,
        ];
        let scanned = found.iter().any(|count| count.get() > 0);
        let store = Store {
            incarnation: epochs.incarnation,
            segment_bytes: options
                .segment_bytes
                .unwrap_or_else(|| space::segment_bytes(total)),
            maintenance: Mutex::new(Maintenance { put_bytes: 0 }),
            advancing: Mutex::new(()),
            syncing: Mutex::new(()),
            tail: Mutex::new(Tail::new(end, next_segment)),
            listed: Mutex::new(None),
            state: Mutex::new(state),
            watermark: Watermark::new(end),
            counters,
            sync_timings: Timings::default(),
            full: AtomicBool::new(false),
            options,
        };
        if scanned {
            // The next start shall not scan it again, nor take for damage what this one found torn.
            match store.checkpoint() {
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => tracing::warn!(%error, "no checkpoint could be written"),
                Ok(()) => {}
            }
        }
        Ok(store)
    }
}

/// A segment file as it was found.
pub(super) struct FoundSegment {
    pub segment: Arc<Segment>,
    /// Bytes of the file.
    pub length: u64,
    /// Its header cannot be read.
    pub headless: bool,
}

impl Loader<'_> {
    /// Opens every segment file and checks its header.
    fn open_segments(
        &self,
        ids: &[SegmentId],
    ) -> Result<BTreeMap<SegmentId, FoundSegment>, StoreError> {
        ids.iter()
            .map(|id| Ok((*id, self.open_segment(*id)?)))
            .collect()
    }

    fn open_segment(&self, id: SegmentId) -> Result<FoundSegment, StoreError> {
        let path = self.options.dir.join(super::segment::file_name(id));
        let file = self
            .options
            .disk
            .open(&path, OpenMode::ReadWrite)
            .map_err(StoreError::io(&path))?;
        let length = file.len().map_err(StoreError::io(&path))?;
        let mut header = [0; FILE_HEADER_BYTES];
        let parsed = match file.read_exact_at(&mut header, 0) {
            Ok(()) => FileHeader::parse(&header),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SegmentError::Short),
            Err(error) => return Err(StoreError::io(&path)(error)),
        };
        let headless = match parsed {
            Err(SegmentError::NewerFormat(found)) => {
                return Err(StoreError::NewerFormat { path, found });
            }
            Err(_) => true,
            Ok(header) if header.volume != self.options.volume => {
                return Err(StoreError::ForeignVolume { path });
            }
            Ok(header) => header.segment != id,
        };
        let segment = Arc::new(Segment { id, path, file });
        Ok(FoundSegment {
            segment,
            length,
            headless,
        })
    }
}

impl FoundSegment {
    /// Where the file ends, as a position in the stream: records end at multiples of 8.
    pub fn end(&self) -> Position {
        Position::new(self.segment.id, self.length.next_multiple_of(8))
    }
}
