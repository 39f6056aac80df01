//! The keys below a directory, in the order of their bytes.
//!
//! That is not the order of names: a directory `a` stands for `a/` and comes after `a-b` and `a.txt`. So while names are
//! read in their order, directories wait until no name is left that begins with theirs and goes on with a byte below
//! `/`. Those that wait begin with one another, hence the last of them is the first to come.
//!
//! A listing begins anywhere by seeking there, level by level, and reads what it answers and little more. The
//! directories that it enters and what it passes over without finding a key are bounded: then the page ends, and says
//! where to go on. It does so only where it has come further, be it by one key whose directories are many.
//!
//! Listed is what is greater than the place to go on from: of keys that are listed as one, what they have in common.

use std::collections::VecDeque;

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::{NAME_MAX_BYTES, OBJECT_KEY_MAX_BYTES};

use super::objects::unreadable;
use crate::index::Index;
use crate::index::key::{self, Key};
use crate::index::op::Kind;
use crate::index::record::{Dirent, Inode};
use crate::index::records::{Read, Records};
use crate::index::table::TableError;
use crate::limits;

/// The bits of a directory's permissions with which it can be listed.
const LISTS: u32 = 5;

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListKeys {
    /// Keys that begin with this.
    pub prefix: Bytes,
    /// Only what is greater than this, which need not be a key.
    pub after: Bytes,
    /// Keys with a `/` behind the prefix are listed as one, up to that `/`.
    pub delimiter: bool,
    /// So many at the most.
    pub max: usize,
    /// Without what is in directories that only root may read.
    pub as_nobody: bool,
}

/// A key that was listed.
#[derive(Clone, Debug, PartialEq)]
pub enum ListedKey {
    /// One with its object.
    Object {
        /// The key.
        key: Bytes,
        /// The inode.
        ino: Ino,
        /// Its record.
        inode: Box<Inode>,
    },
    /// What several have in common, up to a `/`.
    Prefix(Bytes),
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyPage {
    /// In the order of keys.
    pub entries: Vec<ListedKey>,
    /// There may be more, also if nothing was found.
    pub more: bool,
    /// Where to go on.
    pub last: Bytes,
}

/// A directory that is being listed.
struct Level {
    ino: Ino,
    /// The length of its own key, with the `/`.
    depth: usize,
    /// Only names that begin with this.
    prefix: Vec<u8>,
    /// Where to read on; none: all has been read.
    next: Option<Vec<u8>>,
    /// What was read and has not been looked at.
    read: VecDeque<(Bytes, Dirent)>,
    /// Directories whose names were passed and whose keys were not.
    waiting: Vec<(Bytes, Ino)>,
}

/// What comes next in a directory.
enum Next {
    Directory(Bytes, Ino),
    Other(Bytes, Dirent),
}

impl Level {
    fn new(ino: Ino, depth: usize, prefix: &[u8]) -> Level {
        Level {
            ino,
            depth,
            prefix: prefix.to_vec(),
            next: Some(prefix.to_vec()),
            read: VecDeque::new(),
            waiting: Vec::new(),
        }
    }

    /// Reads on if need be.
    fn fill<R: Records>(&mut self, records: &R) -> Result<(), TableError> {
        let Some(from) = self.next.take_if(|_| self.read.is_empty()) else {
            return Ok(());
        };
        let range = key::dirents_from(self.ino, &from, &self.prefix);
        let read = &mut self.read;
        records.each(&range, |key, dirent: Dirent| {
            if let Key::Dirent { name, .. } = key {
                read.push_back((name, dirent));
            }
            read.len() < limits::LIST_NAMES_AT_ONCE
        })?;
        if read.len() == limits::LIST_NAMES_AT_ONCE {
            self.next = read.back().map(|(name, _)| [name, &b"\0"[..]].concat());
        }
        Ok(())
    }

    /// The next file, or the next directory, in the order of keys.
    fn next<R: Records>(&mut self, records: &R) -> Result<Option<Next>, TableError> {
        loop {
            self.fill(records)?;
            let first = self.read.front().map(|(name, _)| name.as_ref());
            let due = self.waiting.pop_if(|(name, _)| match first {
                Some(first) => !comes_before(first, name),
                None => true,
            });
            if let Some((name, ino)) = due {
                return Ok(Some(Next::Directory(name, ino)));
            }
            match self.read.pop_front() {
                None => return Ok(None),
                Some((name, dirent)) if dirent.kind == Kind::Directory => {
                    self.waiting.push((name, dirent.ino));
                }
                Some((name, dirent)) => return Ok(Some(Next::Other(name, dirent))),
            }
        }
    }
}

/// Whether the key of `name`, which is the greater name, is less than that of the directory.
fn comes_before(name: &[u8], directory: &[u8]) -> bool {
    let rest = name.strip_prefix(directory).unwrap_or_default();
    rest.first().is_some_and(|byte| *byte < b'/')
}

/// A listing under way.
struct Walk<'a, R> {
    index: &'a Index<R>,
    request: &'a ListKeys,
    /// From the directory that the prefix leads to down.
    levels: Vec<Level>,
    /// The key of the directory that is being listed.
    path: Vec<u8>,
    page: KeyPage,
    bytes: usize,
    /// Directories that were entered, and files and directories that are no keys.
    steps: usize,
}

