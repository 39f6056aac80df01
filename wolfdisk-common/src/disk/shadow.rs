//! A disk over another that it never changes: what is written stays in memory and goes with it.
//!
//! A daemon that opens its files on a [`ShadowDisk`] finds what a start would find, cuts torn tails and
//! replays logs as a start would, and leaves the disk below as it was, byte for byte. Syncs do nothing.
//! Memory grows with what is written, in pages; pages of zeroes take none of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, OpenMode, Space};

/// What is kept of a write at the least.
const PAGE_BYTES: usize = 4096;

type Page = Option<Box<[u8; PAGE_BYTES]>>;

/// See the module.
pub struct ShadowDisk {
    below: Arc<dyn Disk>,
    names: Mutex<Names>,
}

/// Where this disk differs from the one below, and what is open.
#[derive(Default)]
struct Names {
    /// Files that were opened, made or moved here; `None`: removed.
    files: BTreeMap<PathBuf, Option<Arc<Shadow>>>,
    /// Directories that were made here.
    directories: BTreeSet<PathBuf>,
}

/// One file's content.
struct Shadow {
    below: Option<Arc<dyn DiskFile>>,
    content: Mutex<Content>,
}

struct Content {
    /// Written pages; `None`: zeroes.
    pages: BTreeMap<u64, Page>,
    length: u64,
    /// What the file below has beyond this was cut off here.
    below_length: u64,
}

/// An open file of a [`ShadowDisk`].
struct Handle {
    file: Arc<Shadow>,
    writable: bool,
}

impl ShadowDisk {
    /// A disk that looks like `below`.
    pub fn over(below: Arc<dyn Disk>) -> ShadowDisk {
        ShadowDisk {
            below,
            names: Mutex::default(),
        }
    }

    fn find(&self, names: &mut Names, path: &Path) -> io::Result<Arc<Shadow>> {
        match names.files.get(path) {
            Some(Some(file)) => return Ok(file.clone()),
            Some(None) => return Err(io::ErrorKind::NotFound.into()),
            None => {}
        }
        let below = self.below.open(path, OpenMode::Read)?;
        let length = below.len()?;
        let file = Arc::new(Shadow {
            below: Some(below),
            content: Mutex::new(Content {
                pages: BTreeMap::new(),
                length,
                below_length: length,
            }),
        });
        names.files.insert(path.to_owned(), Some(file.clone()));
        Ok(file)
    }
}

