//! Packs anew what is left of chunks that are mostly dead, so that they can be given back.
//!
//! A chunk stays as a whole while one extent names a byte of it. The index marks those of which little is
//! left; a plan takes as many of them as there is room for, the sparsest first. Who names them is found by
//! going round over all extents, in order, from where the last plan stopped: files that were written
//! together share chunks, and a plan ends as soon as all that names its chunks was seen. What was found is
//! read, packed, put, flushed, and swapped in by a logged mutation that leaves alone what has changed.
//!
//! Works in small steps. Nothing is kept of a plan but its chunks' ids and a place among the extents.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;

use super::chunkd::{self, Chunkd};
use super::pack::{Piece, pack};
use super::put::{MoveError, put_durably, swap_in};
use crate::index::ChunkRange;
use crate::index::op::{Op, RepackMove};
use crate::index::record::Chunk;
use crate::index::table::TableError;
use crate::limits;
use crate::service::Service;

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is sparse enough.
    Idle,
    /// Looked at extents, or moved so many bytes.
    Moved(u64),
    /// There is no room for copies: what was emptied before must be given back first.
    Starved,
}

/// See the module.
pub struct Repacker<'a> {
    service: &'a Service,
    chunkd: &'a Chunkd,
    plan: Option<Plan>,
    /// The last extent that was looked at: its inode, and where it ends.
    at: (Ino, u64),
    /// Chunks that cannot be read: they stay as they are.
    unreadable: HashSet<ChunkId>,
    /// When the last look for a plan found nothing worth it; none: look at once.
    idle: Option<Instant>,
}

/// Chunks that are being emptied.
struct Plan {
    chunks: HashSet<ChunkId>,
    /// How many extents that name them were not seen yet, by the records.
    references: u64,
    /// Where the round over the extents began.
    begun: (Ino, u64),
    /// It has come past the last extent.
    wrapped: bool,
    /// Found and not moved yet.
    found: Vec<ChunkRange>,
    found_bytes: u64,
}

