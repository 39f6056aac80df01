//! Writing: into the buffer, and through it where buffering is not allowed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use wolfdisk_common::limits::FILE_SIZE_MAX_BYTES;
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::Failure;

use super::Volume;
use super::sealed::{Pending, Sealed};
use crate::cache::node::Node;
use crate::cache::state::{ATTR, DATA, NodeState, WRITE};
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::limits;
use crate::types::HandleId;

/// How often a writer without the right to buffer asks for it again.
const ASK_TO_WRITE_EVERY: Duration = Duration::from_secs(1);

impl Volume {
    /// Writes all of `bytes`; with `append` at the end of the file, wherever that is.
    ///
    /// # Errors
    /// `ENOSPC`, `EFBIG`, or an earlier failure of this file's buffered writes, told once.
    pub fn write(&self, id: HandleId, offset: u64, bytes: &[u8], append: bool) -> Result<usize> {
        let handle = self.handles.get(id)?;
        let node = &handle.node;
        handle.check_locks(self.session.identity().session)?;
        handle.take_failure(&node.state.lock())?;
        if bytes.is_empty() {
            return Ok(0);
        }
        handle.writes()?;
        self.counters.add(Counter::BytesWritten, bytes.len() as u64);
        let append = append || handle.flags.append;
        self.ask_to_write(node)?;
        if self.budget.is_tight() {
            self.commits.hurry();
        }
        if !self.budget.reserve(bytes.len(), limits::CALL_DEADLINE) {
            return Err(Failure::Deadline("no room for buffered writes".to_owned()).into());
        }
        let buffered = self.buffer(node, offset, bytes, append);
        let (through, growth) = match buffered {
            Ok(buffered) => buffered,
            Err(error) => {
                self.budget.release(bytes.len());
                return match error {
                    NotBuffered::Append => self.append_through(&handle, bytes),
                    NotBuffered::Refused(errno) => Err(Error::Refused(errno)),
                };
            }
        };
        self.budget.release(bytes.len().saturating_sub(growth));
        if through || handle.flags.sync {
            self.save(&handle, handle.flags.sync)?;
        }
        if through && !node.state.lock().has(DATA, &self.session.lease) {
            self.drop_pages_soon(node);
        }
        Ok(bytes.len())
    }

    /// Puts the bytes into the buffer; says whether they must go through at once, and by how much the
    /// buffer grew.
    fn buffer(
        &self,
        node: &Arc<Node>,
        offset: u64,
        bytes: &[u8],
        append: bool,
    ) -> std::result::Result<(bool, usize), NotBuffered> {
        let lease = &self.session.lease;
        let mut state = node.state.lock();
        let buffered = state.has(ATTR | WRITE, lease) && state.attr.is_some();
        let offset = if append {
            let end = state.append_at(lease).filter(|_| buffered);
            end.ok_or(NotBuffered::Append)?
        } else {
            offset
        };
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > FILE_SIZE_MAX_BYTES) {
            return Err(NotBuffered::Refused(libc::EFBIG));
        }
        if append {
            state.appends_at(offset);
        }
        let before = state.dirty.bytes();
        state.dirty.write(offset, bytes);
        let growth = state.dirty.bytes() - before;
        state.local_mtime = Some(Timestamp::from(SystemTime::now()));
        // The kernel keeps the written pages; they are of the content that the commit will make.
        let version = state.attr.as_ref().map_or(0, |attr| attr.content_version.0);
        Node::pages_filled(&mut state, version);
        self.seal_full(&mut state, node, offset, bytes.len() as u64);
        if buffered && !state.queued {
            state.queued = true;
            self.commits
                .push(Instant::now() + limits::WRITE_BACK_AFTER, node.clone());
        }
        Ok((!buffered, growth))
    }

    /// Chunks that are full now take no further writes and are stored in the background.
    fn seal_full(&self, state: &mut NodeState, node: &Arc<Node>, offset: u64, length: u64) {
        let window = u64::from(self.session.chunk_size());
        let mut at = offset - offset % window;
        while at < offset + length {
            if let Some((offset, data)) = state.dirty.take_full(at) {
                let length = data.len();
                let sealed = Sealed::new(data);
                self.puts.push(sealed.clone());
                state.pending.push_back(Pending {
                    offset,
                    length,
                    sealed,
                    whole: true,
                });
                let waiting: usize = state.pending.iter().map(|pending| pending.length).sum();
                if waiting.is_multiple_of(limits::UNCOMMITTED_MAX_BYTES) {
                    self.commits.push_now(node.clone());
                }
            }
            at += window;
        }
    }

    /// Without the right to buffer every write is a round trip or two: asks for it now and then.
    fn ask_to_write(&self, node: &Arc<Node>) -> Result<()> {
        {
            let mut state = node.state.lock();
            let asked_lately = state
                .asked_to_write
                .is_some_and(|asked| asked.elapsed() < ASK_TO_WRITE_EVERY);
            if asked_lately || state.has(ATTR | WRITE, &self.session.lease) {
                return Ok(());
            }
            state.asked_to_write = Some(Instant::now());
        }
        self.ask_open(node, true, false)
    }

    /// Commits a file that was dirty for long enough. A failure is kept for its handles.
    pub(super) fn commit_in_background(&self, node: &Arc<Node>) {
        let Some(_order) = node.commit.try_lock() else {
            // Its own commit is under way; no other file waits for that.
            self.commits
                .push(Instant::now() + limits::WRITE_BACK_AFTER, node.clone());
            return;
        };
        node.state.lock().queued = false;
        if let Err(error) = self.commit_ordered(node, false) {
            tracing::debug!(ino = node.ino.0, %error, "kept for its handles");
        }
    }
}

/// Why bytes did not get into the buffer.
enum NotBuffered {
    /// The end of the file is not ours to know.
    Append,
    Refused(i32),
}
