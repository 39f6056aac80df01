//! Taking over a mount whose front-end ended: its open files, its locks, what it left unfinished.
//!
//! Rights are not inherited: the session is like one that was found after a restart of wolfdisk-meta, and
//! the kernel is told to drop the pages of all files that are open. Those of others go when they are opened;
//! names and attributes were given for no longer than a lease, and for so long others wait.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;
use wolfdisk_proto::v1::mutate_request::Op;

use super::Volume;
use super::handles::Handle;
use crate::convert;
use crate::error::{Error, Result};
use crate::ledger::{Estate, OpenFile};
use crate::lock::{LockKind, LockRequest};
use crate::session::{Inherited, Manner};

impl Volume {
    /// Before anything is served.
    pub(super) fn inherit(&self, estate: &Estate, inherited: &Inherited) -> Result<()> {
        let _ = self
            .kernel_forgets
            .set(Instant::now() + Duration::from_millis(LEASE_MS));
        let orphans: HashSet<u64> = inherited.orphans.iter().copied().collect();
        let locked_in = if inherited.taken_over {
            self.session.identity().session
        } else {
            estate.session
        };
        let mut by_ino: HashMap<u64, Vec<&OpenFile>> = HashMap::new();
        for open in &estate.open {
            by_ino.entry(open.ino.0).or_default().push(open);
            let node = self.node(open.ino);
            {
                let mut state = node.state.lock();
                state.opens += 1;
                // It may have lost its last name without this process knowing.
                state.tell_release = true;
                state.orphan |= orphans.contains(&open.ino.0);
                state.locked_at = inherited.version;
            }
            let handle = Handle::new(node, open.flags);
            if open.owner != 0 {
                handle.locked(locked_in);
            }
            self.handles.restore(*open, handle)?;
        }
        for (ino, open) in &by_ino {
            if !estate.clean && open.iter().any(|open| open.unsaved) {
                // Each handle of the file is told once, as by Linux of pages that were lost.
                let node = self.node(Ino(*ino));
                node.state.lock().fail(libc::EIO);
            }
        }
        for (ino, owner) in &inherited.locks {
            match by_ino.get(ino) {
                Some(open) => self.inherit_lock(Ino(*ino), *owner, open),
                None => self.end_lock(Ino(*ino), *owner)?,
            }
        }
        let closed = orphans
            .into_iter()
            .filter(|ino| !by_ino.contains_key(ino))
            .map(Ino);
        self.closing.lock().release(closed);
        Ok(())
    }

    /// Through which handles a lock was taken is known of the last one; of others it may be any.
    fn inherit_lock(&self, ino: Ino, owner: u64, open: &[&OpenFile]) {
        let node = self.node(ino);
        let mut state = node.state.lock();
        let known = open.iter().any(|open| open.owner == owner);
        for open in open.iter().filter(|open| !known || open.owner == owner) {
            state.lock_owners.took(owner, open.handle);
        }
    }

    /// Its file is closed, and the word of that got lost.
    fn end_lock(&self, ino: Ino, owner: u64) -> Result<()> {
        let lock = LockRequest {
            owner,
            kind: LockKind::Unlock,
            start: 0,
            end: u64::MAX,
            pid: 0,
        };
        let op = Op::Lock(convert::set_lock(ino, &lock, 0));
        match self.session.mutate(&op, Manner::default()) {
            Ok(_) | Err(Error::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The ledger could not be written.
pub(super) fn unkept(error: &io::Error) -> Error {
    Error::system("keeping an open file in mind", error)
}
