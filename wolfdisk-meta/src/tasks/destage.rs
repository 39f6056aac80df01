//! Moves small writes from the log into chunks, oldest first, by the batch.
//!
//! The bytes are put, made durable, and only then swapped in by a logged mutation, which leaves alone
//! what has been written over in the meantime. A failure at any step loses nothing: the next pass
//! begins again from what the index says is in the log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Incarnation, LogIndex, NodeNumber, PutEpoch};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::put_request::Source;

use super::chunkd::{self, Chunkd};
use super::pack::pack;
use super::stop::Stop;
use super::watch;
use crate::consensus::ReplicationError;
use crate::index::UndestagedRange;
use crate::index::op::{DestageChunk, Op, Receipt};
use crate::index::table::TableError;
use crate::limits;
use crate::service::Service;

/// How often the thread looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after a pass that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("wolfdisk-chunkd: {0}")]
    Chunkd(#[from] Failure),
    #[error("wolfdisk-chunkd restarted during a pass")]
    Restarted,
    #[error("wolfdisk-chunkd gave an id of {0} bytes")]
    BadId(usize),
    #[error("the index refused: errno {errno}, retry {retry}")]
    Refused { errno: i32, retry: bool },
    #[error(transparent)]
    Index(#[from] TableError),
    #[error(transparent)]
    Log(#[from] ReplicationError),
    #[error("the daemon is ending")]
    Ending,
}

/// The thread's life.
pub fn run(service: &Service, chunkd: &Chunkd, stop: &Stop) {
    let mut oldest: Option<(LogIndex, Instant)> = None;
    while !stop.wait(LOOK) {
        while !stop.is_requested() && is_due(service, &mut oldest) {
            match pass(service, chunkd) {
                Ok(()) => {}
                Err(PassError::Ending) => return,
                Err(PassError::Index(error)) => return service.fail(error.into()),
                Err(error) => {
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
    let enough = service.space().budget().destage_bytes;
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

fn pass(service: &Service, chunkd: &Chunkd) -> Result<(), PassError> {
    let chunk_size = service.options().chunk_size_bytes;
    let ranges = gather(service, chunk_size * limits::DESTAGE_CHUNKS)?;
    if ranges.is_empty() {
        return Ok(());
    }
    let packed = pack(&ranges, chunk_size);
    drop(ranges);
    let hello = chunkd.hello(&mut chunkd::patient(), &v1::Empty {})?;
    watch::announce(
        service,
        NodeNumber(hello.node),
        Incarnation(hello.incarnation),
    );
    let mut chunks = Vec::with_capacity(packed.chunks.len());
    let mut place = 0;
    for bytes in packed.chunks {
        let length = bytes.len() as u32;
        let put = v1::PutRequest {
            claimed_id: Bytes::new(),
            source: Some(Source::Data(Bytes::from(bytes))),
            privileged: true,
        };
        let put = chunkd.put(&mut chunkd::patient(), &put)?;
        if put.incarnation != hello.incarnation {
            return Err(PassError::Restarted);
        }
        place = place.max(put.place);
        let receipt = Receipt {
            node: NodeNumber(put.node),
            incarnation: Incarnation(put.incarnation),
            epoch: PutEpoch(put.epoch),
        };
        let id = ChunkId::from_slice(&put.id).map_err(PassError::BadId)?;
        chunks.push(DestageChunk {
            id,
            length,
            receipts: vec![receipt],
        });
    }
    // Data before log: the mutation names the chunks only once they are durable.
    let flushed = chunkd.flush(&mut chunkd::patient(), &v1::FlushRequest { place })?;
    if flushed.incarnation != hello.incarnation || flushed.durable_place < place {
        return Err(PassError::Restarted);
    }
    let proposed = service.propose(
        Op::Destage {
            chunks,
            moves: packed.moves,
        },
        false,
    )?;
    let (_, answer) = proposed.wait().ok_or(PassError::Ending)?;
    match (answer.errno, answer.retry_put) {
        (0, false) => Ok(()),
        (errno, retry) => Err(PassError::Refused { errno, retry }),
    }
}

/// The oldest ranges with their bytes, at most `limit` bytes, ordered by file and offset so that what is
/// read together lies together.
fn gather(service: &Service, limit: usize) -> Result<Vec<(UndestagedRange, Bytes)>, PassError> {
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
