//! How much file data is kept in memory, and whose goes when it is too much.
//!
//! Each file counts with what it holds now, not with what passed through it: a file that is written again
//! and again would else push out its own data for ever. The file that was just filled is spared, so that
//! a reader finds what was fetched for it, unless it alone is too much.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::node::Node;
use super::state::NodeState;

/// What one file counts with. It outlives the file, so that it can be given back; else it changes under
/// the lock of the file's state only.
#[derive(Debug, Default)]
pub(crate) struct Share {
    bytes: AtomicUsize,
    /// It is in the order.
    listed: AtomicBool,
}

/// See the module. Order of locks: a node's state, then this.
#[derive(Debug)]
pub(crate) struct KeptData {
    order: Mutex<Order>,
    used: AtomicUsize,
    max: usize,
}

#[derive(Debug, Default)]
struct Order {
    /// Every file that holds data, once, in the order in which they began to.
    files: VecDeque<(Weak<Node>, Arc<Share>)>,
    /// With so many, those that are gone are taken out: what is listed keeps its memory.
    sweep_at: usize,
}

/// Files that are listed before any are taken out.
const SWEEP_MIN: usize = 64;

impl KeptData {
    pub(crate) fn new(max: usize) -> KeptData {
        KeptData {
            order: Mutex::default(),
            used: AtomicUsize::new(0),
            max,
        }
    }

    /// Bytes that are kept, and how many there may be.
    pub(crate) fn used(&self) -> (usize, usize) {
        (self.used.load(Ordering::Relaxed), self.max)
    }

    /// Counts what `node` holds now, and lets go of data of others until it is not too much.
    pub(crate) fn keep(&self, node: &Arc<Node>) {
        let mut state = node.state.lock();
        if state.pieces.data_bytes() > self.max {
            state.pieces.drop_data();
        }
        if self.count(&state) > 0 && !state.kept.listed.swap(true, Ordering::Relaxed) {
            let share = state.kept.clone();
            let mut order = self.order.lock();
            if order.files.len() >= order.sweep_at.max(SWEEP_MIN) {
                order.files.retain(|(node, share)| {
                    let lives = node.strong_count() > 0;
                    if !lives {
                        self.give_back(share);
                    }
                    lives
                });
                order.sweep_at = 2 * order.files.len();
            }
            order.files.push_back((Arc::downgrade(node), share));
        }
        drop(state);
        // Once around: everything that can go has gone then.
        let most = self.order.lock().files.len();
        for _ in 0..most {
            if self.used.load(Ordering::Relaxed) <= self.max {
                return;
            }
            self.drop_first(node);
        }
    }

    /// Brings the share of a file up to date; says how much it is.
    fn count(&self, state: &NodeState) -> usize {
        let now = state.pieces.data_bytes();
        let before = state.kept.bytes.swap(now, Ordering::Relaxed);
        self.used.fetch_add(now, Ordering::Relaxed);
        self.used.fetch_sub(before, Ordering::Relaxed);
        now
    }

    /// A file is gone.
    fn give_back(&self, share: &Share) {
        let before = share.bytes.swap(0, Ordering::Relaxed);
        self.used.fetch_sub(before, Ordering::Relaxed);
    }

    fn drop_first(&self, spared: &Arc<Node>) {
        let first = self.order.lock().files.pop_front();
        let Some((first, share)) = first else {
            return;
        };
        let Some(node) = first.upgrade() else {
            return self.give_back(&share);
        };
        let mut state = node.state.lock();
        if !Arc::ptr_eq(&node, spared) {
            state.pieces.drop_data();
        }
        if self.count(&state) > 0 {
            self.order.lock().files.push_back((first, share));
        } else {
            share.listed.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wolfdisk_common::ids::Ino;

    use super::*;
    use crate::data::pieces::{Piece, Source};

    const MAX: usize = 1000;

    fn node(ino: u64) -> Arc<Node> {
        Arc::new(Node::new(Ino(ino), NodeState::new(0, 4096)))
    }

    fn fill(kept: &KeptData, node: &Arc<Node>, offset: u64, length: usize) {
        node.state.lock().pieces.set(Piece {
            offset,
            length: length as u64,
            source: Source::Data(Bytes::from(vec![1; length])),
        });
        kept.keep(node);
    }

    fn held(node: &Arc<Node>) -> usize {
        node.state.lock().pieces.data_bytes()
    }

    #[test]
    fn a_file_that_is_written_again_and_again_keeps_its_data() {
        let (kept, node) = (KeptData::new(MAX), node(1));
        for _ in 0..100 {
            fill(&kept, &node, 0, 400);
            assert_eq!(held(&node), 400);
        }
        assert_eq!(kept.used.load(Ordering::Relaxed), 400);
    }

    #[test]
    fn what_was_just_filled_is_there_and_the_oldest_goes() {
        let kept = KeptData::new(MAX);
        let nodes: Vec<_> = (0..10).map(node).collect();
        for node in &nodes {
            fill(&kept, node, 0, 300);
            assert_eq!(held(node), 300);
            assert!(kept.used.load(Ordering::Relaxed) <= MAX);
        }
        let there: Vec<usize> = nodes.iter().map(held).collect();
        assert_eq!(there, [0, 0, 0, 0, 0, 0, 0, 300, 300, 300]);
    }

    #[test]
    fn a_file_that_alone_is_too_much_begins_again() {
        let (kept, node) = (KeptData::new(MAX), node(1));
        for at in 0..10 {
            fill(&kept, &node, at * 300, 300);
            assert!(held(&node) <= MAX);
        }
        assert!(held(&node) > 0);
        assert_eq!(kept.used.load(Ordering::Relaxed), held(&node));
    }

    #[test]
    fn what_forgotten_files_held_is_given_back() {
        let kept = KeptData::new(MAX);
        for ino in 0..100 {
            fill(&kept, &node(ino), 0, 300);
            assert!(kept.used.load(Ordering::Relaxed) <= MAX);
        }
        assert!(kept.order.lock().files.len() <= 4);
    }

    #[test]
    fn forgotten_files_are_not_listed_for_ever_though_there_is_room() {
        let kept = KeptData::new(usize::MAX);
        let lives = node(0);
        fill(&kept, &lives, 0, 300);
        (1..10_000).for_each(|ino| fill(&kept, &node(ino), 0, 1));
        assert!(kept.order.lock().files.len() <= 2 * SWEEP_MIN);
        assert_eq!(held(&lives), 300);
        assert!(kept.used.load(Ordering::Relaxed) <= 300 + 2 * SWEEP_MIN);
    }

    #[test]
    fn a_file_that_loses_its_data_and_gets_other_counts_once() {
        let (kept, node) = (KeptData::new(MAX), node(1));
        for _ in 0..10 {
            fill(&kept, &node, 0, 10);
            node.state.lock().pieces.clear();
            kept.keep(&node);
            assert_eq!(kept.used.load(Ordering::Relaxed), 0);
        }
        assert_eq!(kept.order.lock().files.len(), 1);
    }
}
