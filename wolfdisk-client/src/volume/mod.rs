//! The volume: every operation a front-end may ask for.
//!
//! All methods block and may be called from any number of threads. Every wait has a deadline. Nothing
//! here knows of the kernel but for the [`CacheListener`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_proto::Failure;

use crate::error::{Error, Result};
use crate::listener::CacheListener;
use crate::lock::LockRequest;
use crate::read_data::ReadData;
use crate::types::{
    Attr, Entry, FileSystemStats, HandleId, Listing, Lookup, NewNode, OpenFlags, Opened,
    RenameFlags, SetAttr, XattrMode,
};

/// Where the daemons are and who asks.
#[derive(Clone, Debug)]
pub struct VolumeConfig {
    /// Socket of wolfdisk-meta.
    pub meta_socket: PathBuf,
    /// Socket of wolfdisk-chunkd.
    pub chunk_socket: PathBuf,
    /// "fuse", "s3" or "ctl".
    pub frontend: String,
    /// Mount path or address, for people.
    pub place: String,
    /// Every mutation is refused with `EROFS`.
    pub read_only: bool,
    /// Dirty bytes of all files together; writers wait above it.
    pub dirty_max_bytes: usize,
    /// Bytes of small files kept in memory.
    pub data_cache_bytes: usize,
    /// Inodes whose attributes are kept.
    pub inode_cache_max: usize,
}

impl VolumeConfig {
    /// The defaults for a front-end.
    pub fn new(meta_socket: PathBuf, chunk_socket: PathBuf, frontend: &str, place: &str) -> Self {
        VolumeConfig {
            meta_socket,
            chunk_socket,
            frontend: frontend.to_owned(),
            place: place.to_owned(),
            read_only: false,
            dirty_max_bytes: 256 * 1024 * 1024,
            data_cache_bytes: 64 * 1024 * 1024,
            inode_cache_max: 256 * 1024,
        }
    }
}

/// A mounted volume. See the module.
#[derive(Debug)]
pub struct Volume {}

fn later<T>() -> Result<T> {
    Err(Error::Failed(Failure::Unsupported(
        "not built yet".to_owned(),
    )))
}

#[expect(unused_variables, clippy::unused_self, reason = "the bodies follow")]
impl Volume {
    /// Opens a session and starts the threads that keep it: heartbeat, notifications, flushing.
    ///
    /// # Errors
    /// A daemon cannot be reached within a few seconds, or refuses.
    pub fn connect(config: VolumeConfig) -> Result<Arc<Volume>> {
        later()
    }

    /// From now on `listener` is told of changes made elsewhere. Without one nothing outside is cached.
    pub fn set_listener(&self, listener: Arc<dyn CacheListener>) {}

    /// The root directory.
    pub fn root(&self) -> Ino {
        Ino::ROOT
    }

    /// The size of chunks: a good unit for large reads and writes.
    pub fn chunk_size(&self) -> u32 {
        4 * 1024 * 1024
    }

