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
use crate::index::KeyBytes;
use crate::index::checkpoint::RedbTable;
use crate::index::table::{Applied, Change, Table};
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
                    target.record(key, value)?;
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
    table: RedbTable,
    /// Made when it is known with which entry it begins.
    log: Option<Log>,
    queued_bytes: usize,
    part: Vec<Change>,
    part_bytes: usize,
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
        Ok(Target {
            disk,
            directory,
            options,
            applied: Applied {
                index: header.index,
                term: header.term,
                version: fork.version()?,
            },
            table: RedbTable::create(disk, &path, options.checkpoint_cache_bytes)?,
            log: None,
            queued_bytes: 0,
            part: Vec::new(),
            part_bytes: 0,
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

    fn record(&mut self, key: KeyBytes, value: Bytes) -> Result<(), ImportError> {
        self.part_bytes += key.len() + value.len();
        self.part.push((key, Some(value)));
        if self.part_bytes >= limits::CHECKPOINT_COPY_PART_BYTES {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), ImportError> {
        let part = std::mem::take(&mut self.part);
        self.part_bytes = 0;
        Ok(self.table.commit(self.applied, &mut part.into_iter())?)
    }

    /// Adds what the log goes on with. Gives the sequence of its first segment.
    fn finish(mut self, more: Vec<Bytes>) -> Result<u64, ImportError> {
        self.commit()?;
        let (next, term) = (LogIndex(self.applied.index.0 + 1), self.applied.term);
        let log = self.log(next)?;
        for payload in more {
            log.append(term, payload);
        }
        log.sync()?;
        Ok(log.first_segment())
    }
}
