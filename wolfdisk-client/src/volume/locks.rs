//! Advisory locks. Taking one revalidates the file's content, releasing one writes back first: that is
//! what makes locked access coherent between mounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wolfdisk_proto::v1::GetLockRequest;
use wolfdisk_proto::v1::mutate_request::Op;

use super::Volume;
use super::handles::Handle;
use crate::cache::node::Node;
use crate::cache::state::{ATTR, DATA};
use crate::convert;
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::limits;
use crate::lock::{LockKind, LockRequest};
use crate::session::Manner;
use crate::types::HandleId;

impl Volume {
    /// Sets or releases a lock; with `wait` until it is free or `interrupted` says so.
    ///
    /// # Errors
    /// `EAGAIN` at a conflict without `wait`, `EINTR`, `EDEADLK`.
    pub fn set_lock(
        &self,
        id: HandleId,
        lock: LockRequest,
        wait: bool,
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
        let before = node.state.lock().pieces_version();
        let wait_ms = if wait { limits::LOCK_WAIT_MS } else { 0 };
        loop {
            match self.send_lock(&handle, &lock, wait_ms) {
                Err(Error::Refused(libc::EAGAIN)) if wait => {
                    if interrupted() || self.session.is_stopped() {
                        return Err(Error::Interrupted);
                    }
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.revalidate(node, before)
    }

    fn send_lock(&self, handle: &Handle, lock: &LockRequest, wait_ms: u32) -> Result<()> {
        let op = Op::Lock(convert::set_lock(handle.node.ino, lock, wait_ms));
        let (_, asked) = self.session.mutate(&op, Manner::default())?;
        if lock.kind != LockKind::Unlock {
            handle.check_locks(asked.session)?;
            handle.locked(asked.session);
            handle.node.state.lock().lock_owners.insert(lock.owner);
        }
        Ok(())
    }

    /// Before the lock is anybody's to rely on, what was cached without a right is compared with what
    /// the file holds now.
    fn revalidate(&self, node: &Arc<Node>, before: u64) -> Result<()> {
        let current = {
            let state = node.state.lock();
            state.attr.is_some() && state.has(ATTR | DATA, &self.session.lease)
        };
        if current {
            return Ok(());
        }
        let (attr, _) = self.ask_attr(node.ino)?;
        let pages = node.state.lock().lowest_read;
        let changed =
            attr.content_version.0 != before || pages.is_some_and(|pages| pages != before);
        if !changed {
            return Ok(());
        }
        // Nobody holds a folio of this file while it asks for a lock, so waiting here is safe.
        let listener = self.listener.read().clone();
        let Some(listener) = listener else {
            return Ok(());
        };
        let told = node.clone();
        let dropped = Arc::new(AtomicBool::new(false));
        let outcome = dropped.clone();
        self.notices.run(limits::NOTIFY_DEADLINE, move || {
            if let Err(error) = listener.invalidate_inode(told.ino, true) {
                tracing::warn!(ino = told.ino.0, %error, "the kernel kept pages of a locked file");
                return;
            }
            let mut state = told.state.lock();
            told.pages_dropped(&mut state);
            outcome.store(true, Ordering::Release);
        });
        if dropped.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(Error::Refused(libc::EIO))
        }
    }

    /// Releases whatever `owner` holds on the file; no call if that is nothing.
    pub(super) fn unlock_all(&self, handle: &Handle, owner: u64) -> Result<()> {
        if !handle.node.state.lock().lock_owners.remove(&owner) {
            return Ok(());
        }
        let kind = LockKind::Unlock;
        let lock = LockRequest {
            owner,
            kind,
            start: 0,
            end: u64::MAX,
            pid: 0,
        };
        self.send_lock(handle, &lock, 0)
    }

    /// A lock that conflicts with `lock`, if there is one.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn get_lock(&self, id: HandleId, lock: LockRequest) -> Result<Option<LockRequest>> {
        let handle = self.handles.get(id)?;
        let wanted = convert::set_lock(handle.node.ino, &lock, 0);
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
