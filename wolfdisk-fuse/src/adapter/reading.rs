//! Reading, and how the kernel learns from the answers where a file ends.
//!
//! When another mount has cut a file that is open here, this kernel learns the new size from the first
//! answer that is shorter than was asked for. With readahead it asks for several places at once. An
//! answer from beyond the end is empty, and the kernel takes the place asked for as the end; an answer that
//! shows the true end and comes after it is not believed any more, and programs would read zeroes behind
//! the end. So an empty answer from beyond the end is held back until one that shows the end has been
//! taken, which is on its way in all likelihood: readahead asks in order.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuser::ReplyData;
use wolfdisk_client::{HandleId, ReadData};
use wolfdisk_common::ids::Ino;

use super::Adapter;
use super::answer::failed;
use crate::limits::{BEYOND_END_DEADLINE, BEYOND_END_MAX, WAITER_STACK_BYTES};

thread_local! {
    /// Where a read that comes in several pieces is put together. Grows to the largest read, once for
    /// each thread that answers requests.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Adapter {
    pub(super) fn read_file(
        &self,
        ino: Ino,
        handle: HandleId,
        (offset, size): (u64, u32),
        raw: i32,
        reply: ReplyData,
    ) {
        self.times.read(handle);
        let data = match self.volume.read(handle, offset, size as usize) {
            Ok(data) => data,
            Err(error) => return failed(reply, "read", ino.0, &error),
        };
        // What bypasses the page cache tells the kernel nothing.
        let cached = raw & libc::O_DIRECT == 0 && !self.may_bypass(raw);
        if cached && data.misleads() {
            return self.beyond.hold_back(data, reply);
        }
        SCRATCH.with_borrow_mut(|scratch| match data.contiguous(scratch) {
            Ok(bytes) => reply.data(bytes),
            Err(error) => failed(reply, "read", ino.0, &error),
        });
        if cached {
            data.taken();
        }
    }
}

/// Counts the answers from beyond the end that are held back, each by a thread of its own: those that
/// answer requests are needed for the answer that it waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Beyond {
    count: Arc<AtomicUsize>,
}

impl Beyond {
    /// Answers `reply` with nothing, which is what `data` holds, when that does not mislead any more.
    fn hold_back(&self, data: ReadData, reply: ReplyData) {
        let count = self.count.clone();
        if count.fetch_add(1, Ordering::AcqRel) >= BEYOND_END_MAX {
            count.fetch_sub(1, Ordering::AcqRel);
            return reply.data(&[]);
        }
        // The reply goes along; if there is no thread it is dropped, which answers with an error.
        let spawned = std::thread::Builder::new()
            .name("beyond-end".to_owned())
            .stack_size(WAITER_STACK_BYTES)
            .spawn(move || {
                data.wait_for_end(BEYOND_END_DEADLINE);
                reply.data(&[]);
                drop(data);
                count.fetch_sub(1, Ordering::AcqRel);
            });
        if let Err(error) = spawned {
            self.count.fetch_sub(1, Ordering::AcqRel);
            tracing::warn!(%error, "no thread for an answer that has to wait");
        }
    }
}
