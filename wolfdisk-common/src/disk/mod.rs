//! The disk seam: every byte that the index and the chunk store keep goes through [`Disk`].
//!
//! [`real::RealDisk`] is the file system of this machine. [`crash::CrashDisk`] keeps everything in
//! memory and can lose whatever was not synced, in any combination a power cut could produce; it also
//! fails the n-th operation on request. [`shadow::ShadowDisk`] shows another disk and keeps what is written
//! to itself. All pass one test suite.

pub mod crash;
pub mod real;
pub mod shadow;

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use crate::limits::{
    RESERVE_DISK_FRACTION, RESERVE_MAX_BYTES, RESERVE_MIN_BYTES, RESERVE_SMALL_DISK_FRACTION,
};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; reads only.
    Read,
    /// It must exist; reads and writes.
    ReadWrite,
    /// It must not exist; reads and writes. Durable only after `sync_all` and [`Disk::sync_dir`].
    CreateNew,
}

/// Room on the file system that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total_bytes: u64,
    /// What an ordinary user may still write.
    pub available_bytes: u64,
}

/// What is kept free of a disk of this size, so that deleting, destaging, compacting, the log and
/// checkpoints go on when it is full: 5 %, at least 1 GiB but never more than an eighth, at most 4 GiB.
/// Ordinary writes leave all of it, destaging leaves half, compaction a quarter.
pub fn reserve_bytes(total_bytes: u64) -> u64 {
    let least = RESERVE_MIN_BYTES.min(total_bytes / RESERVE_SMALL_DISK_FRACTION);
    (total_bytes / RESERVE_DISK_FRACTION).clamp(least, RESERVE_MAX_BYTES)
}

/// A directory tree on stable storage.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` or `NotFound` as the mode asks.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file over `to`. Durable after [`Disk::sync_dir`] of the directory.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents, durably.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Makes creations, renames and removals in a directory durable.
    ///
    /// # Errors
    /// What the system says; after one, what is durable is unknown and the daemon must end.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Room left.
    ///
    /// # Errors
    /// What the system says.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Reads and writes at a position; safe from many threads.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file's length, not a collection's"
)]
pub trait DiskFile: Send + Sync + 'static {
    /// Reads up to `room.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`, growing the file if needed.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Sets the length; growth reads as zeroes.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// The length.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;
    /// What the file takes on disk; less than its length where nothing was ever written.
    ///
    /// # Errors
    /// What the system says.
    fn allocated(&self) -> io::Result<u64> {
        self.len()
    }
    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// What the system says; after one, what is durable is unknown and the daemon must end.
    fn sync_data(&self) -> io::Result<()>;
    /// The descriptor, where there is one: for mapping and for handing over.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Drops a range from the system's memory where nobody else uses it, so that the next read comes from
    /// the medium. Only a hint: what is not dropped is read from memory.
    fn forget(&self, _offset: u64, _length: u64) {}

    /// Reads exactly `room.len()` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, room: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = room.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

/// Replaces the file at `path` as a whole: afterwards it holds `bytes`, durably, or (after an error or
/// a crash) what it held before. The one helper that does write, fsync, rename, fsync of the directory.
///
/// # Errors
/// What the system says.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path
        .file_name()
        .map(OsString::from)
        .ok_or(io::ErrorKind::InvalidInput)?;
    name.push(".new");
    let temporary = path.with_file_name(name);
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().ok_or(io::ErrorKind::InvalidInput)?)
}
