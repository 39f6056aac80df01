//! Requests for advisory locks; see [`crate::locks`].

use std::sync::Arc;

use fuser::{ReplyEmpty, ReplyLock};
use wolfdisk_client::{Error, HandleId, LockRequest, LockWait, Result};
use wolfdisk_common::ids::Ino;

use super::{Adapter, answer};
use crate::caller::Caller;
use crate::locks::{self, described, interruption};

impl Adapter {
    pub(super) fn test_lock(
        &self,
        ino: Ino,
        handle: HandleId,
        lock: LockRequest,
        reply: ReplyLock,
    ) {
        let left = self.volume.lock_owners_left(handle);
        let result = self.volume.get_lock(handle, lock, LockWait::No);
        if !matches!(result, Ok(Some(_))) || !self.volume.lock_may_go(handle, lock.owner, left) {
            return tell_holder(ino, reply, result);
        }
        let volume = Arc::clone(&self.volume);
        self.waiters.wait(reply, move |reply| {
            let result = volume.get_lock(handle, lock, LockWait::Closed);
            tell_holder(ino, reply, result);
        });
    }

    /// Takes a lock that is free at once; one that is not is waited for elsewhere, if at all.
    pub(super) fn take_lock(
        &self,
        handle: HandleId,
        lock: LockRequest,
        waits: bool,
        caller: Caller,
        reply: ReplyEmpty,
    ) {
        let left = self.volume.lock_owners_left(handle);
        let result = self.volume.set_lock(handle, lock, LockWait::No, &|| false);
        let wait = match &result {
            Err(Error::Refused(libc::EAGAIN)) if waits => LockWait::Free,
            Err(Error::Refused(libc::EAGAIN))
                if self.volume.lock_may_go(handle, lock.owner, left) =>
            {
                LockWait::Closed
            }
            _ => return locks::answer(reply, result),
        };
        let volume = Arc::clone(&self.volume);
        self.waiters.wait(reply, move |reply| {
            let result = volume.set_lock(handle, lock, wait, &interruption(caller));
            locks::answer(reply, result);
        });
    }
}

fn tell_holder(ino: Ino, reply: ReplyLock, result: Result<Option<LockRequest>>) {
    match result {
        Ok(Some(holder)) => {
            let (typ, (start, end)) = described(&holder);
            reply.locked(start, end, typ, holder.pid);
        }
        Ok(None) => reply.locked(0, 0, libc::F_UNLCK, 0),
        Err(error) => answer::failed(reply, "getlk", ino.0, &error),
    }
}
