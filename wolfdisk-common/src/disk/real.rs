//! The file system of this machine behind the [`Disk`] seam.
//!
//! Adds nothing to what the system calls do but loops over short reads and writes, the syncs that make a
//! new directory durable, and a second look at what cannot be read.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::{Disk, DiskFile, OpenMode, Space};

/// To what direct reads are aligned, in the file and in memory: no disk has larger sectors.
const DIRECT_UNIT_BYTES: usize = 4096;

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// A file of the machine's file system.
#[derive(Debug)]
struct RealFile(File);

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::ReadWrite => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.create_dir_all(parent)?;
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            other => other?,
        }
        self.sync_dir(if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        let unit = stat.fragment_size();
        Ok(Space {
            total_bytes: stat.blocks().saturating_mul(unit),
            available_bytes: stat.blocks_available().saturating_mul(unit),
        })
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = room.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(&self.0, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                    match read_direct(&self.0, rest, offset + done as u64) {
                        Ok(0) => break,
                        Ok(count) => done += count,
                        Err(_) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocated(&self) -> io::Result<u64> {
        // `stat` counts in these, whatever the file system's blocks are.
        const STAT_UNIT_BYTES: u64 = 512;
        Ok(self.0.metadata()?.blocks() * STAT_UNIT_BYTES)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn forget(&self, offset: u64, length: u64) {
        let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
            return;
        };
        // A hint that is refused changes nothing.
        let _ = nix::fcntl::posix_fadvise(
            &self.0,
            offset,
            length,
            nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED,
        );
    }
}

/// Reads past the page cache. That reads several pages as one, and fails for all of them when one sector
/// does; this fails only where a sector that was asked for cannot be read.
fn read_direct(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let skip = (offset % DIRECT_UNIT_BYTES as u64) as usize;
    let span = (skip + room.len()).next_multiple_of(DIRECT_UNIT_BYTES);
    let mut bytes = vec![0; span + DIRECT_UNIT_BYTES];
    let start = bytes.as_ptr().align_offset(DIRECT_UNIT_BYTES);
    let aligned = bytes.get_mut(start..start + span).unwrap_or_default();
    let count = FileExt::read_at(&file, aligned, offset - skip as u64)?;
    let found = aligned.get(skip..count).unwrap_or_default();
    let count = found.len().min(room.len());
    for (to, from) in room.iter_mut().zip(found) {
        *to = *from;
    }
    Ok(count)
}
