//! Moves small writes from the log into chunks, oldest first, by the batch.
//!
//! The bytes are put, made durable, and only then swapped in by a logged mutation, which leaves alone
//! what has been written over in the meantime. A failure at any step loses nothing: the next pass
//! begins again from what the index says is in the log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::LogIndex;

use super::chunkd::Chunkd;
use super::pack::{Piece, pack};
use super::put::{MoveError, put_durably, swap_in};
use super::stop::Stop;
use crate::consensus::ReplicationError;
use crate::index::UndestagedRange;
use crate::index::op::{DestageMove, Op};
use crate::limits;
use crate::service::Service;

/// How often the thread looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after a pass that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The thread's life.
pub fn run(service: &Service, chunkd: &Chunkd, stop: &Stop) {
    let mut oldest: Option<(LogIndex, Instant)> = None;
    while !stop.wait(LOOK) {
        while !stop.is_requested() && is_due(service, &mut oldest) {
            match pass(service, chunkd) {
                Ok(()) => {}
                Err(MoveError::Ending) => return,
                Err(MoveError::Index(error)) => return service.fail(error.into()),
                Err(error) => {
                    service.done.destage_failed();
                    tracing::warn!(%error, "small writes stay in the log for now");
                    if stop.wait(PAUSE) {
                        return;
                    }
                    break;
                }
            }
        }
    }
}

/// Much is in the log, or the oldest of it has been there for a while.
fn is_due(service: &Service, oldest: &mut Option<(LogIndex, Instant)>) -> bool {
    if service.space().chunkd().is_none() {
        // Asking would only wait, and a stop with it.
        return false;
    }
    // On a full disk the log's room is wanted: crumbs are better than a refusal.
    let enough = match service.space().is_full() {
        true => 0,
        false => service.space().budget().destage_bytes,
    };
    let core = service.core();
    let bytes = core.index.undestaged_bytes();
    let first = match core.index.first_needed_log_index() {
        Ok(first) => first,
        Err(error) => {
            drop(core);
            service.fail(error.into());
            return false;
        }
    };
    let Some(first) = first else {
        *oldest = None;
        return false;
    };
    match oldest {
        Some((index, since)) if *index == first => {
            bytes > enough || since.elapsed() >= limits::DESTAGE_AGE
        }
        // The first has been moved or written over: what follows it gets its own time, so that chunks
        // are filled and not made of crumbs.
        Some(_) | None => {
            *oldest = Some((first, Instant::now()));
            bytes > enough
        }
    }
}

fn pass(service: &Service, chunkd: &Chunkd) -> Result<(), MoveError> {
    let began = Instant::now();
    let chunk_size = service.options().chunk_size_bytes;
    let ranges = gather(service, chunk_size * limits::DESTAGE_CHUNKS)?;
    if ranges.is_empty() {
        return Ok(());
    }
    let packed = pack(ranges.iter().map(|(_, bytes)| bytes), chunk_size);
    let piece = |piece: &Piece| {
        let (range, _) = ranges.get(piece.range)?;
        Some(DestageMove {
            ino: range.ino,
            offset: range.offset + piece.skipped as u64,
            length: piece.length as u64,
            log_index: range.log_index,
            log_offset: range.log_offset + piece.skipped as u32,
            chunk: piece.chunk,
            chunk_offset: piece.chunk_offset,
        })
    };
    let moves: Vec<DestageMove> = packed.pieces.iter().filter_map(piece).collect();
    let bytes = moves.iter().map(|of| of.length).sum();
    drop(ranges);
    let chunks = put_durably(service, chunkd, packed.chunks)?;
    swap_in(service, Op::Destage { chunks, moves })?;
    service.done.destaged(bytes, began.elapsed());
    Ok(())
}

/// The oldest ranges with their bytes, at most `limit` bytes, ordered by file and offset so that what is
/// read together lies together.
fn gather(service: &Service, limit: usize) -> Result<Vec<(UndestagedRange, Bytes)>, MoveError> {
    let listed = service
        .core()
        .index
        .undestaged(LogIndex(0), limits::DESTAGE_RANGES)?;
    let mut ranges = Vec::new();
    let mut total = 0;
    for range in listed {
        total += range.length as usize;
        if total > limit && !ranges.is_empty() {
            break;
        }
        // One short section for each, so that calls get between.
        let core = service.core();
        match core
            .log
            .read(range.log_index, range.log_offset, range.length as u32)
        {
            Ok(bytes) => ranges.push((range, bytes)),
            // Written over since it was listed, and truncated: nothing to move.
            Err(ReplicationError::NoEntry(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ranges.sort_by_key(|(range, _)| (range.ino, range.offset));
    Ok(ranges)
}
