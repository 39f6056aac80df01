//! Inodes: what their records say of names, links and attributes, against what was counted.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};

use super::Inspection;
use super::breach::Breach;
use super::plan::FixId;
use crate::index::codec::{Wire, encode};
use crate::index::key::{self, Key};
use crate::index::op::{Kind, RepairRecord};
use crate::index::record::{Dirent, Inode, Link, Reap, Xattr};
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::limits;

const INO_BITS: u32 = 48;
const KIND_BITS: u32 = 4;
const INO_MASK: u64 = (1 << INO_BITS) - 1;

/// Names of the directory were counted.
pub(super) const COUNTED: u64 = 1;
/// And the directories among them are as many as its record says.
pub(super) const DIRECTORIES_RIGHT: u64 = 2;
/// It has link records, and they are those of its names.
const LINKED: u64 = 4;
/// It has extents.
pub(super) const HAS_EXTENTS: u64 = 8;
/// It has extended attributes.
pub(super) const HAS_XATTRS: u64 = 16;

/// What is held of an inode.
struct Row {
    /// Its number, its kind, marks.
    head: u64,
    /// Names that lead to it.
    names: u32,
    /// The sum over the hashes of their places.
    places: u32,
}

/// All inodes, ascending.
#[derive(Default)]
pub(super) struct Inodes {
    rows: Vec<Row>,
    /// Directories whose count of directories is wrong.
    directories: BTreeMap<Ino, u64>,
    pub(super) usage: BTreeMap<u32, (u64, u64)>,
    pub(super) reaping: BTreeSet<Ino>,
    /// Inodes without links that a session holds.
    pub(super) held: BTreeSet<Ino>,
    last: Option<Ino>,
}

impl Inodes {
    fn position(&self, ino: Ino) -> Option<usize> {
        self.rows
            .binary_search_by_key(&ino.0, |row| row.head & INO_MASK)
            .ok()
    }

    /// Its kind, if it is there.
    pub(super) fn kind(&self, ino: Ino) -> Option<u8> {
        let row = self.rows.get(self.position(ino)?)?;
        Some((row.head >> INO_BITS) as u8 & 15)
    }

    /// Counts a name; false: there is no such inode.
    pub(super) fn name(&mut self, ino: Ino, parent: Ino, name: &[u8]) -> bool {
        let position = self.position(ino);
        let row = position.and_then(|position| self.rows.get_mut(position));
        let Some(row) = row else { return false };
        row.names = row.names.saturating_add(1);
        row.places = row.places.wrapping_add(place(parent, name));
        true
    }

    pub(super) fn mark(&mut self, ino: Ino, mark: u64) {
        if let Some(position) = self.position(ino)
            && let Some(row) = self.rows.get_mut(position)
        {
            row.head |= mark << (INO_BITS + KIND_BITS);
        }
    }

    pub(super) fn wrong_directories(&mut self, ino: Ino, counted: u64) {
        if self.directories.len() < limits::REPAIRS_MAX {
            self.directories.insert(ino, counted);
        }
    }
}

impl Row {
    fn has(&self, mark: u64) -> bool {
        self.head >> (INO_BITS + KIND_BITS) & mark != 0
    }
}

/// A name in a directory, as a number. Equal sums of different sets are possible and do not happen.
fn place(parent: Ino, name: &[u8]) -> u32 {
    hash(&(parent.0, name)) as u32
}

/// The same in every process.
pub(super) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The number by which a kind is stored.
pub(super) fn kind_number(kind: Kind) -> u8 {
    let mut bytes = Vec::with_capacity(1);
    kind.put(&mut bytes);
    bytes.first().copied().unwrap_or_default()
}

