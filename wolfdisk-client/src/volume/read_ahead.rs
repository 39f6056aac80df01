//! What is done for reads to come: places are learned and pages read ahead, or ranges fetched from another machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::v1::MapReply;

use super::Volume;
use super::handles::Handle;
use crate::chunks::remote::Remote;
use crate::data::pieces::{Piece, Source};
use crate::error::Result;
use crate::limits;

impl Volume {
    /// Learns where the chunks of this read and of what follows are, in one call; has the kernel read
    /// what follows when the reader comes to a new chunk in order. Says whether the reader goes on in order.
    pub(super) fn read_ahead(&self, handle: &Handle, pieces: &[Piece]) -> Result<bool> {
        let ids = chunk_ids(pieces);
        let Some(last) = pieces.last().filter(|_| !ids.is_empty()) else {
            return Ok(false);
        };
        if let Some(remote) = self.chunks.remote() {
            return Ok(self.fetch_ahead(remote, handle, pieces, last));
        }
        let unknown = ids.iter().any(|id| !self.chunks.is_located(id));
        let first = pieces.first().map_or(0, |piece| piece.offset);
        let sequential = handle.read_to.load(Ordering::Relaxed) == first;
        let begins_chunk = pieces
            .iter()
            .any(|piece| matches!(piece.source, Source::Chunk { offset: 0, .. }));
        if !(unknown || sequential && begins_chunk) {
            return Ok(sequential);
        }
        let end = last.offset + last.length;
        let window = u64::from(self.session.chunk_size()) * limits::LOCATE_AHEAD as u64;
        let ahead = chunk_ids(
            &handle
                .node
                .state
                .lock()
                .pieces
                .known(end, end.saturating_add(window)),
        );
        let mut wanted = ids;
        wanted.extend(ahead.iter().take(limits::LOCATE_AHEAD));
        self.chunks.prefetch(&wanted)?;
        if sequential {
            ahead
                .iter()
                .take(limits::ADVISE_AHEAD)
                .for_each(|id| self.chunks.advise(id));
        }
        Ok(sequential)
    }

    /// Has fetched what this read needs beside its first part, and what follows if it goes on in order; says so.
    fn fetch_ahead(
        &self,
        remote: &Arc<Remote>,
        handle: &Handle,
        pieces: &[Piece],
        last: &Piece,
    ) -> bool {
        let first = pieces.first().map_or(0, |piece| piece.offset);
        let read_to = handle.read_to.load(Ordering::Relaxed);
        let end = last.offset + last.length;
        let in_order = first.abs_diff(read_to) <= limits::IN_ORDER_READS * (end - first);
        if !in_order {
            return false;
        }
        // Who has read little may soon have read enough.
        let most = end.clamp(u64::from(limits::FETCH_BYTES), limits::READ_AHEAD_BYTES);
        let until = end.saturating_add(most.min(remote.ahead_max()));
        let follows = handle.node.state.lock().pieces.known(end, until);
        // The first part is fetched by the reader itself, at the same time.
        for piece in pieces.iter().skip(1).chain(&follows) {
            if let Source::Chunk { id, offset } = &piece.source
                && !remote.read_ahead(*id, *offset, piece.length as u32)
            {
                break;
            }
        }
        true
    }

    /// From where on the map is asked for that is needed from `at` on: tickets are for the pieces of a map, and one for a
    /// whole chunk is worth more than one for the rest of it.
    pub(super) fn map_begin(&self, at: u64) -> u64 {
        match self.chunks.remote() {
            None => at,
            Some(_) => at - at % u64::from(self.session.chunk_size()),
        }
    }

    /// Keeps the tickets of a map.
    pub(super) fn learn_tickets(&self, reply: &MapReply) {
        if let Some(remote) = self.chunks.remote() {
            remote.tickets().learn_map(reply);
        }
    }
}

fn chunk_ids(pieces: &[Piece]) -> Vec<ChunkId> {
    let mut ids: Vec<ChunkId> = pieces
        .iter()
        .filter_map(|piece| match &piece.source {
            Source::Chunk { id, .. } => Some(*id),
            Source::Data(_) | Source::Hole { .. } => None,
        })
        .collect();
    ids.dedup();
    ids
}
