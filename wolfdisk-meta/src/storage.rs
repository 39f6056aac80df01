//! What a start finds on disk, put together: manifest, checkpoint and log, each opened or made.
//!
//! The manifest is made last: until it stands, the directory is empty as far as anybody can tell, and a
//! start that was cut off is simply repeated.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::ids::{Incarnation, LogIndex};

use crate::consensus::ReplicationError;
use crate::index::checkpoint::RedbTable;
use crate::index::table::{Table, TableError};
use crate::limits::CHECKPOINT_CACHE_BYTES;
use crate::log::LogOptions;
use crate::log::store::Log;
use crate::manifest::{Manifest, ManifestError};

/// Of the log, in the index's directory.
pub(crate) const LOG_DIRECTORY: &str = "log";
/// What daemons lock in there.
pub(crate) const LOCK_NAME: &str = "lock";
const CHECKPOINT_ENDING: &str = ".redb";

/// How the parts are opened.
#[derive(Clone, Copy, Debug)]
pub struct StorageOptions {
    /// The log's; `first_segment` is taken from the manifest.
    pub log: LogOptions,
    /// Pages of the checkpoint kept in memory.
    pub checkpoint_cache_bytes: usize,
}

impl Default for StorageOptions {
    fn default() -> StorageOptions {
        StorageOptions {
            log: LogOptions::default(),
            checkpoint_cache_bytes: CHECKPOINT_CACHE_BYTES,
        }
    }
}

/// The opened parts.
pub struct Storage {
    /// With this start's incarnation, durable.
    pub manifest: Manifest,
    /// The checkpoint.
    pub table: Arc<RedbTable>,
    /// Holds what the checkpoint lacks.
    pub log: Log,
}

/// Why there is nothing to start with.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The manifest's part.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The checkpoint's part.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The log's part.
    #[error(transparent)]
    Log(#[from] ReplicationError),
    /// The directory itself.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There are chunks, and no index that knows them.
    #[error(
        "{} holds no index, but {} holds chunks, all of which would be given back: import an export of the index \
         (wolfdiskctl index import FILE), or restore the directory from a copy; to begin anew without them, move them away",
        path.display(),
        chunks.display()
    )]
    Lost {
        /// The directory of the index.
        path: PathBuf,
        /// That of the chunks.
        chunks: PathBuf,
    },
    /// Another checkpoint has taken its place.
    #[error("{} is not the current checkpoint any more", .0.display())]
    Superseded(PathBuf),
    /// There are files of an index, but not the one that says which are current.
    #[error("{path} holds a log with entries but no manifest; restore the manifest from a copy")]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
}

/// Makes the next generation of the checkpoint's file.
pub struct Generations {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    manifest: Manifest,
    cache_bytes: usize,
}

impl Generations {
    /// Of the index in `directory` that was opened with `manifest`.
    pub fn new(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        manifest: Manifest,
        options: &StorageOptions,
    ) -> Generations {
        Generations {
            disk,
            directory,
            manifest,
            cache_bytes: options.checkpoint_cache_bytes,
        }
    }

    /// Copies the checkpoint to a new file. The old one goes on to be current until [`Generations::switch`].
    ///
    /// # Errors
    /// Nothing is left of the copy. `Superseded`: it is not the current one.
    pub fn copy(&self, table: &RedbTable) -> Result<RedbTable, StorageError> {
        if table.path().file_name() != Some(self.manifest.checkpoint.as_ref()) {
            return Err(StorageError::Superseded(table.path().to_owned()));
        }
        let path = self.directory.join(self.next().checkpoint);
        // One that an earlier attempt has left.
        remove_if_there(&*self.disk, &path)?;
        match table.copy(&self.disk, &path, self.cache_bytes) {
            Ok(copy) => Ok(copy),
            Err(error) => {
                remove_if_there(&*self.disk, &path)?;
                Err(error.into())
            }
        }
    }

    /// Makes the checkpoint in the file `from`, which is durable, the current one, and the log begin with that segment, if
    /// one is named; durably and in one step. Gives where the file is now.
    ///
    /// # Errors
    /// Either may be current then: the daemon must end.
    pub fn replace(
        &mut self,
        from: &Path,
        first_segment: Option<u64>,
    ) -> Result<PathBuf, StorageError> {
        let next = self.next();
        let next = Manifest {
            first_segment: first_segment.unwrap_or(next.first_segment),
            ..next
        };
        let path = self.directory.join(&next.checkpoint);
        self.disk.rename(from, &path).map_err(io(&path))?;
        let named = self.disk.sync_dir(&self.directory);
        named.map_err(io(&self.directory))?;
        next.store(&*self.disk, &self.directory)?;
        self.manifest = next;
        Ok(path)
    }

    /// Makes the copy the current checkpoint, durably. Nothing may have been committed to the old one since.
    ///
    /// # Errors
    /// Either may be current then: the daemon must end.
    pub fn switch(&mut self) -> Result<(), StorageError> {
        let next = self.next();
        next.store(&*self.disk, &self.directory)?;
        self.manifest = next;
        Ok(())
    }

