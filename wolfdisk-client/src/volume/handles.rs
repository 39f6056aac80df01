//! Open files by number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::inherit::unkept;
use crate::cache::node::Node;
use crate::cache::state::NodeState;
use crate::error::{Error, Result};
use crate::ledger::{Entry, Ledger, OpenFile};
use crate::limits;
use crate::types::{HandleId, OpenFlags};

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) node: Arc<Node>,
    pub(crate) flags: OpenFlags,
    failures_seen: AtomicU32,
    /// The session that holds locks taken through this handle; 0: none were.
    locked_in: AtomicU64,
    /// Where the last read ended, to recognise sequential ones.
    pub(crate) read_to: AtomicU64,
    /// Its line in the ledger, if there is one.
    entry: Option<Entry>,
}

impl Handle {
    pub(crate) fn new(node: Arc<Node>, flags: OpenFlags) -> Handle {
        let seen = node.state.lock().failures.count;
        Handle {
            node,
            flags,
            failures_seen: AtomicU32::new(seen),
            locked_in: AtomicU64::new(0),
            read_to: AtomicU64::new(0),
            entry: None,
        }
    }

    /// Bytes are about to be buffered: a successor must know if they are lost with this process.
    pub(crate) fn writes(&self) -> Result<()> {
        let marked = self.entry.as_ref().map_or(Ok(()), Entry::writes);
        marked.map_err(|error| unkept(&error))
    }

    /// How many writes there were, for [`Handle::saved`].
    pub(crate) fn written(&self) -> u64 {
        self.entry.as_ref().map_or(0, Entry::written)
    }

    /// The first so many writes are with the daemons.
    pub(crate) fn saved(&self, written: u64) -> Result<()> {
        let entry = self.entry.as_ref();
        let marked = entry.map_or(Ok(()), |entry| entry.saved(written));
        marked.map_err(|error| unkept(&error))
    }

    /// `owner` is about to take a lock.
    pub(crate) fn locks(&self, owner: u64) -> Result<()> {
        let entry = self.entry.as_ref();
        let marked = entry.map_or(Ok(()), |entry| entry.locks(owner));
        marked.map_err(|error| unkept(&error))
    }

    /// A failure of writing back that this handle was not told of yet is told now.
    pub(crate) fn take_failure(&self, state: &NodeState) -> Result<()> {
        let count = state.failures.count;
        if self.failures_seen.swap(count, Ordering::AcqRel) == count {
            return Ok(());
        }
        Err(Error::Refused(state.failures.errno))
    }

    /// The same, and it will be told again.
    pub(crate) fn failure(&self, state: &NodeState) -> Result<()> {
        match self.failures_seen.load(Ordering::Acquire) == state.failures.count {
            true => Ok(()),
            false => Err(Error::Refused(state.failures.errno)),
        }
    }

    /// Locks were taken in `session`.
    pub(crate) fn locked(&self, session: u64) {
        self.locked_in.store(session, Ordering::Release);
    }

    /// Fails for good once the session of its locks is gone: somebody else may hold them now.
    pub(crate) fn check_locks(&self, session: u64) -> Result<()> {
        match self.locked_in.load(Ordering::Acquire) {
            0 => Ok(()),
            locked_in if locked_in == session => Ok(()),
            _ => Err(Error::LocksLost(self.node.ino.0)),
        }
    }
}

/// All open files.
#[derive(Debug)]
pub(crate) struct Handles {
    shards: Vec<Mutex<HashMap<u64, Arc<Handle>>>>,
    /// The next number, where no ledger gives it.
    next: AtomicU64,
    ledger: Option<Arc<Ledger>>,
}

impl Handles {
    /// None yet. With a ledger, all of them are entered there.
    pub(crate) fn new(ledger: Option<Arc<Ledger>>) -> Handles {
        let shards = (0..limits::SHARDS).map(|_| Mutex::default()).collect();
        Handles {
            shards,
            next: AtomicU64::new(1),
            ledger,
        }
    }

    fn shard(&self, id: HandleId) -> Result<&Mutex<HashMap<u64, Arc<Handle>>>> {
        self.shards
            .get(id.0 as usize % limits::SHARDS)
            .ok_or(Error::NoHandle(id.0))
    }

    /// Numbers a handle; numbers are not used again.
    pub(crate) fn insert(&self, mut handle: Handle) -> Result<HandleId> {
        let id = match &self.ledger {
            Some(ledger) => {
                let entry = ledger.enter(handle.node.ino, handle.flags);
                let entry = entry.map_err(|error| unkept(&error))?;
                handle.entry.insert(entry).handle()
            }
            None => HandleId(self.next.fetch_add(1, Ordering::Relaxed)),
        };
        self.shard(id)?.lock().insert(id.0, Arc::new(handle));
        Ok(id)
    }

    /// A file that a predecessor had open, under the number that the kernel knows.
    pub(crate) fn restore(&self, open: OpenFile, mut handle: Handle) -> Result<()> {
        handle.entry = self.ledger.as_ref().map(|ledger| ledger.entry(open));
        let shard = self.shard(open.handle)?;
        shard.lock().insert(open.handle.0, Arc::new(handle));
        Ok(())
    }

    /// Takes each lock and lets go of it.
    pub(crate) fn pass_locks(&self) {
        self.shards.iter().for_each(|shard| drop(shard.lock()));
    }

    /// How many files are open.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// No file is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().is_empty())
    }

    /// The open file.
    pub(crate) fn get(&self, id: HandleId) -> Result<Arc<Handle>> {
        self.shard(id)?
            .lock()
            .get(&id.0)
            .cloned()
            .ok_or(Error::NoHandle(id.0))
    }

    /// Closes it.
    pub(crate) fn remove(&self, id: HandleId) -> Result<Arc<Handle>> {
        let removed = self.shard(id)?.lock().remove(&id.0);
        let handle = removed.ok_or(Error::NoHandle(id.0))?;
        if let Some(entry) = &handle.entry
            && let Err(error) = entry.close()
        {
            tracing::warn!(ino = handle.node.ino.0, %error, "a closed file stays in the ledger");
        }
        Ok(handle)
    }
}
