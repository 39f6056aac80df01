//! Requests for advisory locks; see [`crate::locks`].

use std::sync::Arc;

use fuser::{ReplyEmpty, ReplyLock};
use wolfdisk_client::{Error, HandleId, LockRequest};
use wolfdisk_common::ids::Ino;

use super::{Adapter, answer};
use crate::caller::Caller;
use crate::locks::{self, described};

impl Adapter {
    pub(super) fn test_lock(
        &self,
        ino: Ino,
        handle: HandleId,
        lock: LockRequest,
        reply: ReplyLock,
    ) {
        match self.volume.get_lock(handle, lock) {
            Ok(Some(holder)) => {
                let (typ, (start, end)) = described(&holder);
                reply.locked(start, end, typ, holder.pid);
            }
            Ok(None) => reply.locked(0, 0, libc::F_UNLCK, 0),
            Err(error) => answer::failed(reply, "getlk", ino.0, &error),
        }
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
        match self.volume.set_lock(handle, lock, false, &|| false) {
            Err(Error::Refused(libc::EAGAIN)) if waits => {
                self.waiters
                    .wait(Arc::clone(&self.volume), handle, lock, caller, reply);
            }
            result => locks::answer(reply, result),
        }
    }
}
