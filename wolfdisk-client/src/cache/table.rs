//! All inodes in memory, bounded: what was not used for a while and is not in use goes, and with it the
//! right to cache it.
//!
//! A right that goes back is told to the daemon only when the kernel has certainly forgotten what it
//! was given under it (a lease later), and while the daemon is being told, rights in answers for that
//! inode are not accepted: they may have been granted before.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;

use super::floors::Floors;
use super::node::Node;
use super::state::NodeState;
use crate::limits;
use crate::session::lease::Lease;

/// Most rights given back in one feed call.
const RETURNS_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Shard {
    nodes: HashMap<Ino, Arc<Node>>,
    clock: VecDeque<Ino>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Vec<Mutex<Shard>>,
    floors: Floors,
    returns: Mutex<VecDeque<(Instant, Ino)>>,
    returning: Mutex<HashSet<Ino>>,
    any_returning: AtomicBool,
    /// Names in all directories, as counted at the last look; a guide, not an account.
    names: AtomicUsize,
    max: usize,
    window: u64,
}

impl Table {
    /// A table of about `max` inodes whose dirty runs do not cross multiples of `window`.
    pub(crate) fn new(max: usize, window: u64) -> Table {
        Table {
            shards: (0..limits::SHARDS).map(|_| Mutex::default()).collect(),
            floors: Floors::default(),
            returns: Mutex::default(),
            returning: Mutex::default(),
            any_returning: AtomicBool::new(false),
            names: AtomicUsize::new(0),
            max: max.max(limits::SHARDS),
            window,
        }
    }

    fn shard(&self, ino: Ino) -> Option<&Mutex<Shard>> {
        self.shards.get(ino.0 as usize % limits::SHARDS)
    }

    /// The inode's node, made if need be.
    pub(crate) fn node(&self, ino: Ino, lease: &Lease) -> Arc<Node> {
        let fresh = || {
            Arc::new(Node::new(
                ino,
                NodeState::new(self.floors.get(ino.0), self.window),
            ))
        };
        let Some(shard) = self.shard(ino) else {
            return fresh();
        };
        let mut shard = shard.lock();
        if let Some(node) = shard.nodes.get(&ino) {
            node.touch();
            return node.clone();
        }
        let node = fresh();
        shard.nodes.insert(ino, node.clone());
        shard.clock.push_back(ino);
        if shard.nodes.len() > self.max / limits::SHARDS {
            self.evict(&mut shard, lease);
        }
        node
    }

    /// The inode's node if there is one.
    pub(crate) fn get(&self, ino: Ino) -> Option<Arc<Node>> {
        let node = self.shard(ino)?.lock().nodes.get(&ino).cloned();
        node.inspect(|node| node.touch())
    }

    /// `ino`, which is not in memory, was changed by somebody at `version`.
    pub(crate) fn note_change(&self, ino: Ino, version: u64) {
        self.floors.raise(ino.0, version);
    }

    /// All nodes now.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().nodes.values().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Rights on `ino` in an answer may be accepted.
    pub(crate) fn accepts_rights(&self, ino: Ino) -> bool {
        !self.any_returning.load(Ordering::Acquire) || !self.returning.lock().contains(&ino)
    }

    /// Rights to give back now.
    pub(crate) fn take_returns(&self) -> Vec<u64> {
        let now = Instant::now();
        let mut due = Vec::new();
        {
            let mut returns = self.returns.lock();
            while let Some((when, ino)) = returns.front().copied()
                && when <= now
                && due.len() < RETURNS_MAX
            {
                returns.pop_front();
                due.push(ino);
            }
        }
        if due.is_empty() {
            return Vec::new();
        }
        // Marked first, looked at after: a node that comes now takes no right, one that was there
        // before keeps its own.
        let mut returning = self.returning.lock();
        returning.extend(&due);
        self.any_returning.store(true, Ordering::Release);
        due.retain(|ino| {
            let back = self
                .shard(*ino)
                .is_some_and(|shard| shard.lock().nodes.contains_key(ino));
            if back {
                returning.remove(ino);
            }
            !back
        });
        due.into_iter().map(|ino| ino.0).collect()
    }

    /// The daemon was told; with `taken` false it was not, and will be later.
    pub(crate) fn returned(&self, taken: bool) {
        if !self.any_returning.load(Ordering::Acquire) {
            return;
        }
        let mut returning = self.returning.lock();
        if !taken {
            let again = Instant::now();
            self.returns
                .lock()
                .extend(returning.iter().map(|ino| (again, *ino)));
        }
        returning.clear();
        self.any_returning.store(false, Ordering::Release);
    }

    /// Names were added to some directory; makes room if there are too many.
    pub(crate) fn names_added(&self, count: usize, lease: &Lease) {
        let names = self.names.fetch_add(count, Ordering::Relaxed) + count;
        if names <= limits::NAMES_MAX {
            return;
        }
        let mut left = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            self.evict(&mut shard, lease);
            for node in shard.nodes.values() {
                if let Some(mut state) = node.state.try_lock() {
                    // Directories that were looked at since stay, the others ask again.
                    if !node.take_touched() && state.names.len() > 0 {
                        let newest = state.names.newest();
                        state.names.clear(newest);
                    }
                    left += state.names.len();
                }
            }
        }
        self.names.store(left, Ordering::Relaxed);
    }

    /// Second chance: the oldest that was not used since it was last looked at goes.
    fn evict(&self, shard: &mut Shard, lease: &Lease) {
        let due = Instant::now() + Duration::from_millis(LEASE_MS);
        for _ in 0..shard.clock.len().min(64) {
            if shard.nodes.len() <= self.max / limits::SHARDS {
                break;
            }
            let Some(ino) = shard.clock.pop_front() else {
                break;
            };
            let Some(node) = shard.nodes.get(&ino) else {
                continue;
            };
            // With the shard locked nobody else can get hold of it.
            let in_use = Arc::strong_count(node) > 1 || node.take_touched();
            if in_use || node.state.lock().is_unsaved() {
                shard.clock.push_back(ino);
                continue;
            }
            if let Some(node) = shard.nodes.remove(&ino) {
                let state = node.state.lock();
                self.floors.raise(ino.0, state.newest());
                if state.has_any_right(lease) {
                    self.returns.lock().push_back((due, ino));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_in_use() {
        let (table, lease) = (Table::new(160, 4096), Lease::default());
        let held = table.node(Ino(16), &lease);
        held.state.lock().invalidate(0, 77);
        for ino in 0..10_000 {
            table.node(Ino(ino), &lease);
        }
        assert!(table.all().len() <= 160 + limits::SHARDS);
        assert!(Arc::ptr_eq(&held, &table.node(Ino(16), &lease)));
    }

    #[test]
    fn the_last_change_is_remembered_beyond_eviction() {
        let (table, lease) = (Table::new(16, 4096), Lease::default());
        table.node(Ino(16), &lease).state.lock().invalidate(0, 77);
        for round in 2..100 {
            table.node(Ino(16 * round), &lease);
        }
        assert!(table.get(Ino(16)).is_none());
        assert_eq!(table.node(Ino(16), &lease).state.lock().floor(), 77);
    }
}
