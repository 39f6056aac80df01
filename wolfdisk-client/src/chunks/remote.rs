//! Reading chunks of another machine: ranges are fetched whole, verified, kept, and fetched ahead over several
//! connections.
//!
//! Whoever may read a whole chunk is given the hashes of its leaves, which the id proves, and verifies every leaf by
//! them. Of a part of a chunk the other machine verifies the blocks, and the connection that they are what it sent.

use bytes::Bytes;
use std::sync::Arc;

use wolfdisk_common::hash::proves;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::limits::LEAF_SIZE_BYTES;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::ReadRequest;

use super::ranges::{Range, Ranges};
use super::reader::{id_bytes, missing};
use super::tickets::{Grant, Tickets};
use crate::counters::{Counter, Counters};
use crate::error::{Error, Result};
use crate::limits;
use crate::transport::{ChunkCalls, call};
use crate::volume::queues::WorkQueue;

/// See the module.
#[derive(Debug)]
pub(crate) struct Remote {
    calls: ChunkCalls,
    counters: Arc<Counters>,
    tickets: Tickets,
    ranges: Ranges,
    /// Bounded by [`Ranges::want`].
    ahead: WorkQueue<(Range, Grant)>,
}

impl Remote {
    /// A reader that asks `calls` and keeps so many bytes.
    pub(crate) fn new(calls: ChunkCalls, counters: Arc<Counters>, cache_bytes: usize) -> Remote {
        Remote {
            calls,
            counters,
            tickets: Tickets::default(),
            ranges: Ranges::new(cache_bytes),
            ahead: WorkQueue::default(),
        }
    }

    /// What may be read.
    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// `length` bytes of a chunk from `offset` on, in parts. Whoever reads on in order gets more at a time.
    pub(crate) fn read(
        &self,
        id: ChunkId,
        offset: u32,
        length: u32,
        in_order: bool,
        mut sink: impl FnMut(Bytes),
    ) -> Result<()> {
        let end = offset.saturating_add(length);
        // The map is asked for again, and with it the ticket.
        let grant = self.tickets.find(&id, offset, end).ok_or_else(|| {
            Error::Failed(Failure::Denied(format!(
                "no ticket is known for chunk {id}"
            )))
        })?;
        let mut at = offset;
        while at < end {
            let range = self.range_at(id, &grant, at, end, in_order);
            let mut found = Counter::RangeHits;
            let bytes = self.ranges.get(range, || {
                found = Counter::RangeMisses;
                self.fetch(range, &grant)
            });
            self.counters.count(found);
            let bytes = bytes?;
            let stop = end.min(range.end);
            sink(bytes.slice((at - range.start) as usize..(stop - range.start) as usize));
            at = stop;
        }
        Ok(())
    }

    /// Has a range fetched that will be read soon; false if there is enough of that.
    pub(crate) fn read_ahead(&self, id: ChunkId, offset: u32, length: u32) -> bool {
        let end = offset.saturating_add(length);
        let Some(grant) = self.tickets.find(&id, offset, end) else {
            return true;
        };
        let mut at = offset;
        while at < end {
            let range = self.range_at(id, &grant, at, end, true);
            if !self.ranges.knows(&range) {
                if !self.ranges.want(range) {
                    return false;
                }
                self.ahead.push((range, grant));
            }
            at = range.end;
        }
        true
    }

    /// Bytes that are kept, and how many there may be.
    pub(crate) fn kept(&self) -> (usize, usize) {
        self.ranges.kept()
    }

    /// How far ahead one reader may have fetched, at most.
    pub(crate) fn ahead_max(&self) -> u64 {
        let most = self.ranges.ahead_max() as u64 / 2;
        most.min(limits::READ_AHEAD_BYTES)
    }

    /// Fetches ahead until [`Remote::stop`]; several threads do.
    pub(crate) fn serve_ahead(&self) {
        while let Some((range, grant)) = self.ahead.next() {
            let fetched = self.ranges.fetch_ahead(range, || self.fetch(range, &grant));
            if let Err(error) = fetched {
                // Whoever needs it tries again and is told.
                tracing::debug!(chunk = %range.id, %error, "a range could not be read ahead");
            }
        }
    }

    /// Ends that.
    pub(crate) fn stop(&self) {
        self.ahead.stop();
    }

    /// The range that is fetched for what is read from `at` to `end`: leaves for one who jumps about, more for one who
    /// reads on; never more than the ticket opens.
    fn range_at(&self, id: ChunkId, grant: &Grant, at: u32, end: u32, in_order: bool) -> Range {
        let window = cut(id, grant, at, limits::FETCH_BYTES);
        let leaf = cut(id, grant, at, LEAF_SIZE_BYTES as u32);
        let few = end.saturating_sub(leaf.start) as usize <= 2 * LEAF_SIZE_BYTES;
        match in_order || !few || self.ranges.knows(&window) {
            true => window,
            false => leaf,
        }
    }

    fn fetch(&self, range: Range, grant: &Grant) -> Result<Bytes> {
        let first = self.fetch_once(range, grant);
        let Err(Error::Failed(Failure::Corrupt(_))) = &first else {
            return first;
        };
        self.counters.count(Counter::DamagedBlocks);
        tracing::warn!(chunk = %range.id, offset = range.start, "a chunk was not what it is called; once more");
        self.fetch_once(range, grant)
    }

    fn fetch_once(&self, range: Range, grant: &Grant) -> Result<Bytes> {
        self.counters.count(Counter::ChunkRead);
        let request = ReadRequest {
            id: id_bytes(&range.id),
            offset: range.start,
            length: range.len() as u32,
            ticket: grant
                .tag
                .map_or_else(Bytes::new, |tag| Bytes::copy_from_slice(&tag)),
            ticket_offset: grant.offset,
            ticket_length: grant.length,
            with_leaves: grant.is_whole() && grant.chunk as usize > LEAF_SIZE_BYTES,
            ..ReadRequest::default()
        };
        let reply = call(|options| self.calls.read(options, &request)).map_err(|error| {
            if let Error::Failed(Failure::Denied(_)) = &error {
                self.tickets.forget(&range.id, grant);
            }
            match error {
                // To whoever reads the file it is not the file that is missing.
                Error::Failed(Failure::Errno(libc::ENOENT)) => missing(&range.id),
                other => other,
            }
        })?;
        if reply.data.len() != range.len() {
            return Err(Error::Malformed("a read of another length"));
        }
        let first = range.start as usize / LEAF_SIZE_BYTES;
        let is_right = || {
            let length = grant.chunk as usize;
            proves(&range.id, length, &reply.leaves, first, &reply.data)
        };
        match !grant.is_whole() || is_right() {
            true => Ok(reply.data),
            false => Err(Error::Failed(Failure::Corrupt(format!(
                "chunk {}",
                range.id
            )))),
        }
    }
}

/// The aligned range of `unit` bytes around `at`, within what the ticket opens; all of it if that is no more.
fn cut(id: ChunkId, grant: &Grant, at: u32, unit: u32) -> Range {
    let (start, end) = (grant.offset, grant.end());
    if grant.length <= unit {
        return Range { id, start, end };
    }
    let aligned = at - at % unit;
    Range {
        id,
        start: aligned.max(start),
        end: aligned.saturating_add(unit).min(end),
    }
}
