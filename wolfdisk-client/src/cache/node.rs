//! One inode in memory: its state, the order of its mutations, and the reads that are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    /// Counts the times that the kernel was told to drop something, before and after.
    tellings: AtomicU64,
    /// So many times it is being told now.
    under_way: AtomicU32,
    /// The count of tellings at which the kernel was last shown where the file ends.
    end_shown: AtomicU64,
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
            tellings: AtomicU64::new(0),
            under_way: AtomicU32::new(0),
            end_shown: AtomicU64::new(u64::MAX),
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

    /// The kernel is about to drop its pages as a whole: to be called before it does, so that what is read
    /// meanwhile counts. A read under way may still fill some from what it saw before: then they
    /// count as of no version until the next time.
    pub(crate) fn pages_dropping(&self, state: &mut NodeState) {
        let reading = self.reads.load(Ordering::SeqCst) > 0;
        state.lowest_read = reading.then_some(0);
    }

    /// The kernel did not drop them after all: they count as of no version.
    pub(crate) fn pages_kept(state: &mut NodeState) {
        state.lowest_read = Some(0);
    }

    /// The kernel is about to be told to drop something of this inode: until that is over it takes no answer
    /// about the size for true. Answers that are held back for the end go now, since it waits for them.
    pub(crate) fn telling(&self) -> Telling<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.count_telling();
        Telling(self)
    }

    /// The kernel is being told to drop something right now, and may hold it still.
    pub(crate) fn is_being_told(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > 0
    }

    /// The kernel learns the size from the answer to its own change of it.
    pub(crate) fn size_is_told(&self) {
        let now = self.tellings.load(Ordering::SeqCst);
        self.end_shown.store(now, Ordering::SeqCst);
    }

    fn count_telling(&self) {
        self.state.lock().kernel_told();
        self.tellings.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_all();
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

/// The kernel is being told to drop something, for as long as this lives.
pub(crate) struct Telling<'a>(&'a Node);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        // In this order: who asked meanwhile must see the one or the other.
        self.0.count_telling();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A read whose answer the kernel has not taken yet.
#[derive(Debug)]
pub(crate) struct Reading {
    node: Arc<Node>,
    tellings: u64,
}

impl Reading {
    /// Begins before the state is looked at.
    pub(crate) fn begin(node: &Arc<Node>) -> Reading {
        node.reads.fetch_add(1, Ordering::SeqCst);
        Reading {
            node: node.clone(),
            tellings: node.tellings.load(Ordering::SeqCst),
        }
    }

    /// The kernel has taken the answer, which shows where the file ends. It believes that only if it was
    /// told nothing since it asked.
    pub(crate) fn shown(&self) {
        let now = self.node.tellings.load(Ordering::SeqCst);
        if now != self.tellings || self.node.is_being_told() {
            return;
        }
        if self.node.end_shown.swap(now, Ordering::SeqCst) != now {
            let _state = self.node.state.lock();
            self.node.changed.notify_all();
        }
    }

    /// The kernel knows where the file ends, or is about to ask anew.
    pub(crate) fn is_end_known(&self) -> bool {
        let now = self.node.tellings.load(Ordering::SeqCst);
        now != self.tellings || self.node.end_shown.load(Ordering::SeqCst) == now
    }

    /// Waits until [`Reading::is_end_known`], at the most `deadline`.
    pub(crate) fn wait_end_known(&self, deadline: Duration) {
        let until = Instant::now() + deadline;
        let mut state = self.node.state.lock();
        while !self.is_end_known() {
            if self.node.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.node.reads.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn node() -> Arc<Node> {
        Arc::new(Node::new(Ino(1), NodeState::new(0, 4096)))
    }

    #[test]
    fn an_end_that_was_shown_is_known_until_the_kernel_is_told_something() {
        let node = node();
        let (early, late) = (Reading::begin(&node), Reading::begin(&node));
        assert!(!late.is_end_known());
        early.shown();
        late.wait_end_known(LONG);
        drop(node.telling());
        assert!(!Reading::begin(&node).is_end_known());
    }

    #[test]
    fn an_end_that_was_asked_for_before_or_while_the_kernel_was_told_is_not_believed() {
        let node = node();
        let before = Reading::begin(&node);
        let telling = node.telling();
        let meanwhile = Reading::begin(&node);
        before.shown();
        meanwhile.shown();
        drop(telling);
        meanwhile.shown();
        let after = Reading::begin(&node);
        assert!(!after.is_end_known());
        after.shown();
        assert!(after.is_end_known());
    }

    #[test]
    fn what_is_held_back_goes_when_the_kernel_is_told_something() {
        let node = node();
        let held = Reading::begin(&node);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| held.wait_end_known(LONG));
            drop(node.telling());
            waits.join().expect("joined");
        });
    }
}
