//! A table in memory: for simulation, where nothing but the log needs a disk.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::index::table::{Applied, Change, Table, TableError};

/// An ordered map; forgets everything when dropped.
#[derive(Default)]
pub struct MemTable {
    content: RwLock<Content>,
}

#[derive(Default)]
struct Content {
    entries: BTreeMap<Vec<u8>, Bytes>,
    bytes: u64,
    applied: Applied,
}

impl Table for MemTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        Ok(self.content.read().entries.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        if from < to {
            let bounds = (Bound::Included(from), Bound::Excluded(to));
            let content = self.content.read();
            let mut entries = content.entries.range::<[u8], _>(bounds);
            // Stops at the first `false`.
            let _ = entries.all(|(key, value)| visit(key, value));
        }
        Ok(())
    }

    fn commit(
        &self,
        applied: Applied,
        changes: &mut dyn Iterator<Item = Change>,
    ) -> Result<(), TableError> {
        // Gathered first: readers must not wait for whatever makes the changes.
        let changes: Vec<Change> = changes.collect();
        let mut content = self.content.write();
        for (key, value) in changes {
            let size = key.len();
            let gone = match value {
                Some(value) => {
                    content.bytes += (size + value.len()) as u64;
                    content.entries.insert(key.to_vec(), value)
                }
                None => content.entries.remove(&*key),
            };
            content.bytes -= gone.map_or(0, |gone| (size + gone.len()) as u64);
        }
        content.applied = applied;
        Ok(())
    }

    fn applied(&self) -> Applied {
        self.content.read().applied
    }

    fn size_bytes(&self) -> u64 {
        self.content.read().bytes
    }

    fn live_bytes(&self) -> u64 {
        self.content.read().bytes
    }
}
