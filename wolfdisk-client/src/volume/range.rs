//! Ranges of files: preallocating, punching, copying, finding data and holes.

use std::sync::Arc;

use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{CopyRange, Fallocate, MutateReply};

use super::Volume;
use crate::cache::node::Node;
use crate::convert;
use crate::data::blocks::{self, Wanted};
use crate::data::pieces::{Piece, Source};
use crate::error::{Error, Result};
use crate::limits;
use crate::session::{Identity, Manner};
use crate::types::HandleId;

impl Volume {
    /// `fallocate(2)`; `mode` is made of `FALLOC_FL_*`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for modes other than keep-size, punch and zero range.
    pub fn fallocate(&self, id: HandleId, mode: u32, offset: u64, length: u64) -> Result<()> {
        let handle = self.handles.get(id)?;
        let node = &handle.node;
        let op = Op::Fallocate(Fallocate {
            ino: node.ino.0,
            mode,
            offset,
            length,
        });
        self.change_content(node, &op).map(|_| ())
    }

    /// `copy_file_range(2)` that shares extents; says how many bytes were copied.
    ///
    /// # Errors
    /// As the system call.
    pub fn copy_range(
        &self,
        source: HandleId,
        source_offset: u64,
        target: HandleId,
        target_offset: u64,
        length: u64,
    ) -> Result<u64> {
        let (source, target) = (self.handles.get(source)?, self.handles.get(target)?);
        if source.node.state.lock().is_unsaved() {
            self.commit(&source.node, false)?;
        }
        let op = Op::CopyRange(CopyRange {
            source: source.node.ino.0,
            source_offset,
            target: target.node.ino.0,
            target_offset,
            length,
        });
        self.change_content(&target.node, &op)
            .map(|reply| reply.offset)
    }

    /// A mutation of content that is not a write: after what was written before, and with the order of
    /// the file's mutations kept.
    fn change_content(&self, node: &Arc<Node>, op: &Op) -> Result<MutateReply> {
        let Some(_order) = node.commit.try_lock_for(limits::CALL_DEADLINE) else {
            return Err(Failure::Deadline("an earlier commit".to_owned()).into());
        };
        self.commit_ordered(node, false)?;
        let (mut reply, asked) = self.session.mutate(op, Manner::default())?;
        self.content_replaced(node, &mut reply, asked)?;
        Ok(reply)
    }

    fn content_replaced(
        &self,
        node: &Arc<Node>,
        reply: &mut MutateReply,
        asked: Identity,
    ) -> Result<()> {
        let attrs = self.attrs_of(std::mem::take(&mut reply.attrs))?;
        let attr = attrs.into_iter().find(|attr| attr.ino == node.ino);
        let rights = self.acceptable(node.ino, reply.rights, asked);
        let mut state = node.state.lock();
        state.pieces.clear();
        if let Some(attr) = &attr
            && state.follows(reply.version, asked, &self.session.lease)
        {
            // The kernel has dropped the pages of the range by itself.
            state.content_moved(attr.content_version.0);
        }
        state.learn_own(attr, rights, reply.version, asked, &self.session.lease);
        Ok(())
    }

    /// `SEEK_DATA`, in whole blocks (see [`blocks`]).
    ///
    /// # Errors
    /// `ENXIO` at or beyond the end, or if no data follows.
    pub fn seek_data(&self, id: HandleId, offset: u64) -> Result<u64> {
        let (node, size) = self.seekable(id, offset)?;
        blocks::data(offset, |at, wanted| self.find(&node, at, size, wanted))?
            .ok_or(Error::Refused(libc::ENXIO))
    }

    /// `SEEK_HOLE`, in whole blocks (see [`blocks`]).
    ///
    /// # Errors
    /// `ENXIO` at or beyond the end.
    pub fn seek_hole(&self, id: HandleId, offset: u64) -> Result<u64> {
        let (node, size) = self.seekable(id, offset)?;
        blocks::hole(offset, size, |at, wanted| {
            self.find(&node, at, size, wanted)
        })
    }

    /// The file, with nothing unsaved, and its size.
    fn seekable(&self, id: HandleId, offset: u64) -> Result<(Arc<Node>, u64)> {
        let node = Arc::clone(&self.handles.get(id)?.node);
        if node.state.lock().is_unsaved() {
            self.commit(&node, false)?;
        }
        let size = self.getattr(node.ino)?.0.size;
        match offset < size {
            true => Ok((node, size)),
            false => Err(Error::Refused(libc::ENXIO)),
        }
    }

    /// The first byte from `at` on that is what is wanted; none if there is none before `size`. Looked
    /// for in what is known of the next stretch, then in maps of all the rest: a hole can be long.
    fn find(
        &self,
        node: &Arc<Node>,
        mut at: u64,
        size: u64,
        wanted: Wanted,
    ) -> Result<Option<u64>> {
        let is_wanted = |piece: &&Piece| {
            let is_data = !matches!(piece.source, Source::Hole { .. });
            is_data == (wanted == Wanted::Data)
        };
        let end = size.min(at.saturating_add(limits::MAP_AHEAD_BYTES));
        let mut pieces = self.pieces_of(node, at, end)?.pieces;
        loop {
            if let Some(found) = pieces.iter().find(is_wanted) {
                return Ok(Some(found.offset));
            }
            let Some(last) = pieces.last() else {
                return Ok(None);
            };
            let next = last.offset.saturating_add(last.length);
            if next <= at {
                return Err(Error::Malformed("a map that does not go on"));
            }
            at = next;
            if at >= size {
                return Ok(None);
            }
            pieces = convert::pieces(&self.ask_map(node, at, size)?.0)?;
        }
    }
}
