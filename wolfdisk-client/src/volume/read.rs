//! Reading: what is known of the content, with what is buffered here over it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use wolfdisk_common::limits::MAP_MAX_PIECES;
use wolfdisk_proto::v1::{MapReply, MapRequest};

use super::Volume;
use super::handles::Handle;
use crate::cache::node::{Node, Reading};
use crate::cache::state::{ATTR, DATA, NodeState};
use crate::chunks::reader::ChunkBytes;
use crate::convert;
use crate::counters::Counter;
use crate::data::pieces::{Piece, PieceMap, Source};
use crate::error::{Error, Result};
use crate::limits;
use crate::read_data::{End, ReadData};
use crate::session::Identity;
use crate::types::HandleId;

/// Where the bytes of a range are.
pub(super) struct Found {
    /// In order; cut at the end of the file.
    pub(super) pieces: Vec<Piece>,
    /// Where that was.
    pub(super) size: u64,
}

/// What the memory says of a range.
enum Look {
    /// All of it, in order; cut at the end of the file.
    Whole(Vec<Piece>),
    /// Something is not known from here on.
    Missing(u64),
}

impl Volume {
    /// Reads; fewer bytes than asked for only at the end of the file.
    ///
    /// # Errors
    /// `EIO` for damaged data.
    pub fn read(&self, id: HandleId, offset: u64, length: usize) -> Result<ReadData> {
        let handle = self.handles.get(id)?;
        let node = &handle.node;
        handle.check_locks(self.session.identity().session)?;
        let mut data = ReadData::begin(node.ino.0, Reading::begin(node));
        let end = offset.saturating_add(length as u64);
        let mut failed = None;
        // A chunk can be gone because the file was changed since its map was read: once more, then.
        for _ in 0..2 {
            let found = self.pieces_of(node, offset, end)?;
            match self.gather(&handle, &found.pieces, &mut data) {
                Ok(()) => {
                    data.ends(End::of(found.size, offset, end));
                    self.counters.add(Counter::BytesRead, data.len() as u64);
                    handle.read_to.store(end, Ordering::Relaxed);
                    return Ok(data);
                }
                Err(error) => failed = Some(error),
            }
            data.restart();
            node.state.lock().pieces.clear();
        }
        let error = failed.unwrap_or(Error::Damaged {
            ino: node.ino.0,
            offset,
        });
        tracing::error!(ino = node.ino.0, offset, %error, "a read failed");
        Err(error)
    }

    /// Where the bytes of `[from, to)` are, up to the end of the file.
    pub(super) fn pieces_of(&self, node: &Arc<Node>, from: u64, to: u64) -> Result<Found> {
        for _ in 0..limits::READ_ATTEMPTS {
            if let Some(found) = self.try_pieces(node, from, to)? {
                return Ok(found);
            }
        }
        // Own commits overtook every answer: stop them for a moment.
        let _order = node.commit.try_lock_for(limits::CALL_DEADLINE);
        self.try_pieces(node, from, to)?
            .ok_or(Error::Malformed("maps older than what was committed"))
    }

    fn try_pieces(&self, node: &Arc<Node>, from: u64, to: u64) -> Result<Option<Found>> {
        let missing = {
            let mut state = node.state.lock();
            if state.attr.is_some() && state.has(ATTR | DATA, &self.session.lease) {
                match look(&state, from, to) {
                    Look::Whole(pieces) => {
                        let (version, size) = (state.pieces_version(), seen_size(&state));
                        Node::pages_filled(&mut state, version);
                        return Ok(Some(Found { pieces, size }));
                    }
                    Look::Missing(at) => at,
                }
            } else {
                from
            }
        };
        let begin = self.map_begin(missing);
        let (mut reply, mut asked) = self.ask_map(node, begin, to)?;
        if begin < missing && reply.covered_to <= missing {
            (reply, asked) = self.ask_map(node, missing, to)?;
        }
        if self.learn_map(node, &reply, asked)? {
            return Ok(None); // known now: look again
        }
        if missing != from {
            return Ok(None); // the right went meanwhile: ask for all of it
        }
        self.drop_pages_soon(node);
        self.uncached(node, reply, from, to)
    }