impl<R: Read> Inspection<'_, R> {
    pub(super) fn take_inodes(&mut self) -> Result<(), TableError> {
        let (inodes, next) = (&mut self.inodes, self.counters.next_ino);
        self.walk
            .each::<Inode>(key::inodes(), &mut |walk, key, inode| {
                let Key::Inode { ino } = key else {
                    return Ok(());
                };
                if ino.0 > INO_MASK {
                    walk.shape(ino, "its number is impossible");
                    return Ok(());
                }
                inodes.rows.push(Row {
                    head: ino.0 | u64::from(kind_number(inode.kind)) << INO_BITS,
                    names: 0,
                    places: 0,
                });
                let (_, count) = inodes.usage.entry(inode.project).or_default();
                *count += 1;
                if ino != Ino::SYSTEM_ROOT {
                    inodes.last = Some(ino);
                }
                match inode.object() {
                    Err(_) => walk.shape(ino, "what is kept of it as an object cannot be read"),
                    Ok(object) if object.implied && !inode.is_directory() => {
                        walk.shape(ino, "it is implied and no directory");
                    }
                    Ok(_) => {}
                }
                Ok(())
            })?;
        self.walk.each::<Reap>(key::reaping(), &mut |_, key, _| {
            if let Key::Reap { ino } = key {
                inodes.reaping.insert(ino);
            }
            Ok(())
        })?;
        if let Some(last) = inodes.last.filter(|last| *last >= next) {
            let fix = self
                .plan
                .counters(|counters| counters.next_ino = Ino(last.0 + 1));
            let what = "its number may be given again";
            self.walk.tell(Breach::Shape { ino: last, what }, Some(fix));
        }
        Ok(())
    }

    /// Link records against names.
    pub(super) fn links(&mut self) -> Result<(), TableError> {
        let mut group: Option<(Ino, u32, u32)> = None;
        let mut wrong = BTreeSet::new();
        let inodes = &mut self.inodes;
        let mut close = |inodes: &mut Inodes, (ino, count, sum): (Ino, u32, u32)| {
            let row = inodes.position(ino).and_then(|at| inodes.rows.get(at));
            let right =
                row.is_some_and(|row| row.names > 1 && row.names == count && row.places == sum);
            match right {
                true => inodes.mark(ino, LINKED),
                false if wrong.len() < limits::REPAIRS_MAX => drop(wrong.insert(ino)),
                false => {}
            }
        };
        self.walk.each::<Link>(key::all_links(), &mut |_, key, _| {
            let Key::Link { ino, parent, name } = key else {
                return Ok(());
            };
            let sum = place(parent, &name);
            match &mut group {
                Some((of, count, places)) if *of == ino => {
                    *count += 1;
                    *places = places.wrapping_add(sum);
                }
                other => {
                    if let Some(done) = other.replace((ino, 1, sum)) {
                        close(inodes, done);
                    }
                }
            }
            Ok(())
        })?;
        if let Some(done) = group {
            close(inodes, done);
        }
        for ino in wrong {
            self.links_of(ino)?;
        }
        Ok(())
    }

    /// Puts the link records of one inode right.
    fn links_of(&mut self, ino: Ino) -> Result<(), TableError> {
        if self.walk.is_stopped() {
            return Ok(());
        }
        let names = self.names_of(ino)?;
        let is_directory = self.inodes.kind(ino) == Some(kind_number(Kind::Directory));
        let wanted: BTreeSet<Key> = match names.len() > 1 && !is_directory {
            true => names
                .into_iter()
                .map(|(parent, name)| Key::Link { ino, parent, name })
                .collect(),
            false => BTreeSet::new(),
        };
        let Some(found) = self.walk.keys(&key::links(ino))? else {
            return Ok(());
        };
        let found: BTreeSet<Key> = found.into_iter().collect();
        let mut changes = Vec::new();
        for key in wanted.symmetric_difference(&found) {
            let key = key.encode();
            let expected = self.walk.records().bytes(&key)?;
            let key = Bytes::copy_from_slice(&key);
            let stamp = Version(0);
            let value = expected.is_none().then(|| encode(&Link { stamp }));
            changes.push(RepairRecord {
                key,
                expected,
                value,
            });
        }
        let breach = Breach::Inode {
            ino,
            what: "link records",
            found: found.len() as u64,
            counted: wanted.len() as u64,
        };
        let fix = self.plan.group(changes);
        self.walk.tell(breach, fix);
        Ok(())
    }

    /// Every name of an inode. Reads all names: for inodes that something is wrong with.
    fn names_of(&mut self, wanted: Ino) -> Result<Vec<(Ino, Bytes)>, TableError> {
        let mut names = Vec::new();
        self.walk
            .each::<Dirent>(key::dirents(), &mut |_, key, dirent| {
                if let Key::Dirent { parent, name } = key
                    && dirent.ino == wanted
                {
                    names.push((parent, name));
                }
                Ok(())
            })?;
        Ok(names)
    }

    pub(super) fn xattrs(&mut self) -> Result<(), TableError> {
        let mut group: Option<(Ino, (u32, u64, u64))> = None;
        let mut groups = Vec::new();
        let mut missing = Vec::new();
        let inodes = &mut self.inodes;
        let mut close = |walk: &super::walk::Walk<'_, R>, (ino, counted)| {
            inodes.mark(ino, HAS_XATTRS);
            match walk.lookup::<Inode>(&Key::Inode { ino })? {
                Some(inode) if says(&inode) == counted => {}
                Some(inode) => groups.push((ino, says(&inode), counted)),
                None => missing.push(ino),
            }
            Ok::<(), TableError>(())
        };
        self.walk
            .each::<Xattr>(key::all_xattrs(), &mut |walk, key, xattr| {
                let Key::Xattr { ino, name } = key else {
                    return Ok(());
                };
                let (bytes, names) = (
                    (name.len() + xattr.value.len()) as u64,
                    name.len() as u64 + 1,
                );
                match &mut group {
                    Some((of, counted)) if *of == ino => {
                        counted.0 += 1;
                        counted.1 += bytes;
                        counted.2 += names;
                    }
                    other => {
                        if let Some(done) = other.replace((ino, (1, bytes, names))) {
                            close(walk, done)?;
                        }
                    }
                }
                Ok(())
            })?;
        if let Some(done) = group {
            close(&self.walk, done)?;
        }
        for (ino, found, counted) in groups {
            self.wrong_xattrs(ino, found, counted);
        }
        for ino in missing {
            self.walk
                .shape(ino, "attributes of an inode that is missing");
        }
        Ok(())
    }

    fn wrong_xattrs(&mut self, ino: Ino, found: (u32, u64, u64), counted: (u32, u64, u64)) {
        let fix = self.plan.inode(ino, |fix| fix.xattrs = Some(counted));
        for (what, found, counted) in [
            ("xattr_count", u64::from(found.0), u64::from(counted.0)),
            ("xattr_bytes", found.1, counted.1),
            ("xattr_name_bytes", found.2, counted.2),
        ] {
            self.compare(ino, what, found, counted, fix);
        }
    }

    pub(super) fn compare(
        &mut self,
        ino: Ino,
        what: &'static str,
        found: u64,
        counted: u64,
        fix: Option<FixId>,
    ) {
        let breach = Breach::Inode {
            ino,
            what,
            found,
            counted,
        };
        if found != counted {
            self.walk.tell(breach, fix);
        }
    }

    /// An inode that nothing leads to, that was to be deleted: it is, unless it changes before.
    fn reap(&mut self, ino: Ino, inode: &Inode) -> Result<Option<FixId>, TableError> {
        let own = Key::Inode { ino };
        // What is to change in it comes first; the next check finds it again.
        let Some(Some(expected)) = self.walk.raw(&own)?.filter(|_| !self.plan.has_inode(ino))
        else {
            return Ok(None);
        };
        let stamp = Version(0);
        let records = vec![
            RepairRecord {
                key: Bytes::copy_from_slice(&own.encode()),
                expected: Some(expected),
                value: Some(encode(inode)),
            },
            RepairRecord {
                key: Bytes::copy_from_slice(&Key::Reap { ino }.encode()),
                expected: None,
                value: Some(encode(&Reap { stamp, from: 0 })),
            },
        ];
        Ok(self.plan.group(records))
    }

    /// What can be said of each inode when all has been counted.
    pub(super) fn close_inodes(&mut self) -> Result<(), TableError> {
        if self.walk.is_stopped() {
            return Ok(());
        }
        let mut suspects = Vec::new();
        let inodes = &self.inodes;
        self.walk
            .each::<Inode>(key::inodes(), &mut |_, key, inode| {
                let Key::Inode { ino } = key else {
                    return Ok(());
                };
                let row = inodes.position(ino).and_then(|at| inodes.rows.get(at));
                if let Some(row) = row
                    && !inodes.is_right(ino, &inode, row)
                    && suspects.len() < limits::REPAIRS_MAX
                {
                    suspects.push((ino, inode));
                }
                Ok(())
            })?;
        for (ino, inode) in suspects {
            self.wrong_inode(ino, &inode)?;
        }
        self.totals();
        Ok(())
    }

    /// Says what is wrong with an inode.
    fn wrong_inode(&mut self, ino: Ino, inode: &Inode) -> Result<(), TableError> {
        let position = self.inodes.position(ino);
        let Some(row) = position.and_then(|at| self.inodes.rows.get(at)) else {
            return Ok(());
        };
        let nlink = self.inodes.nlink(ino, inode, row);
        let (counted, linked) = (row.has(COUNTED), row.has(LINKED));
        let (extents, xattrs) = (row.has(HAS_EXTENTS), row.has(HAS_XATTRS));
        let (names, places) = (row.names, row.places);
        if !counted {
            let fix = (inode.entries > 0)
                .then(|| self.plan.inode(ino, |fix| fix.entries = Some(0)))
                .flatten();
            self.compare(ino, "entries", inode.entries, 0, fix);
        }
        if !extents && inode.allocated > 0 {
            let fix = self.plan.inode(ino, |fix| fix.allocated = Some(0));
            self.compare(ino, "allocated", inode.allocated, 0, fix);
        }
        if !xattrs && says(inode) != (0, 0, 0) {
            self.wrong_xattrs(ino, says(inode), (0, 0, 0));
        }
        if names == 0 && !ino.is_root() && inode.nlink > 0 {
            self.walk.shape(ino, "no name leads to it");
            return Ok(());
        }
        if u64::from(inode.nlink) != nlink {
            let right = u32::try_from(nlink).unwrap_or(u32::MAX);
            let fix = self.plan.inode(ino, |fix| fix.nlink = Some(right));
            self.compare(ino, "nlink", inode.nlink.into(), nlink, fix);
        }
        if names > 1 && inode.is_directory() {
            self.walk.shape(ino, "a directory has several names");
        } else if names > 1
            && !linked
            && self
                .walk
                .keys(&key::links(ino))?
                .is_some_and(|keys| keys.is_empty())
        {
            self.links_of(ino)?;
        }
        if names == 1 && !ino.is_root() && places != place(inode.parent, &inode.name) {
            let where_it_is = self.names_of(ino)?.into_iter().next();
            let fix = where_it_is.and_then(|at| self.plan.inode(ino, |fix| fix.place = Some(at)));
            let what = "it is not where it says";
            self.walk.tell(Breach::Shape { ino, what }, fix);
        }
        let deleted = nlink == 0 && inode.nlink == 0;
        if deleted && !self.inodes.held.contains(&ino) && !self.inodes.reaping.contains(&ino) {
            let fix = self.reap(ino, inode)?;
            let what = "nothing names, holds or deletes it";
            self.walk.tell(Breach::Shape { ino, what }, fix);
        }
        Ok(())
    }
}