impl<R: Records> Index<R> {
    /// Lists keys below `root`.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn list_keys(&self, root: Ino, request: &ListKeys) -> Result<KeyPage, TableError> {
        let prefix = &request.prefix;
        let split = prefix.iter().rposition(|byte| *byte == b'/');
        let (path, name) = prefix.split_at(split.map_or(0, |at| at + 1));
        let is_over = request.after > *prefix && !request.after.starts_with(prefix);
        let nothing = request.max == 0 || is_over || path.len() > OBJECT_KEY_MAX_BYTES;
        let base = match nothing {
            true => None,
            false => self.directory_at(root, path, request.as_nobody)?,
        };
        let Some(base) = base else {
            return Ok(KeyPage::default());
        };
        let mut walk = Walk {
            index: self,
            request,
            levels: Vec::new(),
            path: path.to_vec(),
            page: KeyPage::default(),
            bytes: 0,
            steps: 0,
        };
        let level = Level::new(base, path.len(), name);
        // Nothing that begins with the prefix comes before it.
        if request.after.starts_with(prefix) && !request.after.is_empty() {
            walk.seek(level)?;
        } else {
            walk.levels.push(level);
            if name.is_empty() && !path.is_empty() && walk.own_key(base)? {
                return Ok(walk.page);
            }
        }
        walk.run()?;
        Ok(walk.page)
    }

    /// The directory that a path of names, each with a `/` behind it, leads to.
    fn directory_at(
        &self,
        root: Ino,
        path: &[u8],
        as_nobody: bool,
    ) -> Result<Option<Ino>, TableError> {
        let mut at = root;
        for name in path.split_inclusive(|byte| *byte == b'/') {
            let name = name.strip_suffix(b"/").unwrap_or(name);
            match self.directory_in(at, name)? {
                Some(ino) if !as_nobody || self.is_listed(ino)? => at = ino,
                Some(_) | None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Whether somebody who is not root may list a directory and use what is in it.
    fn is_listed(&self, ino: Ino) -> Result<bool, TableError> {
        let inode = self.inode(ino)?;
        Ok(inode.is_some_and(|inode| inode.granted_but_to_root() & LISTS == LISTS))
    }

    fn directory_in(&self, parent: Ino, name: &[u8]) -> Result<Option<Ino>, TableError> {
        let name = Bytes::copy_from_slice(name);
        let found = self
            .records()
            .load::<Dirent>(&Key::Dirent { parent, name })?;
        let directory = found.filter(|dirent| dirent.kind == Kind::Directory);
        Ok(directory.map(|dirent| dirent.ino))
    }
}

impl<R: Records> Walk<'_, R> {
    /// Goes to where the listing goes on: after `request.after`, which begins with the path of `level`.
    fn seek(&mut self, mut level: Level) -> Result<(), TableError> {
        let after = self.request.after.clone();
        let base = level.depth;
        loop {
            let rest = after.get(level.depth..).unwrap_or_default();
            let slash = rest.iter().position(|byte| *byte == b'/');
            let (name, tail) = rest.split_at(slash.unwrap_or(rest.len()));
            let tail = tail.get(1..);
            self.wait_for_shorter(&mut level, name)?;
            // The name itself: a file is passed. Names that begin with it and go on below `/` come before what is
            // in the directory.
            let below = self.index.directory_in(level.ino, name)?;
            level.next = Some(match tail {
                None => [name, b"\0"].concat(),
                Some(_) => [name, b"/"].concat(),
            });
            if let (None, Some(ino)) = (tail, below) {
                level.waiting.push((Bytes::copy_from_slice(name), ino));
            }
            // What is listed of a directory is less than what is in it.
            let rolled_up = level.depth == base && self.request.delimiter;
            let depth = level.depth + name.len() + 1;
            self.levels.push(level);
            let enters = tail.is_some() && !rolled_up;
            match below.filter(|_| enters) {
                Some(ino) if self.hides(ino)? => return Ok(()),
                Some(ino) if depth <= OBJECT_KEY_MAX_BYTES => {
                    self.path = after.get(..depth).unwrap_or_default().to_vec();
                    level = Level::new(ino, depth, b"");
                }
                Some(_) | None => return Ok(()),
            }
            if tail == Some(b"") {
                self.levels.push(level);
                return Ok(());
            }
        }
    }

    /// Directories whose names `name` begins with, and whose keys come after it.
    fn wait_for_shorter(&self, level: &mut Level, name: &[u8]) -> Result<(), TableError> {
        for (length, byte) in name.iter().enumerate().take(NAME_MAX_BYTES + 1) {
            if *byte >= b'/' || length == 0 || length < level.prefix.len() {
                continue;
            }
            let shorter = name.get(..length).unwrap_or_default();
            if let Some(ino) = self.index.directory_in(level.ino, shorter)? {
                level.waiting.push((Bytes::copy_from_slice(shorter), ino));
            }
        }
        Ok(())
    }

    /// What is in the directory is not for whoever asks.
    fn hides(&self, ino: Ino) -> Result<bool, TableError> {
        Ok(self.request.as_nobody && !self.index.is_listed(ino)?)
    }

    fn run(&mut self) -> Result<(), TableError> {
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.depth);
            match level.next(self.index.records())? {
                None => drop(self.levels.pop()),
                Some(Next::Directory(name, ino)) => {
                    if self.steps >= limits::LIST_STEPS_MAX && !self.page.entries.is_empty() {
                        self.page.more = true;
                        return Ok(());
                    }
                    self.steps += 1;
                    self.path.extend_from_slice(&name);
                    self.path.push(b'/');
                    if self.path.len() > OBJECT_KEY_MAX_BYTES || self.hides(ino)? {
                        if self.pass() {
                            return Ok(());
                        }
                        continue;
                    }
                    self.levels.push(Level::new(ino, self.path.len(), b""));
                    if self.own_key(ino)? {
                        return Ok(());
                    }
                }
                Some(Next::Other(name, dirent)) => {
                    self.path.extend_from_slice(&name);
                    let is_key =
                        dirent.kind == Kind::File && self.path.len() <= OBJECT_KEY_MAX_BYTES;
                    let inode = match is_key {
                        true => self.index.inode(dirent.ino)?,
                        false => None,
                    };
                    let ends = match inode {
                        Some(inode) => self.found(dirent.ino, inode),
                        None => self.pass(),
                    };
                    if ends {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The directory at `path`, if its own key is one. Says whether the page ends with it.
    fn own_key(&mut self, ino: Ino) -> Result<bool, TableError> {
        let Some(inode) = self.index.inode(ino)? else {
            return Ok(false);
        };
        let is_object = inode.is_object(true);
        Ok(match is_object.map_err(|error| unreadable(ino, error))? {
            true => self.found(ino, inode),
            false => false,
        })
    }

    /// Up to where `path` is listed as one with others, if it is.
    fn rolled_up(&self) -> Option<usize> {
        let behind = self.request.prefix.len();
        let rest = self.path.get(behind..).unwrap_or_default();
        let slash = rest.iter().position(|byte| *byte == b'/');
        slash
            .filter(|_| self.request.delimiter)
            .map(|at| behind + at + 1)
    }

    /// `path` is a key. Says whether the page ends before it.
    fn found(&mut self, ino: Ino, inode: Inode) -> bool {
        let rolled_up = self.rolled_up();
        let length = rolled_up.unwrap_or(self.path.len());
        let bytes = length + inode.s3.as_ref().map_or(0, Bytes::len);
        let full = self.page.entries.len() >= self.request.max
            || self.bytes + bytes > limits::LIST_BYTES_MAX;
        if full {
            self.page.more = true;
            return true;
        }
        let key = Bytes::copy_from_slice(self.path.get(..length).unwrap_or_default());
        self.bytes += bytes;
        self.page.last = key.clone();
        self.page.entries.push(match rolled_up {
            None => ListedKey::Object {
                key,
                ino,
                inode: Box::new(inode),
            },
            Some(length) => {
                // Nothing further in there is listed.
                self.levels.retain(|level| level.depth < length);
                ListedKey::Prefix(key)
            }
        });
        false
    }

    /// `path` is no key. Says whether the page ends with it. In a directory that is listed as one with all that is in
    /// it, it is taken for granted then that a key will come.
    fn pass(&mut self) -> bool {
        self.steps += 1;
        if self.steps < limits::LIST_STEPS_MAX {
            return false;
        }
        self.page.more = true;
        let rolled_up = self.rolled_up();
        if rolled_up.is_some() && self.page.entries.len() >= self.request.max {
            // It is looked into again from the last entry.
            return true;
        }
        let length = rolled_up.unwrap_or(self.path.len());
        let last = Bytes::copy_from_slice(self.path.get(..length).unwrap_or_default());
        self.page.last = last.clone();
        if rolled_up.is_some() {
            self.page.entries.push(ListedKey::Prefix(last));
        }
        true
    }
}
