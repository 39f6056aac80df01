//! A disk in memory that loses what a power cut could lose, and fails when it is told to.
//!
//! Every file is kept as its durable image and the list of writes since; every directory likewise.
//! [`CrashDisk::crash`] decides by a seed what of the rest had reached the medium:
//! - each unsynced write or change of length independently: kept, lost, or torn at 512-byte sectors;
//!   a lost write that lengthened the file may still have lengthened it, with zeroes;
//! - of the unsynced creations, renames and removals in one directory a prefix, in their order.
//!
//! This is harsher than ext4 and xfs: they also make a new file's name durable with its first fsync.
//! Making a directory is durable at once, as [`super::Disk::create_dir_all`] promises.
//!
//! A sync that fails loses the writes it covered for good, as Linux does: the page cache still shows
//! them, a second sync reports success, and a crash forgets them.

mod faults;
mod tree;

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Disk, DiskFile, OpenMode, Space};
use faults::Faults;
pub use faults::Operation;
use tree::{FileId, Tree};

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub struct CrashDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    tree: Tree,
    faults: Faults,
    /// Counts crashes; a handle of an earlier one is dead.
    life: u64,
}

/// A handle on a file of a [`CrashDisk`].
struct CrashFile {
    disk: CrashDisk,
    file: FileId,
    life: u64,
    writable: bool,
}

impl CrashDisk {
    /// An empty disk with only a root directory.
    pub fn new() -> CrashDisk {
        CrashDisk::default()
    }

    /// Cuts the power and turns it on again: what was unsynced is kept, lost or torn as `seed` decides.
    /// Handles opened before are dead, orders to fail are forgotten.
    pub fn crash(&self, seed: u64) {
        let mut inner = self.lock();
        inner.life += 1;
        inner.faults = Faults::default();
        inner.tree.crash(&mut StdRng::seed_from_u64(seed));
    }

    /// Operations so far that changed or synced something; the count that [`CrashDisk::fail_at`] and
    /// [`CrashDisk::power_off_at`] go by when they name no kind.
    pub fn operations(&self) -> u64 {
        self.lock().faults.count(None)
    }

    /// Operations of one kind so far.
    pub fn operations_of(&self, kind: Operation) -> u64 {
        self.lock().faults.count(Some(kind))
    }

    /// The `nth` operation from now (1 is the next), of `kind` if given, fails with `errno`. A write
    /// that fails has written its first half; a sync that fails has lost what it covered.
    pub fn fail_at(&self, kind: Option<Operation>, nth: u64, errno: i32) {
        self.lock().faults.fail_at(kind, nth, errno);
    }

    /// From the `nth` operation on (1 is the next) everything fails with `EIO` and changes nothing,
    /// until [`CrashDisk::crash`].
    pub fn power_off_at(&self, nth: u64) {
        self.lock().faults.power_off_at(nth);
    }

    /// Whether [`CrashDisk::power_off_at`] has struck.
    pub fn is_off(&self) -> bool {
        self.lock().faults.is_off()
    }

    /// From now on syncs of files and directories report success and do nothing: the drive that lies.
    /// A test that does not notice this proves nothing about syncing.
    pub fn lose_syncs(&self, lose: bool) {
        self.lock().faults.lose_syncs = lose;
    }

    /// The size of the medium; writes that would pass it fail with `ENOSPC`.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().tree.capacity_bytes = bytes;
    }

    /// Changes the durable bytes of a file behind everybody's back, as a bad medium does.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn corrupt(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.lock().tree.corrupt(path, change)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while holding it leaves a state that others may still look at.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for CrashDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock();
        let file = match mode {
            OpenMode::CreateNew => {
                inner.faults.before(Operation::Create)?;
                inner.tree.create(path)?
            }
            OpenMode::Read | OpenMode::ReadWrite => {
                inner.faults.power()?;
                inner.tree.find(path)?
            }
        };
        let life = inner.life;
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(CrashFile {
            disk: self.clone(),
            file,
            life,
            writable,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.faults.before(Operation::Rename)?;
        inner.tree.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        // A removal of nothing is no operation: it neither counts nor fails on request.
        inner.faults.power()?;
        inner.tree.find(path)?;
        inner.faults.before(Operation::Remove)?;
        inner.tree.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.faults.power()?;
        inner.tree.create_dir_all(path);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let inner = self.lock();
        inner.faults.power()?;
        inner.tree.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let outcome = inner.faults.before(Operation::SyncDir);
        if inner.faults.is_off() || (outcome.is_ok() && inner.faults.lose_syncs) {
            return outcome;
        }
        match outcome {
            Ok(()) => inner.tree.sync_dir(path),
            Err(error) => {
                inner.tree.forget_dir(path);
                Err(error)
            }
        }
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let inner = self.lock();
        inner.faults.power()?;
        let used = inner.tree.used_bytes();
        let total_bytes = inner.tree.capacity_bytes;
        Ok(Space {
            total_bytes,
            available_bytes: total_bytes.saturating_sub(used),
        })
    }
}

impl CrashFile {
    fn inner(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.lock();
        match inner.life == self.life {
            true => Ok(inner),
            false => Err(io::Error::other(
                "this file was opened before the power was cut",
            )),
        }
    }

    fn for_writing(&self) -> io::Result<MutexGuard<'_, Inner>> {
        match self.writable {
            true => self.inner(),
            false => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }
}

impl DiskFile for CrashFile {
    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.inner()?;
        inner.faults.read()?;
        Ok(inner.tree.read(self.file, room, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.for_writing()?;
        match inner.faults.before(Operation::Write) {
            Ok(()) => inner.tree.write(self.file, bytes, offset),
            Err(error) if inner.faults.is_off() => Err(error),
            Err(error) => {
                let (half, _) = bytes.split_at(bytes.len() / 2);
                inner.tree.write(self.file, half, offset)?;
                Err(error)
            }
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.for_writing()?;
        inner.faults.before(Operation::SetLen)?;
        inner.tree.set_len(self.file, length)
    }

    fn len(&self) -> io::Result<u64> {
        let inner = self.inner()?;
        inner.faults.power()?;
        Ok(inner.tree.len(self.file))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner()?;
        let outcome = inner.faults.before(Operation::Sync);
        if inner.faults.is_off() || (outcome.is_ok() && inner.faults.lose_syncs) {
            return outcome;
        }
        match outcome.is_ok() {
            true => inner.tree.sync(self.file),
            false => inner.tree.forget(self.file),
        }
        outcome
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl CrashDisk {
    /// Paths of all files that exist now, sorted: for tests that damage each in turn.
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock().tree.files()
    }
}
