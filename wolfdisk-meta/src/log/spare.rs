//! The next segment, made before it is needed, and the removal of old ones: off the writer's path.
//!
//! A segment file is written full of zeroes and synced under a temporary name, so that its blocks are
//! allocated and a later sync writes data alone. Temporary files that a crash leaves are removed when the
//! log is opened. Old segments are removed the oldest first, so that what is left has no gap.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use wolfdisk_common::disk::{Disk, DiskFile, OpenMode};

use super::{Syncing, at};
use crate::consensus::ReplicationError;

/// Ending of a file that is being made.
pub(super) const TEMPORARY: &str = ".new";
const SPARE_NAME: &str = "spare.new";
const DIRECT_NAME: &str = "direct.new";
/// Zeroes written at a time. Each is synced, so that the writer's syncs never queue behind a whole
/// segment.
const PIECE_BYTES: usize = 2 * 1024 * 1024;

/// A file of zeroes under a temporary name.
pub(super) struct Blank {
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
}

/// See the module.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    length: u64,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    spare: Option<Blank>,
    /// A spare is wanted, or being made.
    making: bool,
    removals: Vec<PathBuf>,
    failure: Option<ReplicationError>,
    stop: bool,
}

impl Keeper {
    /// Begins to make the first spare, of `length` bytes.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        disk: Arc<dyn Disk>,
        directory: &Path,
        length: u64,
        syncing: Syncing,
    ) -> io::Result<Keeper> {
        let shared = Arc::new(Shared {
            disk,
            directory: directory.to_owned(),
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut keeper = Keeper {
            shared,
            length,
            thread: None,
        };
        if let Syncing::Thread { .. } = syncing {
            keeper.shared.work.lock().making = true;
            let shared = keeper.shared.clone();
            let run = move || shared.run(length);
            keeper.thread = Some(
                std::thread::Builder::new()
                    .name("log-spare".into())
                    .spawn(run)?,
            );
        }
        Ok(keeper)
    }

    /// A blank file of `length` bytes: the spare if that is its length, else made now.
    ///
    /// # Errors
    /// `Io`; no file was made.
    pub fn take(&self, length: u64) -> Result<Blank, ReplicationError> {
        if self.thread.is_some() && length == self.length {
            let mut work = self.shared.work.lock();
            while work.making && !work.stop {
                self.shared.changed.wait(&mut work);
            }
            if let Some(spare) = work.spare.take() {
                return Ok(spare);
            }
        }
        blank(
            &*self.shared.disk,
            &self.shared.directory.join(DIRECT_NAME),
            length,
        )
    }

    /// The file that was taken has its name: the next spare may be made.
    pub fn replenish(&self) {
        let mut work = self.shared.work.lock();
        if self.thread.is_some() && work.spare.is_none() {
            work.making = true;
            self.shared.changed.notify_all();
        }
    }

    /// Removes segments, given the oldest first.
    ///
    /// # Errors
    /// What removing gave, this time or the last.
    pub fn remove(&self, paths: Vec<PathBuf>) -> Result<(), ReplicationError> {
        if self.thread.is_none() {
            return self.shared.remove(&paths);
        }
        let mut work = self.shared.work.lock();
        work.removals.extend(paths);
        self.shared.changed.notify_all();
        work.failure.take().map_or(Ok(()), Err)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.work.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!(?panic, "the thread that makes log segments has panicked");
        }
    }
}

impl Shared {
    fn run(&self, length: u64) {
        let mut work = self.work.lock();
        while !work.stop {
            let removals = std::mem::take(&mut work.removals);
            if work.making {
                drop(work);
                let made = blank(&*self.disk, &self.directory.join(SPARE_NAME), length);
                work = self.work.lock();
                // Without a spare the writer makes its segment itself, and reports what hinders it.
                match made {
                    Ok(spare) => work.spare = Some(spare),
                    Err(error) => tracing::warn!(%error, "no log segment could be made ahead"),
                }
                work.making = false;
                work.removals.splice(0..0, removals);
                self.changed.notify_all();
            } else if !removals.is_empty() {
                drop(work);
                let removed = self.remove(&removals);
                work = self.work.lock();
                if let Err(error) = removed {
                    tracing::warn!(%error, "an old log segment could not be removed");
                    work.failure = Some(error);
                }
            } else {
                self.changed.wait(&mut work);
            }
        }
    }

    fn remove(&self, paths: &[PathBuf]) -> Result<(), ReplicationError> {
        for path in paths {
            self.disk.remove(path).map_err(at(path))?;
        }
        match paths.is_empty() {
            true => Ok(()),
            false => self
                .disk
                .sync_dir(&self.directory)
                .map_err(at(&self.directory)),
        }
    }
}

/// Makes a file of zeroes at `path`, with its content durable and its name not.
pub(super) fn blank(disk: &dyn Disk, path: &Path, length: u64) -> Result<Blank, ReplicationError> {
    let make = || {
        match disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(path, OpenMode::CreateNew)?;
        zero(&*file, 0, length)?;
        Ok(file)
    };
    let file = make().map_err(at(path))?;
    Ok(Blank {
        path: path.to_owned(),
        file,
    })
}

/// Writes zeroes from `from` to `to`, durably, and keeps none of them in memory: pieces of this size would
/// stay there as pages of 2 MiB, and a write of a few bytes into one looks at each block of it.
pub(super) fn zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeroes = vec![0; PIECE_BYTES.min((to - from) as usize)];
    let mut offset = from;
    while offset < to {
        let (piece, _) = zeroes.split_at(zeroes.len().min((to - offset) as usize));
        file.write_at(piece, offset)?;
        file.sync_data()?;
        file.forget(offset, piece.len() as u64);
        offset += piece.len() as u64;
    }
    Ok(())
}
