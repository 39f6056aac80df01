//! Making buffered writes part of the index: one file's in one order, data before log.
//!
//! What was written moves from the dirty buffer to the pending list and stays visible there until
//! its mutation is answered. A failure drops what it concerned and is told to every handle once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{MutateReply, Time, Write, WritePiece, write_piece};

use super::Volume;
use super::append::take_void;
use super::sealed::{Pending, Sealed};
use crate::cache::node::Node;
use crate::cache::state::NodeState;
use crate::chunks::put::Stored;
use crate::convert;
use crate::counters::Counter;
use crate::data::pack::{self, Way};
use crate::data::pieces::{Piece, Source};
use crate::error::{Error, Result};
use crate::limits;
use crate::session::{Identity, Manner};

/// Where a pending range was put.
#[derive(Clone, Copy, Debug)]
enum Placed {
    Inline,
    Chunk { stored: Stored, offset: u32 },
}

impl Volume {
    /// Commits what is buffered for a file now. With `durable` it is on stable storage afterwards; says
    /// whether there was anything.
    pub(crate) fn commit(&self, node: &Arc<Node>, durable: bool) -> Result<bool> {
        let Some(_order) = node.commit.try_lock_for(limits::CALL_DEADLINE) else {
            return Err(Failure::Deadline("an earlier commit".to_owned()).into());
        };
        self.commit_ordered(node, durable)
    }

    /// Like [`Volume::commit`], for a caller that holds the file's commit lock.
    pub(crate) fn commit_ordered(&self, node: &Arc<Node>, durable: bool) -> Result<bool> {
        let (mut left, again, mtime) = {
            let mut state = node.state.lock();
            seal_dirty(&mut state);
            let again = take_void(&mut state, &self.session.lease);
            (state.pending.len() - again, again, state.local_mtime)
        };
        let any = left + again > 0;
        while left > 0 {
            let count = left.min(limits::WRITE_PIECES_MAX);
            let batch: Vec<Pending> = node
                .state
                .lock()
                .pending
                .iter()
                .take(count)
                .cloned()
                .collect();
            left -= count;
            let durable = durable && left + again == 0;
            if let Err(error) = self.commit_batch(node, &batch, mtime, durable) {
                self.drop_failed(node, count + left + again, &error);
                return Err(error);
            }
        }
        if again > 0
            && let Err(error) = self.append_again(node, again, durable)
        {
            self.drop_failed(node, again, &error);
            return Err(error);
        }
        Ok(any)
    }

    fn commit_batch(
        &self,
        node: &Arc<Node>,
        batch: &[Pending],
        mtime: Option<Timestamp>,
        durable: bool,
    ) -> Result<()> {
        let until = Instant::now() + limits::PUT_AGAIN_DEADLINE;
        while Instant::now() < until {
            let mut packs = Vec::new();
            let placed = self.place(batch, &mut packs);
            if placed.is_err() {
                self.give_up(packs.iter().map(|pack| pack.id));
            }
            let Some(placed) = placed? else {
                continue;
            };
            let pieces = batch
                .iter()
                .zip(&placed)
                .map(|(pending, placed)| wire_piece(pending, placed));
            let write = Write {
                ino: node.ino.0,
                pieces: pieces.collect(),
                mtime: mtime.map(|at| Time {
                    seconds: at.seconds,
                    nanos: at.nanos,
                    now: false,
                }),
                ..Write::default()
            };
            let manner = Manner {
                durable,
                keep_open: false,
            };
            let (reply, asked) = self.session.mutate_raw(&Op::Write(write), manner)?;
            if reply.retry_put {
                batch
                    .iter()
                    .for_each(|pending| pending.sealed.store_again());
                // Just after a start the index may not know the chunk store yet.
                std::thread::sleep(limits::RETRY_PAUSE);
                continue;
            }
            if reply.errno != 0 {
                self.give_up(packs.iter().map(|pack| pack.id));
                return Err(Error::Refused(reply.errno as i32));
            }
            return self.committed(node, batch, &placed, reply, asked);
        }
        Err(Failure::Unavailable("chunks were refused again and again".to_owned()).into())
    }

    /// Stores what does not ride in the log, durably; `packs` are the chunks made of several ranges. None: the
    /// store restarted meanwhile, again.
    fn place(&self, batch: &[Pending], packs: &mut Vec<Stored>) -> Result<Option<Vec<Placed>>> {
        let loose: Vec<&Pending> = batch.iter().filter(|pending| !pending.whole).collect();
        let lengths: Vec<usize> = loose.iter().map(|pending| pending.length).collect();
        let ways = pack::plan(&lengths, self.session.chunk_size() as usize);
        let mut contents: Vec<Vec<Bytes>> = Vec::new();
        for (pending, way) in loose.iter().zip(&ways) {
            if let Way::Pack { pack, .. } = way {
                contents.resize_with(contents.len().max(pack + 1), Vec::new);
                contents
                    .iter_mut()
                    .skip(*pack)
                    .take(1)
                    .for_each(|parts| parts.push(pending.data()));
            }
        }
        for parts in &contents {
            packs.push(self.put_chunk(parts)?);
        }
        let mut stored = packs.clone();
        let mut ways = ways.into_iter();
        let mut placed = Vec::with_capacity(batch.len());
        for pending in batch {
            placed.push(if pending.whole {
                let chunk = pending
                    .sealed
                    .store(|data| self.put_chunk(std::slice::from_ref(data)))?;
                stored.push(chunk);
                Placed::Chunk {
                    stored: chunk,
                    offset: 0,
                }
            } else {
                match ways.next() {
                    Some(Way::Pack { pack, offset }) => {
                        let chunk = packs.get(pack).copied();
                        let chunk = chunk.ok_or(Error::Malformed("a pack without its chunk"))?;
                        Placed::Chunk {
                            stored: chunk,
                            offset,
                        }
                    }
                    Some(Way::Inline) | None => Placed::Inline,
                }
            });
        }
        if self.writer.make_durable(&stored)? {
            return Ok(Some(placed));
        }
        batch
            .iter()
            .for_each(|pending| pending.sealed.store_again());
        Ok(None)
    }

