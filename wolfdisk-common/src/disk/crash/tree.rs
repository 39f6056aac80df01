//! The files and directories of a [`super::CrashDisk`]: what is visible, what is durable, and the
//! changes between the two.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;

/// The unit in which a write can be torn.
const SECTOR_SIZE_BYTES: usize = 512;
/// The medium's size unless a test sets it.
const CAPACITY_BYTES: u64 = 1 << 40;

/// A file, whatever its names.
pub(super) type FileId = u64;
type Names = BTreeMap<OsString, FileId>;

/// See the module.
pub(super) struct Tree {
    files: HashMap<FileId, File>,
    directories: BTreeMap<PathBuf, Directory>,
    next: FileId,
    pub(super) capacity_bytes: u64,
}

#[derive(Default)]
struct File {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Default)]
struct Directory {
    visible: Names,
    durable: Names,
    unsynced: Vec<NameChange>,
}

/// A change to a file's bytes.
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// A change to a directory's names, applied as a whole or not at all.
#[derive(Clone)]
struct NameChange {
    gone: Option<OsString>,
    come: Option<(OsString, FileId)>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            files: HashMap::new(),
            directories: BTreeMap::from([(PathBuf::from("/"), Directory::default())]),
            next: 1,
            capacity_bytes: CAPACITY_BYTES,
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::SetLen(length) => bytes.resize(*length, 0),
            Change::Write { offset, bytes: new } => put(bytes, *offset, new),
        }
    }

    /// What a power cut leaves of the change.
    fn apply_in_part(&self, bytes: &mut Vec<u8>, random: &mut StdRng) {
        match (random.random_range(0..3), self) {
            (0, change) => change.apply(bytes),
            (1, Change::Write { offset, bytes: new }) => {
                let mut at = *offset;
                let mut rest = new.as_slice();
                while !rest.is_empty() {
                    let sector = (SECTOR_SIZE_BYTES - at % SECTOR_SIZE_BYTES).min(rest.len());
                    let (piece, after) = rest.split_at(sector);
                    if random.random() {
                        put(bytes, at, piece);
                    }
                    at += sector;
                    rest = after;
                }
            }
            (_, Change::Write { offset, bytes: new }) if random.random_ratio(1, 4) => {
                let end = offset + new.len();
                bytes.resize(bytes.len().max(end), 0);
            }
            _ => {}
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(room) = bytes.get_mut(offset..end) {
        room.copy_from_slice(new);
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        if let Some(name) = &self.gone {
            names.remove(name);
        }
        if let Some((name, file)) = &self.come {
            names.insert(name.clone(), *file);
        }
    }
}

impl Directory {
    fn change(&mut self, gone: Option<&OsStr>, come: Option<(&OsStr, FileId)>) {
        let change = NameChange {
            gone: gone.map(OsString::from),
            come: come.map(|(name, file)| (OsString::from(name), file)),
        };
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> io::Result<FileId> {
        let (directory, name) = split(path)?;
        let names = &self
            .directories
            .get(directory)
            .ok_or(io::ErrorKind::NotFound)?
            .visible;
        names
            .get(name)
            .copied()
            .ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<FileId> {
        let (directory, name) = split(path)?;
        let file = self.next;
        let directory = self.directory(directory)?;
        if directory.visible.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        directory.change(None, Some((name, file)));
        self.next += 1;
        self.files.insert(file, File::default());
        Ok(file)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.find(from)?;
        let ((source, old), (target, new)) = (split(from)?, split(to)?);
        if source == target {
            self.directory(source)?.change(Some(old), Some((new, file)));
        } else {
            self.directory(target)?.change(None, Some((new, file)));
            self.directory(source)?.change(Some(old), None);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        let (directory, name) = split(path)?;
        self.directory(directory)?.change(Some(name), None);
        Ok(())
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) {
        path.ancestors().for_each(|path| {
            self.directories.entry(path.to_owned()).or_default();
        });
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let names = &self
            .directories
            .get(path)
            .ok_or(io::ErrorKind::NotFound)?
            .visible;
        let below = self
            .directories
            .keys()
            .filter(|below| below.parent() == Some(path));
        let below = below.filter_map(|below| below.file_name().map(OsString::from));
        let mut all: Vec<OsString> = names.keys().cloned().chain(below).collect();
        all.sort();
        Ok(all)
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let directory = self.directory(path)?;
        let changes = std::mem::take(&mut directory.unsynced);
        changes
            .iter()
            .for_each(|change| change.apply(&mut directory.durable));
        Ok(())
    }

    /// The changes since the last sync will never be durable, though they stay visible.
    pub(super) fn forget_dir(&mut self, path: &Path) {
        if let Some(directory) = self.directories.get_mut(path) {
            directory.unsynced.clear();
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let names = self
            .directories
            .values()
            .flat_map(|directory| directory.visible.values());
        names.map(|file| self.len(*file)).sum()
    }

    pub(super) fn read(&self, file: FileId, room: &mut [u8], offset: u64) -> usize {
        let bytes = self.files.get(&file).map_or(&[][..], |file| &file.visible);
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let bytes = bytes.get(from..).unwrap_or_default();
        let count = bytes.len().min(room.len());
        let (bytes, _) = bytes.split_at(count);
        let (room, _) = room.split_at_mut(count);
        room.copy_from_slice(bytes);
        count
    }

    pub(super) fn write(&mut self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.room(file, self.len(file).max(offset + bytes.len() as u64))?;
        let offset = offset as usize;
        self.change(
            file,
            Change::Write {
                offset,
                bytes: bytes.to_vec(),
            },
        );
        Ok(())
    }

    pub(super) fn set_len(&mut self, file: FileId, length: u64) -> io::Result<()> {
        self.room(file, length)?;
        self.change(file, Change::SetLen(length as usize));
        Ok(())
    }

    pub(super) fn len(&self, file: FileId) -> u64 {
        self.files
            .get(&file)
            .map_or(0, |file| file.visible.len() as u64)
    }

    pub(super) fn sync(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(&file) {
            let changes = std::mem::take(&mut file.unsynced);
            changes
                .iter()
                .for_each(|change| change.apply(&mut file.durable));
        }
    }

    /// The changes since the last sync will never be durable, though they stay visible.
    pub(super) fn forget(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(&file) {
            file.unsynced.clear();
        }
    }

    pub(super) fn corrupt(
        &mut self,
        path: &Path,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let id = self.find(path)?;
        let file = self.files.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        change(&mut file.visible);
        file.durable.clone_from(&file.visible);
        file.unsynced.clear();
        Ok(())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let named = self
            .directories
            .iter()
            .map(|(path, directory)| (path, &directory.visible));
        named
            .flat_map(|(path, names)| names.keys().map(move |name| path.join(name)))
            .collect()
    }

    pub(super) fn crash(&mut self, random: &mut StdRng) {
        for directory in self.directories.values_mut() {
            let changes = std::mem::take(&mut directory.unsynced);
            let kept = random.random_range(0..=changes.len());
            changes
                .iter()
                .take(kept)
                .for_each(|change| change.apply(&mut directory.durable));
            directory.visible.clone_from(&directory.durable);
        }
        let names = self
            .directories
            .values()
            .flat_map(|directory| directory.visible.values());
        let named: std::collections::BTreeSet<FileId> = names.copied().collect();
        self.files.retain(|file, _| named.contains(file));
        // In order of the ids, so that a seed gives the same image each time.
        for id in named {
            let Some(file) = self.files.get_mut(&id) else {
                continue;
            };
            let changes = std::mem::take(&mut file.unsynced);
            changes
                .iter()
                .for_each(|change| change.apply_in_part(&mut file.durable, random));
            file.visible.clone_from(&file.durable);
        }
    }

    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories
            .get_mut(path)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    /// Whether there is room for a file of `length`.
    fn room(&self, file: FileId, length: u64) -> io::Result<()> {
        let growth = length.saturating_sub(self.len(file));
        // The sum over all files is left out where no test has set a limit.
        let limited = self.capacity_bytes != CAPACITY_BYTES;
        match limited && growth > 0 && self.used_bytes() + growth > self.capacity_bytes {
            true => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            false => Ok(()),
        }
    }

    fn change(&mut self, file: FileId, change: Change) {
        if let Some(file) = self.files.get_mut(&file) {
            change.apply(&mut file.visible);
            file.unsynced.push(change);
        }
    }
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent()
        .zip(path.file_name())
        .ok_or(io::ErrorKind::InvalidInput.into())
}