impl Disk for ShadowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut names = self.names.lock();
        let found = self.find(&mut names, path);
        let file = match (mode, found) {
            (OpenMode::CreateNew, Ok(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::CreateNew, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                let empty = Arc::new(Shadow {
                    below: None,
                    content: Mutex::new(Content {
                        pages: BTreeMap::new(),
                        length: 0,
                        below_length: 0,
                    }),
                });
                names.files.insert(path.to_owned(), Some(empty.clone()));
                empty
            }
            (_, found) => found?,
        };
        Ok(Arc::new(Handle {
            file,
            writable: mode != OpenMode::Read,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        let file = self.find(&mut names, from)?;
        names.files.insert(from.to_owned(), None);
        names.files.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        self.find(&mut names, path)?;
        names.files.insert(path.to_owned(), None);
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        for directory in path.ancestors() {
            if self.below.list(directory).is_ok() {
                break;
            }
            names.directories.insert(directory.to_owned());
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let names = self.names.lock();
        let mut listed: BTreeSet<OsString> = match self.below.list(path) {
            Ok(below) => below.into_iter().collect(),
            Err(_) if names.directories.contains(path) => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        let inside = |other: &Path| {
            (other.parent() == Some(path))
                .then(|| other.file_name())?
                .map(OsString::from)
        };
        listed.extend(names.directories.iter().filter_map(|path| inside(path)));
        for (path, file) in &names.files {
            match (inside(path), file) {
                (Some(name), Some(_)) => drop(listed.insert(name)),
                (Some(name), None) => drop(listed.remove(&name)),
                (None, _) => {}
            }
        }
        Ok(listed.into_iter().collect())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        // A directory that exists only here is on the file system of the first one that does.
        let mut found = self.below.space(path);
        for directory in path.ancestors().skip(1) {
            if found.is_ok() {
                break;
            }
            found = self.below.space(directory);
        }
        found
    }
}

impl Shadow {
    /// The page as it is now, whatever holds it; bytes beyond the end of the file are zero.
    fn load(&self, content: &Content, number: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut bytes = Box::new([0; PAGE_BYTES]);
        match content.pages.get(&number) {
            Some(Some(page)) => bytes.copy_from_slice(&page[..]),
            Some(None) => {}
            None => {
                let start = number * PAGE_BYTES as u64;
                let there = content
                    .below_length
                    .saturating_sub(start)
                    .min(PAGE_BYTES as u64);
                if let Some(below) = self.below.as_ref().filter(|_| there > 0) {
                    let room = bytes.split_at_mut(there as usize).0;
                    below.read_exact_at(room, start)?;
                }
            }
        }
        Ok(bytes)
    }
}

impl DiskFile for Handle {
    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.file.content.lock();
        let count = content.length.saturating_sub(offset).min(room.len() as u64) as usize;
        let pages = offset / PAGE_BYTES as u64..(offset + count as u64).div_ceil(PAGE_BYTES as u64);
        let untouched = content.pages.range(pages).next().is_none()
            && offset + count as u64 <= content.below_length;
        if let Some(below) = self.file.below.as_ref().filter(|_| untouched) {
            drop(content);
            below.read_exact_at(room.split_at_mut(count).0, offset)?;
            return Ok(count);
        }
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let (number, skip) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
            let now = (PAGE_BYTES - skip).min(count - done);
            let target = room.split_at_mut(done).1.split_at_mut(now).0;
            let page = self.file.load(&content, number)?;
            target.copy_from_slice(page.split_at(skip).1.split_at(now).0);
            done += now;
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut content = self.file.content.lock();
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (number, skip) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
            let now = (PAGE_BYTES - skip).min(bytes.len() - done);
            let source = bytes.split_at(done).1.split_at(now).0;
            let mut page = match now == PAGE_BYTES {
                true => Box::new([0; PAGE_BYTES]),
                false => self.file.load(&content, number)?,
            };
            page.split_at_mut(skip)
                .1
                .split_at_mut(now)
                .0
                .copy_from_slice(source);
            let kept = page.iter().any(|byte| *byte != 0).then_some(page);
            content.pages.insert(number, kept);
            done += now;
        }
        content.length = content.length.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut content = self.file.content.lock();
        if length < content.length {
            let (last, kept) = (
                length / PAGE_BYTES as u64,
                (length % PAGE_BYTES as u64) as usize,
            );
            let mut page = self.file.load(&content, last)?;
            page.split_at_mut(kept).1.fill(0);
            content.pages.retain(|number, _| *number < last);
            content.below_length = content.below_length.min(last * PAGE_BYTES as u64);
            if kept > 0 {
                content.pages.insert(last, Some(page));
            }
        }
        content.length = length;
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.content.lock().length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        // A descriptor would show the file below, not this one.
        None
    }

    fn forget(&self, offset: u64, length: u64) {
        if let Some(below) = &self.file.below {
            below.forget(offset, length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::crash::CrashDisk;
    use super::*;

    /// A file of 10,000 sevens, and a shadow over its disk.
    fn with_file() -> (CrashDisk, ShadowDisk, PathBuf) {
        let disk = CrashDisk::new();
        let path = PathBuf::from("/f");
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_at(&[7; 10_000], 0).unwrap();
        (disk.clone(), ShadowDisk::over(Arc::new(disk)), path)
    }

    #[test]
    fn the_disk_below_never_changes_whatever_is_done() {
        let (disk, shadow, path) = with_file();
        let file = shadow.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(&[1; 5000], 3000).unwrap();
        file.set_len(6000).unwrap();
        file.set_len(9000).unwrap();
        shadow.rename(&path, Path::new("/g")).unwrap();
        super::super::replace_file(&shadow, &path, b"new").unwrap();
        shadow.remove(Path::new("/g")).unwrap();
        let below = disk.open(&path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; below.len().unwrap() as usize];
        below.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [7; 10_000]);
        assert_eq!(disk.list(Path::new("/")).unwrap(), ["f"]);
    }

    #[test]
    fn it_reads_what_was_written_over_what_is_below() {
        let (_, shadow, path) = with_file();
        let file = shadow.open(&path, OpenMode::ReadWrite).unwrap();
        let mut model = vec![7; 10_000];
        let check = |model: &[u8]| {
            let reader = shadow.open(&path, OpenMode::Read).unwrap();
            let mut bytes = vec![9; model.len() + 10];
            assert_eq!(reader.read_at(&mut bytes, 0).unwrap(), model.len());
            assert_eq!(bytes.split_at(model.len()).0, model);
        };
        file.write_at(&[1; 100], 4090).unwrap();
        model[4090..4190].fill(1);
        check(&model);
        file.write_at(&[0; 4096], 4096).unwrap();
        model[4096..8192].fill(0);
        check(&model);
        file.set_len(9_000).unwrap();
        model.truncate(9_000);
        check(&model);
        file.set_len(20_000).unwrap();
        model.resize(20_000, 0);
        check(&model);
        file.write_at(&[5; 3], 15_000).unwrap();
        model[15_000..15_003].fill(5);
        check(&model);
        file.set_len(8192).unwrap();
        file.set_len(8200).unwrap();
        model.truncate(8192);
        model.resize(8200, 0);
        check(&model);
    }
}
