//! Appending: at the end that the index knows when the right to buffer is not held, and for what was buffered as an
//! append under a right that ran out.
//!
//! A buffered append has a place: the end of the file as it was known under the right. If the lease ran out before it
//! was committed, others may have appended at the same place. So it is then appended anew, wherever the end is now.

use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::Append;
use wolfdisk_proto::v1::mutate_request::Op;

use super::Volume;
use super::handles::Handle;
use super::sealed::Pending;
use crate::cache::node::Node;
use crate::cache::state::NodeState;
use crate::error::Result;
use crate::limits;
use crate::session::Manner;
use crate::session::lease::Lease;

/// What is buffered from here on was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The end of the file then.
    from: u64,
    /// The epoch of the right under which it was known.
    epoch: u64,
}

impl Appended {
    /// The first append since the last commit was put at `from`, the end as it was known in `epoch`.
    pub(crate) fn at(from: u64, epoch: u64) -> Appended {
        Appended { from, epoch }
    }

    /// The same when the file is cut at `size`.
    pub(crate) fn cut(self, size: u64) -> Option<Appended> {
        (self.from < size).then_some(self)
    }

    /// Others may have moved the end since, or may before a mutation that is sent now arrives.
    pub(crate) fn is_void(self, lease: &Lease) -> bool {
        self.epoch != lease.epoch() || lease.left() < limits::LEASE_MARGIN
    }
}

/// No append is buffered while one is under way that goes by the end that the index knows.
struct Appending<'a>(&'a Node);

impl<'a> Appending<'a> {
    fn begin(node: &'a Node) -> Appending<'a> {
        node.state.lock().appending += 1;
        Appending(node)
    }
}

impl Drop for Appending<'_> {
    fn drop(&mut self) {
        self.0.state.lock().appending -= 1;
    }
}

impl Volume {
    /// Appends where the state machine says the end is; a long write in parts.
    pub(super) fn append_through(&self, handle: &Handle, bytes: &[u8]) -> Result<usize> {
        let node = &handle.node;
        let _appending = Appending::begin(node);
        let Some(_order) = node.commit.try_lock_for(limits::CALL_DEADLINE) else {
            return Err(Failure::Deadline("an earlier commit".to_owned()).into());
        };
        self.commit_ordered(node, false)?;
        for data in bytes.chunks(limits::APPEND_MAX_BYTES) {
            self.append_now(node, Bytes::copy_from_slice(data), handle.flags.sync)?;
        }
        Ok(bytes.len())
    }

    /// Appends `data`. The caller holds the commit lock.
    fn append_now(&self, node: &Arc<Node>, data: Bytes, durable: bool) -> Result<()> {
        let op = Op::Append(Append {
            ino: node.ino.0,
            data,
            kill_suid: false,
        });
        let manner = Manner {
            durable,
            keep_open: false,
        };
        let (mut reply, asked) = self.session.mutate(&op, manner)?;
        let mut attrs = self.attrs_of(std::mem::take(&mut reply.attrs))?;
        let attr = attrs
            .iter()
            .position(|attr| attr.ino == node.ino)
            .map(|at| attrs.swap_remove(at));
        let rights = self.acceptable(node.ino, reply.rights, asked);
        let mut state = node.state.lock();
        // The kernel may have put the bytes into its pages at another offset.
        state.lowest_read = Some(0);
        state.pieces.clear();
        state.learn_own(attr, rights, reply.version, asked, &self.session.lease);
        Ok(())
    }

    /// Appends the last `count` of what is pending anew, in place of where it was put. The caller holds the commit
    /// lock, and what was pending before is committed.
    pub(super) fn append_again(&self, node: &Arc<Node>, count: usize, durable: bool) -> Result<()> {
        let _appending = Appending::begin(node);
        let bytes = {
            let state = node.state.lock();
            joined(state.pending.iter().take(count))
        };
        tracing::info!(
            ino = node.ino.0,
            bytes = bytes.len(),
            "the lease ran out under appends: they are appended anew"
        );
        let mut left = bytes.len();
        for data in bytes.chunks(limits::APPEND_MAX_BYTES) {
            left -= data.len();
            self.append_now(node, Bytes::copy_from_slice(data), durable && left == 0)?;
        }
        let mut state = node.state.lock();
        let stored: Vec<_> = state
            .pending
            .iter()
            .take(count)
            .filter_map(|pending| pending.sealed.abandon())
            .collect();
        self.forget_pending(&mut state, count);
        node.changed.notify_all();
        drop(state);
        self.give_up(stored);
        Ok(())
    }
}

/// Moves what was appended under a right that is void to the end of what is pending; says how much that is.
pub(super) fn take_void(state: &mut NodeState, lease: &Lease) -> usize {
    let Some(appended) = state.appended.take() else {
        return 0;
    };
    if !appended.is_void(lease) {
        return 0;
    }
    let from = appended.from;
    let end = joined_end(from, state.pending.iter());
    let (mut placed, mut moved) = (Vec::new(), Vec::new());
    for mut pending in state.pending.drain(..) {
        if pending.end() <= from || pending.offset >= end {
            placed.push(pending);
            continue;
        }
        if pending.offset < from {
            let at = (from - pending.offset) as usize;
            moved.push(pending.split_off(at));
            placed.push(pending);
        } else {
            moved.push(pending);
        }
    }
    let count = moved.len();
    state.pending.extend(placed.into_iter().chain(moved));
    count
}

/// Up to where the ranges join without a gap, beginning at `from`. What lies beyond was written at a place of its own,
/// which may be as far away as a file can be long.
fn joined_end<'a>(from: u64, ranges: impl Iterator<Item = &'a Pending>) -> u64 {
    let beyond = ranges.filter(|range| range.end() > from);
    let mut places: Vec<_> = beyond.map(|range| (range.offset, range.end())).collect();
    places.sort_unstable();
    let mut reach = from;
    for (offset, end) in places {
        if offset > reach {
            break;
        }
        reach = reach.max(end);
    }
    reach
}

/// The bytes of ranges that join; what is later counts.
fn joined<'a>(ranges: impl Iterator<Item = &'a Pending> + Clone) -> Vec<u8> {
    let from = ranges.clone().map(|range| range.offset).min().unwrap_or(0);
    let end = ranges.clone().map(Pending::end).max().unwrap_or(from);
    let mut bytes = vec![0; (end - from) as usize];
    for range in ranges {
        let at = (range.offset - from) as usize;
        if let Some(place) = bytes.get_mut(at..at + range.length) {
            place.copy_from_slice(&range.data());
        }
    }
    bytes
}
