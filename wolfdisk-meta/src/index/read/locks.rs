//! Locks: who holds what, and who stands in the way.

use wolfdisk_common::ids::{Ino, SessionId};

use crate::index::Index;
use crate::index::key::{self, Key};
use crate::index::op::LockMode;
use crate::index::record::Lock;
use crate::index::records::{Read, Records};
use crate::index::table::TableError;

/// A lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of the lock record and its key"
)]
pub struct HeldLock {
    pub session: SessionId,
    pub owner: u64,
    pub start: u64,
    /// Inclusive.
    pub end: u64,
    pub exclusive: bool,
    pub pid: u32,
}

impl HeldLock {
    /// It is `session`'s `owner`'s.
    pub fn is_of(&self, session: SessionId, owner: u64) -> bool {
        self.session == session && self.owner == owner
    }

    /// It stands in the way of somebody else's lock of `mode` on `[start, end]`.
    pub fn bars(&self, mode: LockMode, start: u64, end: u64) -> bool {
        let overlaps = self.start <= end && start <= self.end;
        overlaps
            && match mode {
                LockMode::Read => self.exclusive,
                LockMode::Write => true,
                LockMode::Unlock => false,
            }
    }
}

/// All locks on an inode, in the order of sessions, owners and starts.
pub(crate) fn locks_of(records: &impl Read, ino: Ino) -> Result<Vec<HeldLock>, TableError> {
    let mut found = Vec::new();
    records.each(&key::locks(ino), |key, lock: Lock| {
        if let Key::Lock {
            session,
            owner,
            start,
            ..
        } = key
        {
            let Lock {
                end,
                exclusive,
                pid,
                ..
            } = lock;
            found.push(HeldLock {
                session,
                owner,
                start,
                end,
                exclusive,
                pid,
            });
        }
        true
    })?;
    Ok(found)
}

impl<R: Records> Index<R> {
    /// All locks on an inode.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn locks(&self, ino: Ino) -> Result<Vec<HeldLock>, TableError> {
        locks_of(self.records(), ino)
    }

    /// The first lock that keeps `session`'s `owner` from a lock of `mode` on `[start, end]`.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn lock_conflict(
        &self,
        ino: Ino,
        session: SessionId,
        owner: u64,
        mode: LockMode,
        start: u64,
        end: u64,
    ) -> Result<Option<HeldLock>, TableError> {
        let bars = |lock: &HeldLock| !lock.is_of(session, owner) && lock.bars(mode, start, end);
        Ok(self.locks(ino)?.into_iter().find(bars))
    }

    /// Inodes that a session has locks on.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn locked_by(&self, session: SessionId) -> Result<Vec<Ino>, TableError> {
        let keys = self
            .records()
            .keys(&key::session_locks(session), usize::MAX)?;
        Ok(keys
            .into_iter()
            .filter_map(|key| match key {
                Key::SessionLock { ino, .. } => Some(ino),
                _ => None,
            })
            .collect())
    }
}