    /// Answers from a map that may not be kept, asking for more of it as long as it ends too early. None
    /// if it is older than what was committed here or than a lock that was granted meanwhile, or if it
    /// changed on the way.
    fn uncached(
        &self,
        node: &Node,
        mut reply: MapReply,
        from: u64,
        to: u64,
    ) -> Result<Option<Found>> {
        let (size, content) = (reply.size, reply.content_version);
        let mut map = PieceMap::default();
        loop {
            convert::pieces(&reply)?
                .into_iter()
                .for_each(|piece| map.set(piece));
            let covered = reply.covered_to;
            if covered >= to.min(size) {
                break;
            }
            if covered <= reply.offset {
                return Err(Error::Malformed("a map that ends where it begins"));
            }
            (reply, _) = self.ask_map(node, covered, to)?;
            self.learn_tickets(&reply);
            if reply.content_version != content {
                return Ok(None);
            }
        }
        map.truncate(size);
        let mut state = node.state.lock();
        if reply.version < state.own_version.max(state.locked_at) {
            return Ok(None);
        }
        Node::pages_filled(&mut state, content);
        let size = size.max(state.unsaved_end().unwrap_or(0));
        match overlay(&state, &map, from, to.min(size)) {
            Look::Whole(pieces) => Ok(Some(Found { pieces, size })),
            Look::Missing(_) => Err(Error::Malformed("a map with gaps")),
        }
    }

    pub(super) fn ask_map(&self, node: &Node, from: u64, to: u64) -> Result<(MapReply, Identity)> {
        let length = to.saturating_sub(from).max(limits::MAP_AHEAD_BYTES);
        let request = |session| MapRequest {
            session,
            ino: node.ino.0,
            offset: from,
            length,
            max_pieces: MAP_MAX_PIECES,
        };
        self.session
            .ask(Counter::Map, request, |meta, options, request| {
                meta.map(options, request)
            })
    }

    /// Keeps a map if a right allows it; asks for the right where the answer offers one.
    pub(super) fn learn_map(
        &self,
        node: &Arc<Node>,
        reply: &MapReply,
        asked: Identity,
    ) -> Result<bool> {
        self.learn_tickets(reply);
        let lease = &self.session.lease;
        let offered = self.acceptable(node.ino, reply.rights, asked) & DATA != 0;
        let current = {
            let state = node.state.lock();
            state.attr.is_some() && state.has(ATTR | DATA, lease)
        };
        if !current {
            if !offered || self.has_attr(node) {
                return Ok(false);
            }
            self.ask_attr(node.ino)?;
        }
        let pieces = convert::pieces(reply)?;
        let mut state = node.state.lock();
        if !state.may_learn_pieces(reply.version, reply.content_version, asked, lease) {
            return Ok(false);
        }
        pieces.into_iter().for_each(|piece| state.pieces.set(piece));
        if reply.covered_to >= reply.size {
            state.pieces.truncate(reply.size.max(reply.offset));
        }
        drop(state);
        self.kept.keep(node);
        Ok(true)
    }

    /// Turns places into bytes, verified.
    fn gather(&self, handle: &Handle, pieces: &[Piece], data: &mut ReadData) -> Result<()> {
        let in_order = self.read_ahead(handle, pieces)?;
        for piece in pieces {
            let length = piece.length as usize;
            match &piece.source {
                Source::Data(bytes) => data.push_bytes(bytes.clone()),
                Source::Hole { .. } => data.push_zeroes(length),
                Source::Chunk { id, offset } => match self.chunks.remote() {
                    None => data.push_chunk(self.chunks.read(*id, *offset as usize, length)?),
                    Some(remote) => remote.read(*id, *offset, length as u32, in_order, |part| {
                        data.push_chunk(ChunkBytes::Owned(part));
                    })?,
                },
            }
        }
        Ok(())
    }
}

/// What is known of `[from, to)`, cut at the end of the file as it is seen here.
fn look(state: &NodeState, from: u64, to: u64) -> Look {
    overlay(state, &state.pieces, from, to.min(seen_size(state)))
}

/// The size with what is not committed.
fn seen_size(state: &NodeState) -> u64 {
    let size = state.attr.as_ref().map_or(0, |attr| attr.size);
    size.max(state.unsaved_end().unwrap_or(0))
}

/// `map` with what is not committed over it.
fn overlay(state: &NodeState, map: &PieceMap, from: u64, to: u64) -> Look {
    if from >= to {
        return Look::Whole(Vec::new());
    }
    if !state.is_unsaved() {
        let (pieces, gap) = map.walk(from, to);
        return if gap == to {
            Look::Whole(pieces)
        } else {
            Look::Missing(gap)
        };
    }
    let mut merged = PieceMap::default();
    map.known(from, to)
        .into_iter()
        .for_each(|piece| merged.set(piece));
    for pending in &state.pending {
        let (low, high) = (pending.offset.max(from), pending.end().min(to));
        if low < high {
            let data = pending.data();
            let part = (low - pending.offset) as usize..(high - pending.offset) as usize;
            merged.set(Piece {
                offset: low,
                length: high - low,
                source: Source::Data(data.slice(part)),
            });
        }
    }
    state.dirty.overlaps(from, to, |offset, part| {
        let source = Source::Data(Bytes::copy_from_slice(part));
        merged.set(Piece {
            offset,
            length: part.len() as u64,
            source,
        });
    });
    let (pieces, gap) = merged.walk(from, to);
    if gap == to {
        Look::Whole(pieces)
    } else {
        Look::Missing(gap)
    }
}
