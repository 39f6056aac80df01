//! One inode in memory: its state, the order of its mutations, and the reads that are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::{Condvar, Mutex};
use wolfdisk_common::ids::Ino;

use super::state::NodeState;

/// See the module. Order of locks: `commit`, then `state`. `commit` is held across calls, `state` never.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) ino: Ino,
    pub(crate) state: Mutex<NodeState>,
    /// Something of `state` that others wait for has changed.
    pub(crate) changed: Condvar,
    /// Mutations of the content leave one at a time, in order.
    pub(crate) commit: Mutex<()>,
    reads: AtomicU32,
    referenced: AtomicBool,
}

impl Node {
    pub(crate) fn new(ino: Ino, state: NodeState) -> Node {
        Node {
            ino,
            state: Mutex::new(state),
            changed: Condvar::new(),
            commit: Mutex::new(()),
            reads: AtomicU32::new(0),
            referenced: AtomicBool::new(true),
        }
    }

    /// It was used; it will be spared once when room is needed.
    pub(crate) fn touch(&self) {
        self.referenced.store(true, Ordering::Relaxed);
    }

    /// Whether it was used since the last such question.
    pub(crate) fn take_touched(&self) -> bool {
        self.referenced.swap(false, Ordering::Relaxed)
    }

    /// The kernel's pages are being dropped as a whole. A read under way may still fill some from what
    /// it saw before: then they count as of no version until the next time.
    pub(crate) fn pages_dropped(&self, state: &mut NodeState) {
        let reading = self.reads.load(Ordering::SeqCst) > 0;
        state.lowest_read = reading.then_some(0);
    }

    /// Pages of content `version` may get into the kernel's cache.
    pub(crate) fn pages_filled(state: &mut NodeState, version: u64) {
        state.lowest_read = Some(
            state
                .lowest_read
                .map_or(version, |lowest| lowest.min(version)),
        );
    }
}

/// A read whose answer the kernel has not taken yet.
#[derive(Debug)]
pub(crate) struct Reading(Arc<Node>);

impl Reading {
    /// Begins before the state is looked at.
    pub(crate) fn begin(node: &Arc<Node>) -> Reading {
        node.reads.fetch_add(1, Ordering::SeqCst);
        Reading(node.clone())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.reads.fetch_sub(1, Ordering::SeqCst);
    }
}