    fn committed(
        &self,
        node: &Arc<Node>,
        batch: &[Pending],
        placed: &[Placed],
        reply: MutateReply,
        asked: Identity,
    ) -> Result<()> {
        let mut attrs = self.attrs_of(reply.attrs)?;
        let attr = attrs
            .iter()
            .position(|attr| attr.ino == node.ino)
            .map(|at| attrs.swap_remove(at));
        let rights = self.acceptable(node.ino, reply.rights, asked);
        {
            let lease = &self.session.lease;
            let mut state = node.state.lock();
            if let Some(attr) = &attr
                && state.follows(reply.version, asked, lease)
            {
                for (pending, placed) in batch.iter().zip(placed) {
                    state.pieces.set(cached_piece(pending, placed));
                }
                state.content_moved(attr.content_version.0);
            }
            state.learn_own(attr, rights, reply.version, asked, lease);
            self.forget_pending(&mut state, batch.len());
            if !state.is_unsaved() {
                state.local_mtime = None;
            }
            node.changed.notify_all();
        }
        let in_log = batch
            .iter()
            .zip(placed)
            .filter(|(_, placed)| matches!(placed, Placed::Inline));
        let in_log: usize = in_log.map(|(pending, _)| pending.length).sum();
        self.counters
            .add(Counter::BytesCommittedInLog, in_log as u64);
        self.kept.keep(node);
        Ok(())
    }

    /// The first `count` pending ranges are done with.
    pub(crate) fn forget_pending(&self, state: &mut NodeState, count: usize) {
        let count = count.min(state.pending.len());
        let bytes: usize = state
            .pending
            .drain(..count)
            .map(|pending| pending.length)
            .sum();
        self.budget.release(bytes);
    }

    fn drop_failed(&self, node: &Arc<Node>, count: usize, error: &Error) {
        self.counters.count(Counter::WriteErrors);
        tracing::error!(ino = node.ino.0, %error, "buffered writes are lost");
        let mut state = node.state.lock();
        let lost = state.pending.iter().take(count);
        let stored: Vec<_> = lost
            .filter_map(|pending| pending.sealed.abandon())
            .collect();
        self.forget_pending(&mut state, count);
        state.fail(error.write_errno());
        if !state.is_unsaved() {
            state.local_mtime = None;
        }
        // The kernel's pages hold what was lost: they are dropped at the next open.
        state.lowest_read = Some(0);
        node.changed.notify_all();
        drop(state);
        self.give_up(stored);
    }

    /// A file was removed for good: what is buffered for it is of no interest to anybody.
    pub(crate) fn discard_unsaved(&self, node: &Node) {
        let mut state = node.state.lock();
        let dirty = state.dirty.clip(0);
        self.budget.release(dirty);
        if let Some(_order) = node.commit.try_lock() {
            let count = state.pending.len();
            self.forget_pending(&mut state, count);
        }
        state.local_mtime = None;
    }
}

/// Moves what is dirty behind what is pending.
fn seal_dirty(state: &mut NodeState) {
    for (offset, data) in state.dirty.take_all() {
        let length = data.len();
        let sealed = Sealed::new(data);
        state.pending.push_back(Pending {
            offset,
            length,
            sealed,
            whole: false,
        });
    }
}

fn wire_piece(pending: &Pending, placed: &Placed) -> WritePiece {
    let source = match placed {
        Placed::Inline => write_piece::Source::Data(pending.data()),
        Placed::Chunk { stored, offset } => write_piece::Source::Chunk(stored.to_wire(*offset)),
    };
    WritePiece {
        offset: pending.offset,
        length: pending.length as u64,
        source: Some(source),
    }
}

fn cached_piece(pending: &Pending, placed: &Placed) -> Piece {
    let source = match placed {
        Placed::Inline => Source::Data(pending.data()),
        Placed::Chunk { stored, offset } => Source::Chunk {
            id: stored.id,
            offset: *offset,
        },
    };
    Piece {
        offset: pending.offset,
        length: pending.length as u64,
        source,
    }
}

impl Volume {
    /// The attributes an answer carries.
    pub(crate) fn attrs_of(
        &self,
        attrs: Vec<wolfdisk_proto::v1::Attr>,
    ) -> Result<Vec<crate::Attr>> {
        attrs
            .into_iter()
            .map(|attr| convert::attr(Some(attr)))
            .collect()
    }
}
