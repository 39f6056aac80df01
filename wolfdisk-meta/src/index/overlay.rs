//! The index in memory: an ordered overlay of what changed since the last checkpoint, over the table.
//!
//! Three layers answer, the newest first: the active overlay takes every change; while a checkpoint is
//! being written there is a frozen overlay that nobody changes; below is the [`Table`]. A job made by
//! [`State::freeze`] commits the frozen overlay on another thread; the table may show its content before
//! [`State::thaw`] drops it, which is harmless because both say the same.
//!
//! Not here: when to checkpoint, and the rule that the log is durable up to the job's index first.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::key_bytes::KeyBytes;
use super::table::{Applied, Table, TableError};

/// What an entry costs beside its key's and value's bytes: the map's node, the key's fixed part, the
/// value's handle. Measured with a million dirents.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// See the module.
pub struct State<T> {
    active: Overlay,
    frozen: Option<Arc<Frozen>>,
    table: Arc<T>,
    applied: Applied,
}

#[derive(Default)]
struct Overlay {
    entries: BTreeMap<KeyBytes, Option<Bytes>>,
    bytes: u64,
}

struct Frozen {
    overlay: Overlay,
    applied: Applied,
}

/// A frozen overlay on its way into the table.
pub struct CheckpointJob<T> {
    frozen: Arc<Frozen>,
    table: Arc<T>,
}

impl<T: Table> CheckpointJob<T> {
    /// How far the table will have come. The log must be durable to this index before [`Self::run`].
    pub fn applied(&self) -> Applied {
        self.frozen.applied
    }

    /// Commits. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// What the table says; the table is unchanged then.
    pub fn run(self) -> Result<Applied, TableError> {
        let entries = self.frozen.overlay.entries.iter();
        let mut changes = entries.map(|(key, value)| (key.clone(), value.clone()));
        self.table.commit(self.frozen.applied, &mut changes)?;
        Ok(self.frozen.applied)
    }
}

impl Overlay {
    fn set(&mut self, key: KeyBytes, value: Option<Bytes>) {
        let cost = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len) as u64;
        self.bytes += cost(&value);
        match self.entries.entry(key) {
            Entry::Occupied(mut known) => {
                let old = known.insert(value);
                self.bytes -= cost(&old);
            }
            Entry::Vacant(place) => {
                self.bytes += (place.key().len() + ENTRY_OVERHEAD_BYTES) as u64;
                place.insert(value);
            }
        }
    }
}

impl<T: Table> State<T> {
    /// The state that the table holds.
    pub fn new(table: Arc<T>) -> State<T> {
        let applied = table.applied();
        State {
            active: Overlay::default(),
            frozen: None,
            table,
            applied,
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The table could not be read.
    pub fn get(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError> {
        if let Some(value) = self.active.entries.get(key) {
            return Ok(value.clone());
        }
        let frozen = self.frozen.as_ref();
        if let Some(value) = frozen.and_then(|frozen| frozen.overlay.entries.get(key)) {
            return Ok(value.clone());
        }
        self.table.get(key)
    }

    /// Sets a key, or removes it if it is there.
    pub fn set(&mut self, key: KeyBytes, value: Option<Bytes>) {
        self.active.set(key, value);
    }

    /// Calls `visit` for each entry with `from <= key < to`, in order, until it answers `false`.
    ///
    /// # Errors
    /// The table could not be read.
    pub fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        if from >= to {
            return Ok(());
        }
        let (first, end) = (KeyBytes::new(from), KeyBytes::new(to));
        let bounds = (Bound::Included(&first), Bound::Excluded(&end));
        let mut active = self.active.entries.range::<KeyBytes, _>(bounds).peekable();
        let frozen = self.frozen.as_ref().map(|frozen| &frozen.overlay.entries);
        let mut frozen = frozen
            .map(|entries| entries.range::<KeyBytes, _>(bounds))
            .into_iter()
            .flatten()
            .peekable();
        // The next entry of the two overlays; the active one shadows the frozen one.
        let mut overlaid = || {
            let newest = active.peek().map(|(key, _)| *key);
            let older = frozen.peek().map(|(key, _)| *key);
            match (newest, older) {
                (Some(newest), Some(older)) if newest > older => frozen.next(),
                (Some(newest), Some(older)) => {
                    if newest == older {
                        frozen.next();
                    }
                    active.next()
                }
                (Some(_), None) => active.next(),
                (None, _) => frozen.next(),
            }
        };
        let mut pending = overlaid();
        let mut go_on = true;
        self.table.scan(from, to, &mut |key, value| {
            while let Some((overlay_key, overlay_value)) = pending {
                match (**overlay_key).cmp(key) {
                    std::cmp::Ordering::Greater => break,
                    order => {
                        go_on = overlay_value
                            .as_ref()
                            .is_none_or(|value| visit(overlay_key, value));
                        pending = overlaid();
                        if !go_on || order.is_eq() {
                            return go_on;
                        }
                    }
                }
            }
            go_on = visit(key, value);
            go_on
        })?;
        while let Some((key, value)) = pending.filter(|_| go_on) {
            go_on = value.as_ref().is_none_or(|value| visit(key, value));
            pending = overlaid();
        }
        Ok(())
    }

    /// How far the state has come.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Says how far the state has come with the changes made since the last call.
    pub fn set_applied(&mut self, applied: Applied) {
        self.applied = applied;
    }

    /// What the active overlay costs in memory, about.
    pub fn overlay_bytes(&self) -> u64 {
        self.active.bytes
    }

    /// What the frozen overlay costs in memory, about; 0 when no checkpoint is under way.
    pub fn frozen_bytes(&self) -> u64 {
        self.frozen
            .as_ref()
            .map_or(0, |frozen| frozen.overlay.bytes)
    }

    /// Whether a checkpoint is under way, or was given up before the table was touched.
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// The table below.
    pub fn table(&self) -> &Arc<T> {
        &self.table
    }

    /// Puts another table with the same content below and gives the one that was there.
    ///
    /// # Panics
    /// If it has not the same content, as far as can be told, or a checkpoint is under way.
    pub fn replace_table(&mut self, table: Arc<T>) -> Arc<T> {
        assert!(self.frozen.is_none(), "replaced during a checkpoint");
        assert_eq!(self.table.applied(), table.applied(), "another state");
        std::mem::replace(&mut self.table, table)
    }

    /// Freezes the active overlay and gives the job that commits it. None if nothing was applied since
    /// the last checkpoint, or one is still under way. Call it between two entries only.
    pub fn freeze(&mut self) -> Option<CheckpointJob<T>> {
        if self.frozen.is_some() || self.applied == self.table.applied() {
            return None;
        }
        let overlay = std::mem::take(&mut self.active);
        let frozen = Arc::new(Frozen {
            overlay,
            applied: self.applied,
        });
        self.frozen = Some(frozen.clone());
        Some(CheckpointJob {
            frozen,
            table: self.table.clone(),
        })
    }

    /// Drops the frozen overlay: its job has finished.
    ///
    /// # Panics
    /// If the table has not come as far as the overlay: its content would be lost.
    pub fn thaw(&mut self) {
        if let Some(frozen) = self.frozen.take() {
            assert_eq!(
                self.table.applied(),
                frozen.applied,
                "thawed before the commit"
            );
        }
    }
}
