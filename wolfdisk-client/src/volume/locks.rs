//! Advisory locks. Taking one revalidates the file's content, releasing one writes back first: that is
//! what makes locked access coherent between mounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wolfdisk_proto::v1::GetLockRequest;
use wolfdisk_proto::v1::mutate_request::Op;

use super::Volume;
use super::follow::tell;
use super::handles::Handle;
use crate::cache::node::Node;
use crate::convert;
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::limits;
use crate::lock::{LockKind, LockRequest, LockWait};
use crate::session::Manner;
use crate::types::HandleId;

impl Volume {
    /// Sets or releases a lock. Waiting ends when `interrupted` says so.
    ///
    /// # Errors
    /// `EAGAIN` at a conflict unless it waits until the lock is free, `EINTR`, `EDEADLK`.
    pub fn set_lock(
        &self,
        id: HandleId,
        lock: LockRequest,
        wait: LockWait,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<()> {
        let handle = self.handles.get(id)?;
        let node = &handle.node;
        if lock.kind == LockKind::Unlock {
            // A failure of writing back is told here, but the lock is released all the same.
            let saved = self.save(&handle, false);
            self.send_lock(&handle, &lock, 0)?;
            return saved.map(|_| ());
        }
        if lock.kind == LockKind::Read && node.state.lock().is_locked() {
            // It may be an exclusive lock that is given up for a shared one.
            self.save(&handle, false)?;
        }
        self.enter(node, id, lock.owner)?;
        handle.locks(lock.owner)?;
        let wait_ms = match wait {
            LockWait::Free => limits::LOCK_WAIT_MS,
            LockWait::No | LockWait::Closed => 0,
        };
        let until = Instant::now() + limits::CLOSED_LOCK_GRACE;
        loop {
            let left = node.state.lock().lock_owners.left();
            let refused = match self.send_lock(&handle, &lock, wait_ms) {
                Ok(()) => return self.revalidate(node),
                Err(Error::Refused(libc::EAGAIN)) => Error::Refused(libc::EAGAIN),
                Err(error) => return Err(error),
            };
            match wait {
                LockWait::Free if interrupted() || self.session.is_stopped() => {
                    return Err(Error::Interrupted);
                }
                LockWait::Free => {}
                LockWait::Closed if somebody_leaves(node, lock.owner, left, until) => {}
                LockWait::Closed | LockWait::No => return Err(refused),
            }
        }
    }

    /// Counts `owner` in before its lock is asked for, so that the release of another handle leaves it
    /// alone; waits while that of an earlier owner with this number is under way.
    fn enter(&self, node: &Node, id: HandleId, owner: u64) -> Result<()> {
        let until = Instant::now() + limits::CALL_DEADLINE;
        let mut state = node.state.lock();
        while state.lock_owners.is_leaving(owner) {
            if node.changed.wait_until(&mut state, until).timed_out() {
                return Err(Error::Refused(libc::EIO));
            }
        }
        state.lock_owners.took(owner, id);
        Ok(())
    }

    /// How many have left the file so far, for [`Volume::lock_may_go`].
    pub fn lock_owners_left(&self, id: HandleId) -> u64 {
        let handle = self.handles.get(id);
        handle.map_or(0, |handle| handle.node.state.lock().lock_owners.left())
    }

    /// Whether who was in the way of `owner` has left since `left` was asked for, or may have closed the
    /// file: worth [`LockWait::Closed`].
    pub fn lock_may_go(&self, id: HandleId, owner: u64, left: u64) -> bool {
        self.handles.get(id).is_ok_and(|handle| {
            let owners = &handle.node.state.lock().lock_owners;
            owners.left() != left || owners.others_may_leave(owner)
        })
    }

    fn send_lock(&self, handle: &Handle, lock: &LockRequest, wait_ms: u32) -> Result<()> {
        let op = Op::Lock(convert::set_lock(handle.node.ino, lock, wait_ms));
        let (reply, asked) = self.session.mutate(&op, Manner::default())?;
        if lock.kind != LockKind::Unlock {
            handle.check_locks(asked.session)?;
            handle.locked(asked.session);
            let mut state = handle.node.state.lock();
            state.locked_at = state.locked_at.max(reply.version);
        }
        Ok(())
    }

    /// Before the lock is anybody's to rely on, the kernel drops what it may hold of another content than
    /// the file has now. Here, not later: see [`Volume::drop_pages_soon`].
    fn revalidate(&self, node: &Arc<Node>) -> Result<()> {
        let lease = &self.session.lease;
        let known = node.state.lock().current_content(lease);
        let current = match known {
            Some(_) => known,
            None => Some(self.ask_attr(node.ino)?.0.content_version.0),
        };
        let stale = {
            let state = node.state.lock();
            state.may_hold_others(current) || state.pages_doomed || node.is_being_told()
        };
        let listener = self.listener.read().clone();
        let Some(listener) = listener.filter(|_| stale) else {
            return Ok(());
        };
        // Nobody holds a folio of this file while it asks for a lock, so waiting here is safe.
        let told = node.clone();
        let dropped = Arc::new(AtomicBool::new(false));
        let outcome = dropped.clone();
        self.notices.run(limits::REVALIDATE_DEADLINE, move || {
            // Somebody who got a lock at the same time may have seen to it, and reads by now.
            let stale = told.state.lock().may_hold_others(current);
            let result = match stale {
                true => tell(listener.as_ref(), &told, true),
                false => Ok(()),
            };
            match result {
                Ok(()) => outcome.store(true, Ordering::Release),
                Err(error) => {
                    tracing::warn!(ino = %told.ino, %error, "the kernel kept pages of a locked file");
                }
            }
        });
        if dropped.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(Error::Refused(libc::EIO))
        }
    }

