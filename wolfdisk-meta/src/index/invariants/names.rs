//! Names and cookies: they pair up, and mean inodes of the kind they say.

use std::collections::BTreeMap;

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::name::FileName;

use super::Inspection;
use super::breach::Breach;
use super::inodes::{COUNTED, DIRECTORIES_RIGHT, hash, kind_number};
use super::plan::FixId;
use crate::index::key::{self, Key};
use crate::index::op::Kind;
use crate::index::record::{Cookie, Dirent, Inode};
use crate::index::records::Read;
use crate::index::table::TableError;

/// What was counted in one directory.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    entries: u64,
    directories: u64,
    /// The sum over the hashes of names with their cookies.
    sum: u64,
    last_cookie: u64,
}

fn pair(cookie: u64, name: &[u8], ino: Ino, kind: Kind) -> u64 {
    hash(&(cookie, name, ino.0, kind_number(kind)))
}

impl<R: Read> Inspection<'_, R> {
    pub(super) fn names(&mut self) -> Result<(), TableError> {
        let mut tallies: Vec<(Ino, Tally)> = Vec::new();
        let mut faults = Vec::new();
        let inodes = &mut self.inodes;
        self.walk
            .each::<Dirent>(key::dirents(), &mut |_, key, dirent| {
                let Key::Dirent { parent, name } = key else {
                    return Ok(());
                };
                if tallies.last().is_none_or(|(of, _)| *of != parent) {
                    tallies.push((parent, Tally::default()));
                }
                if let Some((_, tally)) = tallies.last_mut() {
                    tally.entries += 1;
                    tally.directories += u64::from(dirent.kind == Kind::Directory);
                    let pair = pair(dirent.cookie, &name, dirent.ino, dirent.kind);
                    tally.sum = tally.sum.wrapping_add(pair);
                    tally.last_cookie = tally.last_cookie.max(dirent.cookie);
                }
                let known = inodes.kind(dirent.ino);
                if known != Some(kind_number(dirent.kind)) {
                    faults.push((parent, name.clone(), dirent.clone()));
                }
                inodes.name(dirent.ino, parent, &name);
                Ok(())
            })?;
        for (parent, name, dirent) in faults {
            self.wrong_name(parent, name, dirent)?;
        }
        for (parent, tally) in &tallies {
            self.directory(*parent, tally)?;
        }
        self.cookies(&tallies)
    }

    /// A name whose inode is missing, or of another kind.
    fn wrong_name(&mut self, parent: Ino, name: Bytes, dirent: Dirent) -> Result<(), TableError> {
        let key = Key::Dirent {
            parent,
            name: name.clone(),
        };
        let breach = |what| Breach::Name {
            parent,
            name: name.to_vec(),
            what,
        };
        let inode = self.walk.lookup::<Inode>(&Key::Inode { ino: dirent.ino })?;
        let Some(inode) = inode else {
            self.walk.found(breach("its inode is missing"));
            return Ok(());
        };
        let expected = self.walk.raw(&key)?;
        let right = Dirent {
            kind: inode.kind,
            ..dirent
        };
        let breach = breach("its inode is of another kind");
        let fix = expected.and_then(|expected| self.plan.record(&key, expected, Some(&right)));
        self.walk.tell(breach, fix);
        Ok(())
    }

    /// What a directory says of its names.
    fn directory(&mut self, ino: Ino, tally: &Tally) -> Result<(), TableError> {
        if self.walk.is_stopped() {
            return Ok(());
        }
        self.inodes.mark(ino, COUNTED);
        let inode = match self.walk.lookup::<Inode>(&Key::Inode { ino })? {
            None => {
                self.walk.shape(ino, "names are in it, and it is missing");
                return Ok(());
            }
            Some(inode) if !inode.is_directory() => {
                self.walk
                    .shape(ino, "names are in it, and it is no directory");
                return Ok(());
            }
            Some(inode) => inode,
        };
        if u64::from(inode.nlink) == 2 + tally.directories {
            self.inodes.mark(ino, DIRECTORIES_RIGHT);
        } else {
            self.inodes.wrong_directories(ino, tally.directories);
        }
        if inode.entries != tally.entries {
            let counted = tally.entries;
            let fix = self.plan.inode(ino, |fix| fix.entries = Some(counted));
            self.compare(ino, "entries", inode.entries, counted, fix);
        }
        if inode.next_cookie <= tally.last_cookie {
            let next = tally.last_cookie + 1;
            let fix = self.plan.inode(ino, |fix| fix.next_cookie = Some(next));
            self.compare(ino, "next_cookie", inode.next_cookie, next, fix);
        }
        Ok(())
    }

    /// Cookies against names, directory by directory.
    fn cookies(&mut self, tallies: &[(Ino, Tally)]) -> Result<(), TableError> {
        let mut counted: Vec<(Ino, u64, u64)> = Vec::new();
        self.walk
            .each::<Cookie>(key::all_cookies(), &mut |_, key, record| {
                let Key::Cookie { parent, cookie } = key else {
                    return Ok(());
                };
                if counted.last().is_none_or(|(of, ..)| *of != parent) {
                    counted.push((parent, 0, 0));
                }
                if let Some((_, count, sum)) = counted.last_mut() {
                    *count += 1;
                    let name = record.name.as_bytes();
                    *sum = sum.wrapping_add(pair(cookie, name, record.ino, record.kind));
                }
                Ok(())
            })?;
        if self.walk.is_stopped() {
            return Ok(());
        }
        let mut wrong = Vec::new();
        let mut cookies = counted.iter().peekable();
        for (parent, tally) in tallies {
            while let Some((stray, ..)) = cookies.next_if(|(of, ..)| of < parent) {
                wrong.push(*stray);
            }
            match cookies.next_if(|(of, ..)| of == parent) {
                Some((_, count, sum)) if (*count, *sum) == (tally.entries, tally.sum) => {}
                _ => wrong.push(*parent),
            }
        }
        wrong.extend(cookies.map(|(stray, ..)| *stray));
        for parent in wrong {
            self.pair_up(parent)?;
        }
        Ok(())
    }

    /// Names and cookies of one directory, one by one.
    fn pair_up(&mut self, parent: Ino) -> Result<(), TableError> {
        let mut names: BTreeMap<u64, (Bytes, Dirent)> = BTreeMap::new();
        let mut twice = Vec::new();
        self.walk
            .each::<Dirent>(key::dirents_of(parent), &mut |_, key, dirent| {
                if let Key::Dirent { name, .. } = key
                    && let Some((other, _)) = names.insert(dirent.cookie, (name, dirent))
                {
                    twice.push(other);
                }
                Ok(())
            })?;
        for name in twice {
            self.walk.found(Breach::Name {
                parent,
                name: name.to_vec(),
                what: "another name has the same cookie",
            });
        }
        for (&cookie, (name, dirent)) in &names {
            let Ok(wanted) = FileName::new(name) else {
                continue;
            };
            let key = Key::Cookie { parent, cookie };
            let found = self.walk.lookup::<Cookie>(&key)?;
            let right = found.as_ref().is_some_and(|found| {
                found.name.as_bytes() == name
                    && found.ino == dirent.ino
                    && found.kind == dirent.kind
            });
            if right {
                continue;
            }
            let expected = self.walk.raw(&key)?;
            let record = Cookie {
                stamp: Version(0),
                ino: dirent.ino,
                kind: dirent.kind,
                name: wanted,
            };
            let fix = expected.and_then(|expected| self.plan.record(&key, expected, Some(&record)));
            self.unpaired(parent, name, fix);
        }
        let mut strays = Vec::new();
        self.walk
            .each::<Cookie>(key::cookies(parent, 0), &mut |_, key, record| {
                if let Key::Cookie { cookie, .. } = key
                    && !names.contains_key(&cookie)
                {
                    strays.push((key, record));
                }
                Ok(())
            })?;
        for (key, record) in strays {
            let expected = self.walk.raw(&key)?;
            let fix =
                expected.and_then(|expected| self.plan.record::<Cookie>(&key, expected, None));
            self.unpaired(parent, record.name.as_bytes(), fix);
        }
        Ok(())
    }

    fn unpaired(&mut self, parent: Ino, name: &[u8], fix: Option<FixId>) {
        let breach = Breach::Name {
            parent,
            name: name.to_vec(),
            what: "its cookie does not lead back to it",
        };
        self.walk.tell(breach, fix);
    }
}