/// What the inode says of its attributes.
fn says(inode: &Inode) -> (u32, u64, u64) {
    (inode.xattr_count, inode.xattr_bytes, inode.xattr_name_bytes)
}

impl Inodes {
    /// The links that an inode should have.
    fn nlink(&self, ino: Ino, inode: &Inode, row: &Row) -> u64 {
        let reachable = row.names > 0 || ino.is_root();
        match (inode.is_directory(), reachable) {
            (true, true) if row.has(DIRECTORIES_RIGHT) => inode.nlink.into(),
            (true, true) => 2 + self.directories.get(&ino).copied().unwrap_or(0),
            (true, false) => 0,
            (false, _) => row.names.into(),
        }
    }

    fn is_right(&self, ino: Ino, inode: &Inode, row: &Row) -> bool {
        let several = row.names > 1;
        let placed =
            row.names != 1 || ino.is_root() || row.places == place(inode.parent, &inode.name);
        let linked = !several || row.has(LINKED);
        let alive = inode.nlink > 0 || self.held.contains(&ino) || self.reaping.contains(&ino);
        u64::from(inode.nlink) == self.nlink(ino, inode, row)
            && placed
            && linked
            && alive
            && (row.has(COUNTED) || inode.entries == 0)
            && (row.has(HAS_EXTENTS) || inode.allocated == 0)
            && (row.has(HAS_XATTRS) || says(inode) == (0, 0, 0))
    }
}
