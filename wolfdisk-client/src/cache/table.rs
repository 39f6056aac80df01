//! All inodes in memory, bounded: what was not used for a while and is not in use goes, and with it the
//! right to cache it.
//!
//! A right that goes back is told to the daemon only when the kernel has certainly forgotten what it
//! was given under it (a lease later). Rights on that inode in answers that were asked for before the daemon
//! had been told are not accepted, however late they come: they may have been granted before.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;

use super::floors::Floors;
use super::node::Node;
use super::state::NodeState;
use crate::limits;
use crate::session::lease::Lease;

/// Something that is not open here, as of the last open that the daemon had been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) ino: Ino,
    pub(crate) opens: u64,
}

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
    /// What is gone for good and was in use when the kernel forgot it.
    leaving: Mutex<HashSet<Ino>>,
    /// What the daemon is being told of.
    returning: Mutex<Vec<Ino>>,
    /// The round of giving back that must be over before a right on an inode is asked for.
    rounds: Floors,
    last_round: AtomicU64,
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
            leaving: Mutex::default(),
            returning: Mutex::default(),
            rounds: Floors::default(),
            last_round: AtomicU64::new(0),
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
        self.peek(ino).inspect(|node| node.touch())
    }

    /// The same, which does not count as a use.
    fn peek(&self, ino: Ino) -> Option<Arc<Node>> {
        self.shard(ino)?.lock().nodes.get(&ino).cloned()
    }

    /// Takes each lock and lets go of it.
    pub(crate) fn pass_locks(&self) {
        self.shards.iter().for_each(|shard| drop(shard.lock()));
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

    /// Inodes, and names in all directories, as they are counted now; but for those of directories that somebody is
    /// changing or looking at, whom nothing is to wait for.
    pub(crate) fn counted(&self) -> (usize, usize) {
        let (mut inodes, mut names) = (0, 0);
        for shard in &self.shards {
            // The state of a node is never locked with its shard.
            let nodes: Vec<Arc<Node>> = shard.lock().nodes.values().cloned().collect();
            inodes += nodes.len();
            let known = nodes.iter().filter_map(|node| node.state.try_lock());
            names += known.map(|state| state.names.len()).sum::<usize>();
        }
        (inodes, names)
    }

    /// About how many inodes there may be.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Rights on `ino` may be accepted that were asked for when `returns` rounds of giving back were
    /// over. Asked once the inode's node is in the table.
    pub(crate) fn accepts_rights(&self, ino: Ino, returns: u64) -> bool {
        returns >= self.last_round.load(Ordering::SeqCst) || returns >= self.rounds.get(ino.0)
    }

    /// Lets go of what is gone for good and not in use any more. To be called now and then.
    pub(crate) fn sweep(&self, lease: &Lease) {
        let leaving = std::mem::take(&mut *self.leaving.lock());
        leaving.into_iter().for_each(|ino| self.leave(ino, lease));
    }

    /// Rights to give back now, in this round, each with what `last_open` says then.
    pub(crate) fn take_returns(&self, round: u64, last_open: impl Fn() -> u64) -> Vec<Closed> {
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
        due.iter().for_each(|ino| self.rounds.raise(ino.0, round));
        self.last_round.store(round, Ordering::SeqCst);
        let gone = due.into_iter().filter_map(|ino| {
            let shard = self.shard(ino)?.lock();
            // An open that comes now has a greater number.
            let opens = last_open();
            (!shard.nodes.contains_key(&ino)).then_some(Closed { ino, opens })
        });
        let gone = Vec::from_iter(gone);
        *self.returning.lock() = gone.iter().map(|closed| closed.ino).collect();
        gone
    }

    /// The daemon was told; with `taken` false it was perhaps not, and will be later.
    pub(crate) fn returned(&self, taken: bool) {
        let told = std::mem::take(&mut *self.returning.lock());
        if !taken {
            let again = Instant::now();
            let mut returns = self.returns.lock();
            // In front: the queue is in order of time.
            told.iter()
                .for_each(|ino| returns.push_front((again, *ino)));
        }
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

    /// The kernel has forgotten an inode: if it was removed here, or `unseen` says so, it goes as soon as nobody
    /// uses it. Its number is never used again.
    pub(crate) fn forgotten(&self, ino: Ino, unseen: bool, lease: &Lease) {
        let Some(node) = self.peek(ino) else {
            return;
        };
        let gone = {
            let mut state = node.state.lock();
            state.gone |= unseen || state.remains.is_some();
            state.gone
        };
        drop(node);
        if gone {
            self.leave(ino, lease);
        }
    }

    /// The daemon was told that this is closed, which is all that a node was made for if it knows nothing.
    pub(crate) fn closed(&self, ino: Ino, lease: &Lease) {
        let Some(node) = self.peek(ino) else {
            return;
        };
        let (gone, knows) = {
            let mut state = node.state.lock();
            state.releasing = false;
            let knows = state.attr.is_some() || state.remains.is_some();
            (state.gone, knows)
        };
        drop(node);
        if gone {
            self.leave(ino, lease);
        } else if !knows {
            self.let_go(ino, lease);
        }
    }

    /// It is gone for good: it goes now, or when it is not in use any more.
    fn leave(&self, ino: Ino, lease: &Lease) {
        if !self.let_go(ino, lease) {
            self.leaving.lock().insert(ino);
        }
    }

    /// Takes an inode out of the memory unless it is in use; says whether it is not there any more.
    fn let_go(&self, ino: Ino, lease: &Lease) -> bool {
        let Some(mut shard) = self.shard(ino).map(Mutex::lock) else {
            return true;
        };
        let Some(node) = shard.nodes.get(&ino) else {
            return true;
        };
        // With the shard locked nobody else can get hold of it. The state of one that is in use is not waited
        // for: who has it may be about to ask this shard.
        if Arc::strong_count(node) > 1 || node.state.lock().is_unsaved() {
            return false;
        }
        self.remove(&mut shard, ino, lease);
        if shard.clock.len() > 64 + 2 * shard.nodes.len() {
            let Shard { nodes, clock } = &mut *shard;
            clock.retain(|ino| nodes.contains_key(ino));
        }
        true
    }

    fn remove(&self, shard: &mut Shard, ino: Ino, lease: &Lease) {
        if let Some(node) = shard.nodes.remove(&ino) {
            let state = node.state.lock();
            self.floors.raise(ino.0, state.newest());
            if state.has_any_right(lease) {
                let due = Instant::now() + Duration::from_millis(LEASE_MS);
                self.returns.lock().push_back((due, ino));
            }
        }
    }

    /// Second chance: the oldest that was not used since it was last looked at goes.
    fn evict(&self, shard: &mut Shard, lease: &Lease) {
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
            self.remove(shard, ino, lease);
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
        assert_eq!(table.counted(), (table.all().len(), 0));
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

    #[test]
    fn what_was_removed_goes_when_the_kernel_forgets_it_and_nobody_uses_it() {
        let (table, lease) = (Table::new(1 << 20, 4096), Lease::default());
        let there = Ino(16);
        table.node(there, &lease);
        table.forgotten(there, false, &lease);
        assert!(table.get(there).is_some(), "it was not removed");
        let used = Ino(32);
        let node = table.node(used, &lease);
        table.forgotten(used, true, &lease);
        assert!(table.get(used).is_some(), "somebody uses it");
        drop(node);
        table.sweep(&lease);
        assert!(table.get(used).is_none());
        for ino in (100..50_000).map(Ino) {
            table.node(ino, &lease);
            table.forgotten(ino, true, &lease);
        }
        assert_eq!(table.all().len(), 1);
        let listed: usize = table
            .shards
            .iter()
            .map(|shard| shard.lock().clock.len())
            .sum();
        assert!(listed <= 66 * limits::SHARDS, "{listed}");
    }

    #[test]
    fn who_forgets_an_inode_in_use_keeps_nobody_from_the_others() {
        let (table, lease) = (Table::new(1 << 20, 4096), Lease::default());
        let used = Ino(16);
        let node = table.node(used, &lease);
        std::thread::scope(|scope| {
            let state = node.state.lock();
            let forgets = scope.spawn(|| table.forgotten(used, true, &lease));
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(50) {
                let shard = table.shard(used).expect("a shard");
                let free = shard.try_lock_for(Duration::from_secs(5));
                assert!(
                    free.is_some(),
                    "it waits for the state with the shard locked"
                );
            }
            drop(state);
            forgets.join().expect("forgotten");
        });
    }

    #[test]
    fn a_right_asked_for_before_it_went_back_is_not_accepted_however_late() {
        let (table, lease) = (Table::new(16, 4096), Lease::default());
        let gone = Ino(16);
        table.returns.lock().push_back((Instant::now(), gone));
        assert!(table.accepts_rights(gone, 0));
        assert_eq!(
            table.take_returns(1, || 7),
            [Closed {
                ino: gone,
                opens: 7
            }]
        );
        assert!(!table.accepts_rights(gone, 0), "under way");
        table.returned(true);
        assert!(!table.accepts_rights(gone, 0), "an answer that is late");
        assert!(table.accepts_rights(gone, 1), "asked for afterwards");
        assert!(table.accepts_rights(Ino(17), 0), "another inode");
        table.returns.lock().push_back((Instant::now(), gone));
        table.node(gone, &lease);
        assert!(table.take_returns(2, || 0).is_empty(), "it is back");
    }

    #[test]
    fn what_the_daemon_was_not_told_is_told_again() {
        let table = Table::new(16, 4096);
        let gone = Ino(16);
        table.returns.lock().push_back((Instant::now(), gone));
        assert_eq!(table.take_returns(1, || 0).len(), 1);
        table.returned(false);
        assert_eq!(table.take_returns(2, || 0).len(), 1);
        table.returned(true);
        assert!(table.take_returns(3, || 0).is_empty());
    }
}