impl<'a> Repacker<'a> {
    /// One without a plan.
    pub fn new(service: &'a Service, chunkd: &'a Chunkd) -> Repacker<'a> {
        Repacker {
            service,
            chunkd,
            plan: None,
            at: (Ino(0), 0),
            unreadable: HashSet::new(),
            idle: None,
        }
    }

    /// Whether a step should be made: a plan is under way, or it is time to look for one.
    pub fn is_due(&self) -> bool {
        let interval = if self.service.space().is_tight() {
            limits::REPACK_INTERVAL_TIGHT
        } else {
            limits::REPACK_INTERVAL
        };
        let due = self.idle.is_none_or(|last| last.elapsed() >= interval);
        (due || self.plan.is_some()) && self.service.space().chunkd().is_some()
    }

    /// Makes a step: a plan, a look over extents, a batch moved. With `asked` anything that gains is worth
    /// it.
    ///
    /// # Errors
    /// The step can be made again.
    pub fn step(&mut self, asked: bool) -> Result<Step, MoveError> {
        if self.plan.is_none() {
            self.idle = None;
            match self.make_plan(asked)? {
                Made::Plan(plan) => self.plan = Some(plan),
                Made::Nothing => {
                    self.idle = Some(Instant::now());
                    return Ok(Step::Idle);
                }
                Made::NoRoom => return Ok(Step::Starved),
            }
        }
        let Some(mut plan) = self.plan.take() else {
            return Ok(Step::Idle);
        };
        let whole = self.look_over(&mut plan)?;
        let batch_bytes = self.service.options().chunk_size_bytes * limits::DESTAGE_CHUNKS;
        let mut moved = 0;
        if whole || plan.found_bytes >= batch_bytes as u64 {
            moved = plan.found_bytes;
            plan.found_bytes = 0;
            match self.move_ranges(std::mem::take(&mut plan.found)) {
                Ok(()) => {}
                // What was emptied so far can be given back; the rest is planned again.
                Err(error) if error.is_full() => return Ok(Step::Starved),
                Err(error) => return Err(error),
            }
        }
        if !whole {
            self.plan = Some(plan);
        }
        Ok(Step::Moved(moved))
    }

    fn make_plan(&mut self, asked: bool) -> Result<Made, MoveError> {
        let room = self.service.space().repack_room();
        let percent = self.service.space().repack_percent();
        let mut chunks = self.candidates(percent)?;
        let dead: u64 = chunks
            .iter()
            .map(|(_, chunk)| u64::from(chunk.length) - chunk.live_bytes)
            .sum();
        let worth = self.service.space().budget().repack_bytes;
        let hurry = asked || self.service.space().is_tight();
        if chunks.is_empty() || !hurry && dead < worth {
            return Ok(Made::Nothing);
        }
        chunks.sort_by_key(|(id, chunk)| (share(chunk, 1 << 20), *id));
        let mut left = room.min(limits::REPACK_PLAN_BYTES);
        let mut plan = Plan {
            chunks: HashSet::new(),
            references: 0,
            begun: self.at,
            wrapped: false,
            found: Vec::new(),
            found_bytes: 0,
        };
        for (id, chunk) in chunks {
            if chunk.live_bytes > left {
                break;
            }
            left -= chunk.live_bytes;
            plan.references += chunk.references;
            plan.chunks.insert(id);
        }
        Ok(if plan.chunks.is_empty() {
            Made::NoRoom
        } else {
            tracing::debug!(chunks = plan.chunks.len(), dead, percent, "packing anew");
            Made::Plan(plan)
        })
    }

    /// Chunks with less than `percent` of live bytes. Ids are hashes, so those beyond the limit are no
    /// others than these.
    fn candidates(&self, percent: u64) -> Result<Vec<(ChunkId, Chunk)>, TableError> {
        let mut found = Vec::new();
        let mut after = None;
        while found.len() < limits::REPACK_CHUNKS_MAX {
            // One short section for each, so that calls get between.
            let some = self
                .service
                .core()
                .index
                .sparse(after, limits::REPACK_LOOK)?;
            let Some((last, _)) = some.last() else {
                break;
            };
            after = Some(*last);
            found.extend(some.into_iter().filter(|(id, chunk)| {
                chunk.is_sparse() && share(chunk, 100) < percent && !self.unreadable.contains(id)
            }));
        }
        Ok(found)
    }

    /// Looks over a few extents and adds what names the plan's chunks to what was found. Says whether that
    /// was all.
    fn look_over(&mut self, plan: &mut Plan) -> Result<bool, TableError> {
        let batch_bytes = self.service.options().chunk_size_bytes * limits::DESTAGE_CHUNKS;
        for _ in 0..limits::REPACK_LOOKS {
            let wanted = |id: &ChunkId| plan.chunks.contains(id);
            let seen =
                self.service
                    .core()
                    .index
                    .extents_in(self.at, limits::REPACK_LOOK, &wanted)?;
            for range in seen.ranges {
                let full = plan.found_bytes >= batch_bytes as u64
                    || plan.found.len() >= limits::DESTAGE_RANGES;
                if full {
                    return Ok(false);
                }
                self.at = (range.ino, range.offset + range.length);
                plan.references = plan.references.saturating_sub(1);
                plan.found_bytes += range.length;
                plan.found.push(range);
            }
            match seen.next {
                Some(next) => self.at = next,
                None => {
                    if plan.wrapped {
                        return Ok(true);
                    }
                    self.at = (Ino(0), 0);
                    plan.wrapped = true;
                }
            }
            if plan.references == 0 || plan.wrapped && self.at > plan.begun {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn move_ranges(&mut self, ranges: Vec<ChunkRange>) -> Result<(), MoveError> {
        let (mut sources, mut contents) = (Vec::new(), Vec::new());
        // Copies of a file share ranges: they go on sharing them.
        let mut known: HashMap<(ChunkId, u32, u64), usize> = HashMap::new();
        let mut source_of: HashMap<ChunkId, usize> = HashMap::new();
        let mut moved: Vec<(ChunkRange, usize, usize)> = Vec::new();
        for range in ranges {
            let key = (range.chunk, range.chunk_offset, range.length);
            let content = match known.get(&key) {
                Some(content) => *content,
                None => {
                    let Some(bytes) = self.read(&range)? else {
                        continue;
                    };
                    contents.push(bytes);
                    known.insert(key, contents.len() - 1);
                    contents.len() - 1
                }
            };
            let source = *source_of.entry(range.chunk).or_insert_with(|| {
                sources.push(range.chunk);
                sources.len() - 1
            });
            moved.push((range, source, content));
        }
        if moved.is_empty() {
            return Ok(());
        }
        let packed = pack(&contents, self.service.options().chunk_size_bytes);
        let bytes = contents.iter().map(|content| content.len() as u64).sum();
        drop(contents);
        let moves = moved
            .iter()
            .flat_map(|(range, source, content)| {
                let of = packed
                    .pieces
                    .partition_point(|piece| piece.range < *content);
                let pieces = packed.pieces.iter().skip(of);
                let pieces = pieces.take_while(|piece| piece.range == *content);
                pieces.map(move |piece| step(range, *source, piece))
            })
            .collect();
        let chunks = put_durably(self.service, self.chunkd, packed.chunks)?;
        swap_in(
            self.service,
            Op::Repack {
                sources,
                chunks,
                moves,
            },
        )?;
        self.service.core().count_repacked(bytes);
        Ok(())
    }

    /// The bytes of a range. None: they cannot be read, or are not there any more.
    fn read(&mut self, range: &ChunkRange) -> Result<Option<Bytes>, MoveError> {
        let request = v1::ReadRequest {
            id: Bytes::copy_from_slice(&range.chunk.0),
            offset: range.chunk_offset,
            length: range.length as u32,
            ..v1::ReadRequest::default()
        };
        match self.chunkd.read(&mut chunkd::patient(), &request) {
            Ok(reply) if reply.data.len() as u64 == range.length => Ok(Some(reply.data)),
            Ok(_) | Err(Failure::Corrupt(_) | Failure::Errno(libc::EIO | libc::ENOENT)) => {
                let known = self.service.core().index.chunk(range.chunk)?;
                if known.is_some_and(|chunk| chunk.references > 0)
                    && self.unreadable.len() < limits::REPACK_CHUNKS_MAX
                {
                    tracing::warn!(chunk = %range.chunk, "it cannot be packed anew");
                    self.unreadable.insert(range.chunk);
                }
                Ok(None)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

enum Made {
    Plan(Plan),
    Nothing,
    NoRoom,
}

/// Live bytes of a chunk as parts of `whole`.
fn share(chunk: &Chunk, whole: u64) -> u64 {
    chunk.live_bytes.saturating_mul(whole) / u64::from(chunk.length.max(1))
}

fn step(range: &ChunkRange, source: usize, piece: &Piece) -> RepackMove {
    RepackMove {
        ino: range.ino,
        offset: range.offset + piece.skipped as u64,
        length: piece.length as u64,
        source: source as u32,
        source_offset: range.chunk_offset + piece.skipped as u32,
        chunk: piece.chunk,
        chunk_offset: piece.chunk_offset,
    }
}
