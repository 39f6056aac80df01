//! Makes an index in an empty directory from an export: checkpoint, log, and last of all the manifest, when everything
//! has been seen to be what was written. All of it is durable then.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::ids::{Incarnation, LogIndex, Term};

use super::error::{ImportError, io};
use super::fork::Fork;
use crate::export::format::Header;
use crate::export::reader::{Item, Reader};
use crate::index::checkpoint::Filler;
use crate::index::table::Applied;
use crate::limits;
use crate::log::store::Log;
use crate::manifest::Manifest;
use crate::storage::{LOG_DIRECTORY, StorageOptions, empty};

/// What was made.
#[derive(Debug)]
pub struct Built {
    /// Of the export.
    pub header: Header,
    /// Records in it.
    pub records: u64,
    /// Entries of the log in it.
    pub entries: u64,
    /// Sessions that were open then.
    pub sessions: u64,
}

/// Makes it in `directory`, of the volume, with an incarnation after `lived` and all that there can have been.
///
/// # Errors
/// The directory holds leftovers and no manifest.
pub fn build(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    volume: Uuid,
    lived: Incarnation,
    input: impl Read,
    options: &StorageOptions,
) -> Result<Built, ImportError> {
    let mut reader = Reader::new(input)?;
    let header = reader.header().clone();
    if header.volume != volume {
        return Err(ImportError::OtherVolume {
            found: header.volume,
            expected: volume,
        });
    }
    let mut fork = Fork::of(&header);
    let mut target = Target::new(disk, directory, &fork, &header, options)?;
    let (mut entries, mut records) = (0, 0);
    while let Some(item) = reader.read_next()? {
        match item {
            Item::Entry {
                index,
                term,
                payload,
            } => {
                fork.entry(index);
                target.entry(index, term, payload)?;
                entries += 1;
            }
            Item::Record { key, value } => {
                if let Some(value) = fork.record(&key, value)? {
                    target.records.record(key, value)?;
                }
                records += 1;
            }
        }
    }
    let closing = fork.finish()?;
    let sessions = closing.len() as u64;
    let first_segment = target.finish(closing)?;
    let next = header
        .incarnation
        .0
        .checked_add(limits::IMPORT_INCARNATIONS);
    let next = next.ok_or(ImportError::NoNumbers("incarnations"))?;
    let manifest = Manifest {
        incarnation: lived.max(Incarnation(next)),
        first_segment,
        ..empty(volume)
    };
    manifest.store(&**disk, directory)?;
    Ok(Built {
        header,
        records,
        entries,
        sessions,
    })
}

/// The files that are being filled.
struct Target<'a> {
    disk: &'a Arc<dyn Disk>,
    directory: &'a Path,
    options: &'a StorageOptions,
    /// What the checkpoint says of itself.
    applied: Applied,
    records: Filler,
    /// Made when it is known with which entry it begins.
    log: Option<Log>,
    queued_bytes: usize,
}

impl<'a> Target<'a> {
    fn new(
        disk: &'a Arc<dyn Disk>,
        directory: &'a Path,
        fork: &Fork,
        header: &Header,
        options: &'a StorageOptions,
    ) -> Result<Target<'a>, ImportError> {
        disk.create_dir_all(directory).map_err(io(directory))?;
        let path = directory.join(empty(header.volume).checkpoint);
        let applied = Applied {
            index: header.index,
            term: header.term,
            version: fork.version()?,
        };
        Ok(Target {
            disk,
            directory,
            options,
            applied,
            records: Filler::create(disk, &path, options.checkpoint_cache_bytes, applied)?,
            log: None,
            queued_bytes: 0,
        })
    }

    fn entry(&mut self, index: LogIndex, term: Term, payload: Bytes) -> Result<(), ImportError> {
        self.queued_bytes += payload.len();
        let enough = self.queued_bytes >= limits::CHECKPOINT_COPY_PART_BYTES;
        let log = self.log(index)?;
        log.append(term, payload);
        if enough {
            log.flush()?;
            self.queued_bytes = 0;
        }
        Ok(())
    }

    /// The log; if it is not there yet, one that begins with `first`.
    fn log(&mut self, first: LogIndex) -> Result<&mut Log, ImportError> {
        let log = match self.log.take() {
            Some(log) => log,
            None => {
                let directory = self.directory.join(LOG_DIRECTORY);
                Log::create(self.disk.clone(), &directory, first, &self.options.log)?
            }
        };
        Ok(self.log.insert(log))
    }

    /// Adds what the log goes on with. Gives the sequence of its first segment.
    fn finish(mut self, more: Vec<Bytes>) -> Result<u64, ImportError> {
        let (next, term) = (LogIndex(self.applied.index.0 + 1), self.applied.term);
        let log = self.log(next)?;
        for payload in more {
            log.append(term, payload);
        }
        log.sync()?;
        let first = log.first_segment();
        self.records.finish()?;
        Ok(first)
    }
}
