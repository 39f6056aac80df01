//! A mutation that is being worked out: reads see its own changes, and nothing of it reaches the state
//! until it is whole. A mutation that fails is dropped.

use std::collections::BTreeMap;

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, LogIndex, Term, Version};
use wolfdisk_common::time::Timestamp;

use super::codec::{Wire, encode};
use super::key::{Key, KeyRange};
use super::key_bytes::KeyBytes;
use super::op::Effect;
use super::recent::Recent;
use super::record::{Counters, Inode, Usage};
use super::records::{Read, Records, missing};
use super::table::TableError;
use crate::limits;

/// Keys with their new values, or none.
pub type Changes = BTreeMap<KeyBytes, Option<Bytes>>;

/// What is among the changes, decoded, as far as there is room.
#[derive(Default)]
pub(super) struct Written {
    pub inodes: Vec<(Ino, Inode)>,
    pub usages: Vec<(u32, Usage)>,
}

/// What came of a mutation.
pub(super) struct Worked {
    pub changes: Changes,
    pub written: Written,
    pub effects: Vec<Effect>,
    pub counters: Counters,
}

/// See the module.
pub struct Tx<'a, R> {
    records: &'a R,
    recent: &'a Recent,
    changes: Changes,
    written: Written,
    effects: Vec<Effect>,
    /// The counters after this mutation.
    pub counters: Counters,
    /// The entry's place in the log.
    pub log_index: LogIndex,
    /// The term it was proposed in.
    pub term: Term,
    /// The entry's time.
    pub time: Timestamp,
}

impl<R: Records> Read for Tx<'_, R> {
    fn bytes(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.records.get(key),
        }
    }

    fn range(
        &self,
        (from, to): &KeyRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        if from >= to {
            return Ok(());
        }
        let mut own = self.changes.range(from.clone()..to.clone()).peekable();
        let mut going = true;
        self.records.scan(from, to, &mut |key, value| {
            while let Some((mine, change)) = own.next_if(|(mine, _)| &***mine < key) {
                if let Some(change) = change {
                    going = visit(mine, change);
                }
                if !going {
                    return false;
                }
            }
            going = match own.next_if(|(mine, _)| &***mine == key) {
                Some((_, None)) => true,
                Some((_, Some(change))) => visit(key, change),
                None => visit(key, value),
            };
            going
        })?;
        while going && let Some((mine, change)) = own.next() {
            if let Some(change) = change {
                going = visit(mine, change);
            }
        }
        Ok(())
    }
}

impl<'a, R: Records> Tx<'a, R> {
    /// A mutation of `records` by the entry at `log_index`.
    pub(super) fn new(
        records: &'a R,
        recent: &'a Recent,
        counters: &Counters,
        (log_index, term): (LogIndex, Term),
        time: Timestamp,
    ) -> Tx<'a, R> {
        let mut counters = counters.clone();
        counters.stamp = Version(counters.stamp.0 + 1);
        counters.time = counters.time.max(time);
        let time = counters.time;
        Tx {
            records,
            recent,
            changes: Changes::new(),
            written: Written::default(),
            effects: Vec::new(),
            counters,
            log_index,
            term,
            time,
        }
    }

    /// The version that this mutation makes.
    pub fn version(&self) -> Version {
        self.counters.stamp
    }

    /// What came of it.
    pub(super) fn into_worked(self) -> Worked {
        Worked {
            changes: self.changes,
            written: self.written,
            effects: self.effects,
            counters: self.counters,
        }
    }

    /// Writes a record.
    pub fn store<T: Wire>(&mut self, key: &Key, record: &T) {
        self.put(key, Some(encode(record)));
    }

    /// Removes a record.
    pub fn remove(&mut self, key: &Key) {
        self.put(key, None);
    }

    /// Writes or removes a record that is encoded already.
    pub fn put(&mut self, key: &Key, value: Option<Bytes>) {
        match key {
            Key::Inode { ino } => self.written.inodes.retain(|(of, _)| of != ino),
            Key::Usage { project } => self.written.usages.retain(|(of, _)| of != project),
            _ => {}
        }
        self.changes.insert(key.encode(), value);
    }

    /// An inode, if it is there.
    ///
    /// # Errors
    /// Storage failed, or its record is damaged.
    pub fn find_inode(&self, ino: Ino) -> Result<Option<Inode>, TableError> {
        if let Some((_, inode)) = self.written.inodes.iter().find(|(of, _)| *of == ino) {
            return Ok(Some(inode.clone()));
        }
        let key = Key::Inode { ino }.encode();
        match self.recent.inode(ino) {
            Some(inode) if !self.changes.contains_key(&key) => Ok(Some(inode.clone())),
            _ => self.load_encoded(&key),
        }
    }

    /// Says what changed, for other sessions' caches.
    pub fn effect(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    /// An inode that a record names, so that it must be there.
    ///
    /// # Errors
    /// Storage failed, or it is not there.
    pub fn inode(&self, ino: Ino) -> Result<Inode, TableError> {
        self.find_inode(ino)?
            .ok_or_else(|| missing(&Key::Inode { ino }))
    }

    /// Writes an inode, stamped.
    pub fn store_inode(&mut self, ino: Ino, inode: &mut Inode) {
        inode.stamp = self.version();
        self.store(&Key::Inode { ino }, inode);
        if self.written.inodes.len() < limits::WRITTEN_MAX {
            self.written.inodes.push((ino, inode.clone()));
        }
    }

    /// Changes what a project uses.
    ///
    /// # Errors
    /// Storage failed.
    pub fn use_more(&mut self, project: u32, bytes: i128, inodes: i64) -> Result<(), TableError> {
        if bytes == 0 && inodes == 0 {
            return Ok(());
        }
        let key = Key::Usage { project };
        let mut usage = self.find_usage(project)?;
        usage.stamp = self.version();
        usage.bytes = u64::try_from(i128::from(usage.bytes) + bytes).unwrap_or_default();
        usage.inodes = usage.inodes.saturating_add_signed(inodes);
        self.store(&key, &usage);
        if self.written.usages.len() < limits::WRITTEN_MAX {
            self.written.usages.push((project, usage));
        }
        Ok(())
    }

    fn find_usage(&self, project: u32) -> Result<Usage, TableError> {
        if let Some((_, usage)) = self.written.usages.iter().find(|(of, _)| *of == project) {
            return Ok(usage.clone());
        }
        let key = Key::Usage { project }.encode();
        match self.recent.usage(project) {
            Some(usage) if !self.changes.contains_key(&key) => Ok(usage.clone()),
            _ => Ok(self.load_encoded(&key)?.unwrap_or_default()),
        }
    }
}
