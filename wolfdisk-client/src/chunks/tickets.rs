//! Which ranges of chunks on other machines may be read, as far as known: bounded, what was learned first is forgotten
//! first. They lie beside the pieces of files, not in them: pieces are split and joined, a ticket opens what it opened.

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::ticket::Tag;
use wolfdisk_proto::v1;

use crate::limits;

/// A range of a chunk that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// Bytes of the whole chunk.
    pub(crate) chunk: u32,
    /// What shows it; none: no ticket is needed.
    pub(crate) tag: Option<Tag>,
}

impl Grant {
    /// A range as a daemon told it. Whoever is given no ticket needs none, and may read all of the chunk.
    pub(crate) fn of(ticket: &[u8], offset: u32, length: u32, chunk: u32) -> Option<Grant> {
        let (offset, length, tag) = match ticket {
            [] => (0, chunk, None),
            tag => (offset, length, Some(tag.try_into().ok()?)),
        };
        Some(Grant {
            offset,
            length,
            chunk,
            tag,
        })
    }

    pub(crate) fn end(&self) -> u32 {
        self.offset.saturating_add(self.length)
    }

    /// It opens the whole chunk.
    pub(crate) fn is_whole(&self) -> bool {
        self.offset == 0 && self.length == self.chunk
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the offset in the chunk.
    grants: HashMap<ChunkId, BTreeMap<u32, Grant>>,
    order: VecDeque<(ChunkId, u32)>,
}

impl Tickets {
    /// Keeps those of a map.
    pub(crate) fn learn_map(&self, reply: &v1::MapReply) {
        for piece in &reply.pieces {
            // What is malformed is refused where the pieces are taken over.
            if let Some(v1::piece::Source::Chunk(span)) = &piece.source
                && let Ok(id) = ChunkId::from_slice(&span.id)
                && let Ok(length) = u32::try_from(piece.length)
                && let Some(grant) = Grant::of(&span.ticket, span.offset, length, span.chunk_length)
            {
                self.learn(id, grant);
            }
        }
    }

    /// Keeps one. Of two at the same place the longer counts, and of two as long the newer.
    pub(crate) fn learn(&self, id: ChunkId, grant: Grant) {
        let mut known = self.known.lock();
        let grants = known.grants.entry(id).or_default();
        match grants.get_mut(&grant.offset) {
            Some(before) if before.length > grant.length => {}
            Some(before) => *before = grant,
            None => {
                grants.insert(grant.offset, grant);
                known.order.push_back((id, grant.offset));
            }
        }
        while known.order.len() > limits::TICKETS_MAX {
            if let Some((id, offset)) = known.order.pop_front() {
                known.remove(&id, offset);
            }
        }
    }

    /// One that opens `[from, to)`.
    pub(crate) fn find(&self, id: &ChunkId, from: u32, to: u32) -> Option<Grant> {
        let known = self.known.lock();
        let mut before = known.grants.get(id)?.range(..=from).rev();
        before
            .find(|(_, grant)| grant.end() >= to)
            .map(|(_, grant)| *grant)
    }

    /// Forgets one that was refused.
    pub(crate) fn forget(&self, id: &ChunkId, grant: &Grant) {
        let mut known = self.known.lock();
        known.remove(id, grant.offset);
        known.order.retain(|place| *place != (*id, grant.offset));
    }
}

impl Known {
    fn remove(&mut self, id: &ChunkId, offset: u32) {
        if let Some(grants) = self.grants.get_mut(id) {
            grants.remove(&offset);
            if grants.is_empty() {
                self.grants.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ChunkId = ChunkId([1; 32]);

    fn grant(offset: u32, length: u32, tag: u8) -> Grant {
        Grant::of(&[tag; 16], offset, length, 1 << 22).expect("a grant")
    }

    #[test]
    fn any_part_of_a_range_is_opened_by_its_own_ticket() {
        let tickets = Tickets::default();
        tickets.learn(ID, grant(0, 10_000, 1));
        tickets.learn(ID, grant(4000, 100, 2));
        tickets.learn(ID, grant(20_000, 100, 3));
        let tag = |from, to| tickets.find(&ID, from, to).map(|grant| grant.tag);
        assert_eq!(tag(0, 10_000), Some(Some([1; 16])));
        assert_eq!(tag(4050, 4100), Some(Some([2; 16])));
        assert_eq!(tag(4050, 4101), Some(Some([1; 16])));
        assert_eq!(tag(9000, 10_001), None);
        assert_eq!(tag(15_000, 15_001), None);
        assert_eq!(tickets.find(&ChunkId([2; 32]), 0, 1), None);
        tickets.learn(ID, grant(0, 50, 4));
        assert_eq!(tag(0, 10_000), Some(Some([1; 16])), "the longer stays");
        tickets.forget(&ID, &grant(0, 10_000, 1));
        assert_eq!(tag(0, 10_000), None);
        assert_eq!(tag(4050, 4100), Some(Some([2; 16])));
    }

    #[test]
    fn without_a_ticket_all_of_the_chunk_may_be_read() {
        let grant = Grant::of(&[], 4096, 10, 1 << 20).expect("a grant");
        assert!(grant.is_whole() && grant.tag.is_none());
        assert_eq!(Grant::of(&[1; 15], 0, 1, 1), None);
    }

    #[test]
    fn they_are_bounded() {
        let tickets = Tickets::default();
        let places = limits::TICKETS_MAX as u32 + 10;
        (0..places).for_each(|at| tickets.learn(ID, grant(at, 1, 1)));
        assert_eq!(tickets.find(&ID, 9, 10), None);
        assert!(tickets.find(&ID, 10, 11).is_some());
        assert_eq!(tickets.known.lock().grants[&ID].len(), limits::TICKETS_MAX);
    }
}