    /// Looks up a name.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENAMETOOLONG`, `ENOENT` if the directory itself is gone.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Lookup> {
        later()
    }

    /// Attributes, own buffered writes included, and how long they may be relied on.
    ///
    /// # Errors
    /// `ENOENT` (`ESTALE`) if it is gone.
    pub fn getattr(&self, ino: Ino) -> Result<(Attr, Duration)> {
        later()
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// As the system call.
    pub fn setattr(&self, ino: Ino, change: SetAttr) -> Result<(Attr, Duration)> {
        later()
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    pub fn readlink(&self, ino: Ino) -> Result<Bytes> {
        later()
    }

    /// Creates a node of any kind.
    ///
    /// # Errors
    /// As the system call: `EEXIST`, `ENOENT`, `ENOSPC`, ..
    pub fn create(&self, parent: Ino, name: &[u8], node: NewNode) -> Result<Entry> {
        later()
    }

    /// Creates a file and opens it. `EEXIST` if the name exists: the caller looks it up and opens it.
    ///
    /// # Errors
    /// As the system call.
    pub fn create_open(
        &self,
        parent: Ino,
        name: &[u8],
        node: NewNode,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        later()
    }

    /// Makes another name for `ino`.
    ///
    /// # Errors
    /// As the system call.
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> Result<Entry> {
        later()
    }

    /// Removes a name of anything but a directory.
    ///
    /// # Errors
    /// As the system call.
    pub fn unlink(&self, parent: Ino, name: &[u8]) -> Result<()> {
        later()
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the system call.
    pub fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<()> {
        later()
    }

    /// Renames.
    ///
    /// # Errors
    /// As the system call.
    pub fn rename(
        &self,
        parent: Ino,
        name: &[u8],
        new_parent: Ino,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        later()
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As the system call.
    pub fn open(&self, ino: Ino, flags: OpenFlags) -> Result<Opened> {
        later()
    }

    /// Reads; fewer bytes than asked for only at the end of the file.
    ///
    /// # Errors
    /// `EIO` for damaged data.
    pub fn read(&self, handle: HandleId, offset: u64, length: usize) -> Result<ReadData> {
        later()
    }

    /// Writes all of `bytes`; with `append` at the end of the file, wherever that is.
    ///
    /// # Errors
    /// `ENOSPC`, `EFBIG`, or an earlier failure of this file's buffered writes, told once.
    pub fn write(
        &self,
        handle: HandleId,
        offset: u64,
        bytes: &[u8],
        append: bool,
    ) -> Result<usize> {
        later()
    }

    /// A descriptor of this handle was closed: buffered data takes its place, POSIX locks of
    /// `lock_owner` on the file go.
    ///
    /// # Errors
    /// What writing back gave, told once for each handle.
    pub fn flush(&self, handle: HandleId, lock_owner: Option<u64>) -> Result<()> {
        later()
    }

    /// The last descriptor of this handle is closed; `flock_owner` still held a `flock`.
    ///
    /// # Errors
    /// `EBADF`. What writing back gave was told by `flush`.
    pub fn release(&self, handle: HandleId, flock_owner: Option<u64>) -> Result<()> {
        later()
    }

    /// Makes the file durable; with `datasync` attributes that reading back does not need may wait.
    ///
    /// # Errors
    /// What writing back gave, told once for each handle.
    pub fn fsync(&self, handle: HandleId, datasync: bool) -> Result<()> {
        later()
    }

    /// Makes an inode that is not open, such as a directory, durable.
    ///
    /// # Errors
    /// The index could not be synced.
    pub fn fsync_inode(&self, ino: Ino) -> Result<()> {
        later()
    }

    /// Makes everything that this volume wrote durable (`syncfs`).
    ///
    /// # Errors
    /// What writing back any file gave.
    pub fn sync_all(&self) -> Result<()> {
        later()
    }

    /// `fallocate(2)`; `mode` is made of `FALLOC_FL_*`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for modes other than keep-size, punch and zero range.
    pub fn fallocate(&self, handle: HandleId, mode: u32, offset: u64, length: u64) -> Result<()> {
        later()
    }

    /// `SEEK_DATA`.
    ///
    /// # Errors
    /// `ENXIO` at or beyond the end, or if no data follows.
    pub fn seek_data(&self, handle: HandleId, offset: u64) -> Result<u64> {
        later()
    }

    /// `SEEK_HOLE`.
    ///
    /// # Errors
    /// `ENXIO` at or beyond the end.
    pub fn seek_hole(&self, handle: HandleId, offset: u64) -> Result<u64> {
        later()
    }

    /// `copy_file_range(2)` that shares extents; says how many bytes were copied.
    ///
    /// # Errors
    /// As the system call.
    pub fn copy_range(
        &self,
        source: HandleId,
        source_offset: u64,
        target: HandleId,
        target_offset: u64,
        length: u64,
    ) -> Result<u64> {
        later()
    }

    /// Begins a listing.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENOENT`.
    pub fn opendir(&self, ino: Ino) -> Result<()> {
        later()
    }

    /// The entries after `cookie` (0: from the start), at most `max`.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENOENT`.
    pub fn readdir(&self, ino: Ino, cookie: u64, max: usize, attributes: bool) -> Result<Listing> {
        later()
    }

    /// Room on the volume.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn statfs(&self, ino: Ino) -> Result<FileSystemStats> {
        later()
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`.
    pub fn get_xattr(&self, ino: Ino, name: &[u8]) -> Result<Bytes> {
        later()
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// As the system call.
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        later()
    }

    /// The names of all extended attributes.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn list_xattr(&self, ino: Ino) -> Result<Vec<Bytes>> {
        later()
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`.
    pub fn remove_xattr(&self, ino: Ino, name: &[u8]) -> Result<()> {
        later()
    }

    /// Sets or releases a lock; with `wait` until it is free, `interrupted` says so, or the deadline
    /// passes.
    ///
    /// # Errors
    /// `EAGAIN` at a conflict without `wait`, `EINTR`, `EDEADLK`.
    pub fn set_lock(
        &self,
        handle: HandleId,
        lock: LockRequest,
        wait: bool,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<()> {
        later()
    }

    /// A lock that conflicts with `lock`, if there is one.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn get_lock(&self, handle: HandleId, lock: LockRequest) -> Result<Option<LockRequest>> {
        later()
    }

    /// What this volume has counted since it was connected, by name.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }

    /// Writes everything back, closes the session, stops the threads. Every later call fails.
    ///
    /// # Errors
    /// What writing back gave; the volume is shut down all the same.
    pub fn shutdown(&self) -> Result<()> {
        later()
    }
}