    /// A descriptor was closed: releases whatever `owner` holds on the file; no call if that is nothing.
    pub(super) fn unlock_closed(&self, id: HandleId, handle: &Handle, owner: u64) -> Result<()> {
        if !handle.node.state.lock().lock_owners.closed(owner, id) {
            return Ok(());
        }
        self.unlock_all(handle, owner)
    }

    /// The handle is closed: releases the locks of those who took theirs through no other.
    pub(super) fn unlock_released(&self, id: HandleId, handle: &Handle) -> Result<()> {
        let leaving = handle.node.state.lock().lock_owners.released(id);
        let mut first = Ok(());
        for owner in leaving {
            first = first.and(self.unlock_all(handle, owner));
        }
        first
    }

    /// Releases all locks of an owner that is gone. If the daemon cannot be told now it is told later: nobody else
    /// could ever release them.
    fn unlock_all(&self, handle: &Handle, owner: u64) -> Result<()> {
        let left = LeftLock {
            node: handle.node.clone(),
            owner,
            session: self.session.identity().session,
        };
        let unlocked = self.unlock_left(&left);
        if unlocked.is_err() {
            self.left_locks.lock().push(left);
        }
        unlocked
    }

    /// Tells the daemon of the locks that it could not be told of before.
    pub(super) fn unlock_again(&self) {
        let mut left = std::mem::take(&mut *self.left_locks.lock()).into_iter();
        while let Some(lock) = left.next() {
            if let Err(error) = self.unlock_left(&lock) {
                tracing::debug!(ino = lock.node.ino.0, %error, "locks of a closed file are held still");
                // The daemon is silent: each of the others would wait as long.
                let mut again = self.left_locks.lock();
                again.push(lock);
                again.extend(left);
                return;
            }
        }
    }

    fn unlock_left(&self, left: &LeftLock) -> Result<()> {
        let LeftLock {
            node,
            owner,
            session,
        } = left;
        // With a session its locks have gone.
        if *session == self.session.identity().session {
            let lock = LockRequest {
                owner: *owner,
                kind: LockKind::Unlock,
                start: 0,
                end: u64::MAX,
                pid: 0,
            };
            let op = Op::Lock(convert::set_lock(node.ino, &lock, 0));
            self.session.mutate(&op, Manner::default())?;
        }
        node.state.lock().lock_owners.gone(*owner);
        node.changed.notify_all();
        self.drop_pages_read_under_locks(node);
        Ok(())
    }

    /// Locks on the file are gone: see [`Volume::drop_pages_soon`].
    fn drop_pages_read_under_locks(&self, node: &Arc<Node>) {
        let current = node.state.lock().current_content(&self.session.lease);
        if node.state.lock().may_hold_others(current) {
            self.drop_pages_soon(node);
        }
    }

    /// A lock that conflicts with `lock`, if there is one.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn get_lock(
        &self,
        id: HandleId,
        lock: LockRequest,
        wait: LockWait,
    ) -> Result<Option<LockRequest>> {
        let handle = self.handles.get(id)?;
        let until = Instant::now() + limits::CLOSED_LOCK_GRACE;
        loop {
            let left = handle.node.state.lock().lock_owners.left();
            let holder = self.ask_lock(&handle, &lock)?;
            let again = holder.is_some()
                && wait != LockWait::No
                && somebody_leaves(&handle.node, lock.owner, left, until);
            if !again {
                return Ok(holder);
            }
        }
    }

    fn ask_lock(&self, handle: &Handle, lock: &LockRequest) -> Result<Option<LockRequest>> {
        let wanted = convert::set_lock(handle.node.ino, lock, 0);
        let request = |session| GetLockRequest {
            session,
            lock: Some(wanted),
        };
        let (reply, _) =
            self.session
                .ask(Counter::GetLock, request, |meta, options, request| {
                    meta.get_lock(options, request)
                })?;
        let holder = reply.holder.filter(|_| reply.conflict);
        Ok(holder.map(|holder| convert::held_lock(&holder, reply.same_session)))
    }
}

/// Locks of an owner that is gone, which the daemon has yet to be told of.
#[derive(Debug)]
pub(super) struct LeftLock {
    node: Arc<Node>,
    owner: u64,
    /// The session that holds them.
    session: u64,
}

/// Waits for those in the way of `owner` who may have closed the file, until `until`; for those who have, as
/// long as it takes: their calls have a deadline. True when somebody has left since `left` was read.
fn somebody_leaves(node: &Node, owner: u64, left: u64, until: Instant) -> bool {
    let mut state = node.state.lock();
    loop {
        if state.lock_owners.left() != left {
            return true;
        }
        if Instant::now() >= until {
            state.lock_owners.nobody_closed();
        }
        if !state.lock_owners.others_may_leave(owner) {
            return false;
        }
        let slice = Instant::now() + limits::CLOSED_LOCK_GRACE;
        node.changed.wait_until(&mut state, slice);
    }
}
