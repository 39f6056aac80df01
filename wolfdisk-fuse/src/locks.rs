//! Advisory locks between the kernel and the volume, and the threads on which lock requests wait.
//!
//! A request that has to wait never holds a thread that answers other requests: it moves, with its
//! reply, to a thread of its own. The library does not hand on the kernel's INTERRUPT, so that thread
//! looks itself whether who waits was sent a signal.
//!
//! The library does not tell `flock` from `fcntl` either: a `flock` is a lock of the whole file by its own
//! owner, and the two kinds exclude each other, as on NFS.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fuser::{Errno, ReplyEmpty};
use wolfdisk_client::{Error, LockKind, LockRequest};

use crate::adapter::Refuse;
use crate::caller::Caller;
use crate::errno;
use crate::limits::{INTERRUPT_CHECK, LOCK_WAITERS_MAX, WAITER_STACK_BYTES};
use crate::outcome::Outcome;

/// The kernel's end of a lock that reaches to the end of the file, whatever that will be.
const KERNEL_END: u64 = i64::MAX as u64;

/// The lock that the kernel describes.
///
/// # Errors
/// `EINVAL` for a type that is none.
pub fn request(owner: u64, typ: i32, range: (u64, u64), pid: u32) -> Result<LockRequest, Errno> {
    let kind = match typ {
        libc::F_RDLCK => LockKind::Read,
        libc::F_WRLCK => LockKind::Write,
        libc::F_UNLCK => LockKind::Unlock,
        _ => return Err(Errno::EINVAL),
    };
    let end = if range.1 >= KERNEL_END {
        u64::MAX
    } else {
        range.1
    };
    Ok(LockRequest {
        owner,
        kind,
        start: range.0,
        end,
        pid,
    })
}

/// The type and range of a lock as the kernel describes it.
pub fn described(lock: &LockRequest) -> (i32, (u64, u64)) {
    let typ = match lock.kind {
        LockKind::Read => libc::F_RDLCK,
        LockKind::Write => libc::F_WRLCK,
        LockKind::Unlock => libc::F_UNLCK,
    };
    (typ, (lock.start.min(KERNEL_END), lock.end.min(KERNEL_END)))
}

/// Counts the threads that wait.
#[derive(Clone, Debug, Default)]
pub struct Waiters {
    count: Arc<AtomicUsize>,
}

/// One that waits; leaves the count when dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Waiters {
    /// Lets `work`, which may wait, answer `reply` on a thread of its own. `ENOLCK` if too many wait.
    pub fn wait<R: Refuse + Send + 'static>(
        &self,
        reply: R,
        work: impl FnOnce(R) + Send + 'static,
    ) {
        let Some(place) = self.enter() else {
            return reply.refuse(Errno::ENOLCK);
        };
        // The reply goes along; if there is no thread it is dropped, which answers with an error.
        let spawned = std::thread::Builder::new()
            .name("lock-waiter".to_owned())
            .stack_size(WAITER_STACK_BYTES)
            .spawn(move || {
                let _place = place;
                work(reply);
            });
        match spawned {
            Ok(_) => Outcome::Later.note(),
            Err(error) => {
                Outcome::Failed.note();
                tracing::warn!(%error, "no thread for a lock request that has to wait");
            }
        }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Option<Place> {
        let before = self.count.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(&self.count));
        (before < LOCK_WAITERS_MAX).then_some(place)
    }
}

/// Answers a request for a lock.
pub fn answer(reply: ReplyEmpty, result: Result<(), Error>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.refuse(errno::errno(&error)),
    }
}

/// Whether `caller` was interrupted; looks no more often than [`INTERRUPT_CHECK`], however often it is
/// asked.
pub fn interruption(caller: Caller) -> impl Fn() -> bool {
    let looked = Cell::new(Instant::now());
    move || {
        if looked.get().elapsed() < INTERRUPT_CHECK {
            return false;
        }
        looked.set(Instant::now());
        caller.is_interrupted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_survives_the_way_there_and_back() {
        for (typ, range) in [
            (libc::F_RDLCK, (0, KERNEL_END)),
            (libc::F_WRLCK, (10, 19)),
            (libc::F_UNLCK, (0, 0)),
        ] {
            let lock = request(1, typ, range, 2).expect("a lock");
            assert_eq!(described(&lock), (typ, range));
        }
        assert_eq!(
            request(1, libc::F_WRLCK, (0, KERNEL_END), 2).map(|lock| lock.end),
            Ok(u64::MAX)
        );
        assert!(request(1, 77, (0, 1), 2).is_err());
    }

    #[test]
    fn no_more_wait_than_may() {
        let waiters = Waiters::default();
        let places: Vec<_> = (0..LOCK_WAITERS_MAX).map(|_| waiters.enter()).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(waiters.enter().is_none());
        assert_eq!(waiters.count(), LOCK_WAITERS_MAX);
        drop(places);
        assert!(waiters.enter().is_some());
    }
}
