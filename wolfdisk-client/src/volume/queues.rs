//! Work that is done in the background: files to commit, full chunks to store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::cache::node::Node;
use crate::limits;

/// Files that wait to be committed, those first that were dirty first.
#[derive(Debug, Default)]
pub(crate) struct CommitQueue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    later: VecDeque<(Instant, Arc<Node>)>,
    now: VecDeque<Arc<Node>>,
    /// Everything due by then is due now.
    hurry: Option<Instant>,
    stopped: bool,
}

impl CommitQueue {
    /// To be committed at `due`; dues only grow.
    pub(crate) fn push(&self, due: Instant, node: Arc<Node>) {
        let mut state = self.state.lock();
        state.later.push_back((due, node));
        // Behind another the thread will wake up early enough: every write would wake it for nothing.
        if state.later.len() == 1 {
            self.changed.notify_all();
        }
    }

    /// To be committed at once.
    pub(crate) fn push_now(&self, node: Arc<Node>) {
        self.state.lock().now.push_back(node);
        self.changed.notify_all();
    }

    /// Memory is short: everything that waits now is due.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        state.hurry = state.later.back().map(|(due, _)| *due).max(state.hurry);
        drop(state);
        self.changed.notify_all();
    }

    /// No more work is given out.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// The next file that is due; waits for one. None when stopped.
    pub(crate) fn next(&self) -> Option<Arc<Node>> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(node) = state.now.pop_front() {
                return Some(node);
            }
            let due = state.later.front().map(|(due, _)| *due);
            let soon = Instant::now() + limits::WRITE_BACK_EARLY;
            match due {
                Some(due) if state.hurry >= Some(due) || due <= soon => {
                    return state.later.pop_front().map(|(_, node)| node);
                }
                Some(due) => drop(self.changed.wait_until(&mut state, due)),
                None => self.changed.wait(&mut state),
            }
        }
    }
}

/// Work that is due at once. Bounded by what makes it: the budget of dirty bytes for chunks to be
/// stored, the daemon's queue for invalidations.
#[derive(Debug)]
pub(crate) struct WorkQueue<T> {
    state: Mutex<(VecDeque<T>, bool)>,
    changed: Condvar,
}

impl<T> Default for WorkQueue<T> {
    fn default() -> Self {
        WorkQueue {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl<T> WorkQueue<T> {
    /// Queues one.
    pub(crate) fn push(&self, work: T) {
        self.state.lock().0.push_back(work);
        self.changed.notify_one();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().0.len()
    }

    /// No more work is given out.
    pub(crate) fn stop(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }

    /// The next one; waits for it. None when stopped.
    pub(crate) fn next(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if state.1 {
                return None;
            }
            if let Some(work) = state.0.pop_front() {
                return Some(work);
            }
            self.changed.wait(&mut state);
        }
    }
}
