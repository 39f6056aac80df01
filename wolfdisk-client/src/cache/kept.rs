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
    /// Every file that holds data, once, in the order in which they began to.
    order: Mutex<VecDeque<(Weak<Node>, Arc<Share>)>>,
    used: AtomicUsize,
    max: usize,
}

impl KeptData {
    pub(crate) fn new(max: usize) -> KeptData {
        KeptData {
            order: Mutex::default(),
            used: AtomicUsize::new(0),
            max,
        }
    }

    /// Counts what `node` holds now, and lets go of data of others until it is not too much.
    pub(crate) fn keep(&self, node: &Arc<Node>) {
        let mut state = node.state.lock();
        if state.pieces.data_bytes() > self.max {
            state.pieces.drop_data();
        }
        if self.count(&state) > 0 && !state.kept.listed.swap(true, Ordering::Relaxed) {
            let share = state.kept.clone();
            self.order.lock().push_back((Arc::downgrade(node), share));
        }
        drop(state);
        // Once around: everything that can go has gone then.
        let most = self.order.lock().len();
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

    fn drop_first(&self, spared: &Arc<Node>) {
        let first = self.order.lock().pop_front();
        let Some((first, share)) = first else {
            return;
        };
        let Some(node) = first.upgrade() else {
            let before = share.bytes.swap(0, Ordering::Relaxed);
            self.used.fetch_sub(before, Ordering::Relaxed);
            return;
        };
        let mut state = node.state.lock();
        if !Arc::ptr_eq(&node, spared) {
            state.pieces.drop_data();
        }
        if self.count(&state) > 0 {
            self.order.lock().push_back((first, share));
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
        assert!(kept.order.lock().len() <= 4);
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
        assert_eq!(kept.order.lock().len(), 1);
    }
}
