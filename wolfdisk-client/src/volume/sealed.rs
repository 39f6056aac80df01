//! Written ranges that take no further writes and are on their way to being committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::Failure;

use crate::chunks::put::Stored;
use crate::error::{Error, Result};
use crate::limits;

/// How far storing it as a chunk has come.
#[derive(Debug)]
enum Put {
    Waiting,
    Running,
    Done(Result<Stored>),
}

/// Bytes that will not change. They are kept until the commit that names them is answered.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) data: Bytes,
    put: Mutex<Put>,
    done: Condvar,
    /// Nobody will name the chunk any more.
    abandoned: AtomicBool,
}

impl Sealed {
    pub(crate) fn new(data: Bytes) -> Arc<Sealed> {
        Arc::new(Sealed {
            data,
            put: Mutex::new(Put::Waiting),
            done: Condvar::new(),
            abandoned: AtomicBool::new(false),
        })
    }

    /// Stores it, unless somebody else does or did; gives the result, waiting for it if need be.
    pub(crate) fn store(&self, put: impl FnOnce(&Bytes) -> Result<Stored>) -> Result<Stored> {
        let until = Instant::now() + limits::CALL_DEADLINE * 2;
        let mut state = self.put.lock();
        loop {
            match &*state {
                Put::Done(result) => return result.clone(),
                Put::Waiting => break,
                Put::Running => {
                    if self.done.wait_until(&mut state, until).timed_out() {
                        return Err(Failure::Deadline("a chunk is being stored".to_owned()).into());
                    }
                }
            }
        }
        *state = Put::Running;
        drop(state);
        let result = put(&self.data);
        *self.put.lock() = Put::Done(result.clone());
        self.done.notify_all();
        result
    }

    /// Nobody will name the chunk. Gives it if it was stored; one that is being stored is given by
    /// [`Sealed::left_behind`] when that is done.
    pub(crate) fn abandon(&self) -> Option<ChunkId> {
        self.abandoned.store(true, Ordering::SeqCst);
        self.left_behind()
    }

    /// Whether nobody will name the chunk.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// The chunk, if it was stored and nobody will name it.
    pub(crate) fn left_behind(&self) -> Option<ChunkId> {
        match &*self.put.lock() {
            Put::Done(Ok(stored)) if self.is_abandoned() => Some(stored.id),
            _ => None,
        }
    }

    /// What was stored does not count any more: the next [`Sealed::store`] stores again.
    pub(crate) fn store_again(&self) {
        let mut state = self.put.lock();
        if matches!(&*state, Put::Done(_)) {
            *state = Put::Waiting;
        }
    }
}

/// A range of a file whose bytes are sealed.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) offset: u64,
    /// At most that of the sealed bytes; truncation makes it less.
    pub(crate) length: usize,
    pub(crate) sealed: Arc<Sealed>,
    /// It fills a chunk and is stored as one; others are packed when they are committed.
    pub(crate) whole: bool,
}

impl Pending {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.length as u64
    }

    /// Takes the bytes from `at` on off.
    pub(crate) fn split_off(&mut self, at: usize) -> Pending {
        let data = self.data().slice(at..);
        self.length = at;
        Pending {
            offset: self.offset + at as u64,
            length: data.len(),
            sealed: Sealed::new(data),
            whole: false,
        }
    }

    pub(crate) fn data(&self) -> Bytes {
        self.sealed.data.slice(..self.length)
    }
}

impl Error {
    /// The failure as an errno to be kept for later handles.
    pub(crate) fn write_errno(&self) -> i32 {
        match self.errno() {
            libc::ENOSPC => libc::ENOSPC,
            libc::EDQUOT => libc::EDQUOT,
            libc::EFBIG => libc::EFBIG,
            libc::EROFS => libc::EROFS,
            _ => libc::EIO,
        }
    }
}