    /// Removes what is not current.
    ///
    /// # Errors
    /// What was not removed is by the next start.
    pub fn remove_old(&self) -> Result<(), StorageError> {
        remove_leftovers(&*self.disk, &self.directory, Some(&self.manifest))
    }

    fn next(&self) -> Manifest {
        let generation = self.manifest.generation + 1;
        Manifest {
            generation,
            checkpoint: format!("{generation}{CHECKPOINT_ENDING}"),
            ..self.manifest.clone()
        }
    }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(path)(error)),
        _ => Ok(()),
    }
}

/// Whether a directory holds no index and nothing that is left of one. It need not be there.
///
/// # Errors
/// What the system says.
pub fn is_empty(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
    match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        names => Ok(names?.iter().all(|name| name == LOCK_NAME)),
    }
}

/// Refuses to make a new index beside chunks of a lost one: a sweep would take them for leftovers.
///
/// # Errors
/// `Lost`, or what the system says.
pub fn refuse_lost(disk: &dyn Disk, directory: &Path, chunks: &Path) -> Result<(), StorageError> {
    let names = match disk.list(chunks) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(io(chunks))?,
    };
    let segment = |name: &OsString| Path::new(name).extension() == Some("seg".as_ref());
    match names.iter().any(segment) && is_empty(disk, directory).map_err(io(directory))? {
        true => Err(StorageError::Lost {
            path: directory.to_owned(),
            chunks: chunks.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Opens the index in `directory`, or makes an empty one, and begins a new incarnation.
///
/// # Errors
/// See [`StorageError`]. Nothing that was durable is changed then.
pub fn open(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    volume: Uuid,
    options: &StorageOptions,
) -> Result<Storage, StorageError> {
    disk.create_dir_all(directory).map_err(io(directory))?;
    let known = Manifest::load(&**disk, directory)?;
    if let Some(known) = known.as_ref().filter(|known| known.volume != volume) {
        let path = directory.join(crate::manifest::MANIFEST_NAME);
        return Err(ManifestError::OtherVolume {
            path,
            found: known.volume,
            expected: volume,
        }
        .into());
    }
    let options = StorageOptions {
        log: LogOptions {
            first_segment: known.as_ref().map_or(0, |known| known.first_segment),
            ..options.log
        },
        ..*options
    };
    let (mut manifest, table, log) = match known {
        Some(manifest) => existing(disk, directory, manifest, &options)?,
        None => new(disk, directory, volume, &options)?,
    };
    manifest.first_segment = log.first_segment();
    manifest.begin_incarnation(&**disk, directory)?;
    Ok(Storage {
        manifest,
        table: Arc::new(table),
        log,
    })
}

fn existing(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    manifest: Manifest,
    options: &StorageOptions,
) -> Result<(Manifest, RedbTable, Log), StorageError> {
    remove_leftovers(&**disk, directory, Some(&manifest))?;
    let path = directory.join(&manifest.checkpoint);
    let table = RedbTable::open(disk, &path, options.checkpoint_cache_bytes)?;
    let log = Log::open(disk.clone(), &directory.join(LOG_DIRECTORY), &options.log)?;
    log.refuse_gap(table.applied().index)?;
    Ok((manifest, table, log))
}

fn new(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    volume: Uuid,
    options: &StorageOptions,
) -> Result<(Manifest, RedbTable, Log), StorageError> {
    // The log tells whether this is a new directory or one whose manifest is lost, so it is opened
    // before anything is taken for a leftover.
    let log = Log::open(disk.clone(), &directory.join(LOG_DIRECTORY), &options.log)?;
    if log.written() > LogIndex(0) {
        return Err(StorageError::NoManifest {
            path: directory.to_owned(),
        });
    }
    remove_leftovers(&**disk, directory, None)?;
    let manifest = empty(volume);
    let path = directory.join(&manifest.checkpoint);
    let table = RedbTable::create(disk, &path, options.checkpoint_cache_bytes)?;
    Ok((manifest, table, log))
}

/// The manifest of an index that has no past.
pub(crate) fn empty(volume: Uuid) -> Manifest {
    Manifest {
        volume,
        generation: 1,
        incarnation: Incarnation(0),
        first_segment: 0,
        checkpoint: format!("1{CHECKPOINT_ENDING}"),
    }
}

/// Removes checkpoints that the manifest does not name.
fn remove_leftovers(
    disk: &dyn Disk,
    directory: &Path,
    manifest: Option<&Manifest>,
) -> Result<(), StorageError> {
    for name in disk.list(directory).map_err(io(directory))? {
        let text = name.to_string_lossy();
        let current = manifest.is_some_and(|manifest| manifest.checkpoint == text);
        if text.ends_with(CHECKPOINT_ENDING) && !current {
            let path = directory.join(&name);
            disk.remove(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> StorageError + '_ {
    |source| StorageError::Io {
        path: path.to_owned(),
        source,
    }
}
