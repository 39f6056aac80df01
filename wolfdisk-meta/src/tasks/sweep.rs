//! Gives back the room of chunks that nothing refers to, by log order and never by time.
//!
//! The chunk store moves to a new put epoch; a logged mutation makes all older receipts void for
//! unreferenced chunks; once that is applied and durable, every chunk without a reference whose stamp is
//! older may go. See the model of this protocol in wolfdisk-chunkd's tests.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Incarnation, LogIndex, NodeNumber, PutEpoch};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;

use super::chunkd::{self, Chunkd};
use super::stop::Stop;
use super::watch;
use crate::index::op::Op;
use crate::index::table::TableError;
use crate::limits;
use crate::service::Service;

/// How often the thread looks whether a sweep is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether an entry is durable.
const LOOK_DURABLE: Duration = Duration::from_millis(2);

/// Why a sweep ended early. The next one does the rest.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("wolfdisk-chunkd: {0}")]
    Chunkd(#[from] Failure),
    #[error(transparent)]
    Index(#[from] TableError),
    #[error("the index refused: errno {0}")]
    Refused(i32),
    #[error("the daemon is ending")]
    Ending,
}

/// What one sweep works with.
struct Sweep<'a> {
    service: &'a Service,
    chunkd: &'a Chunkd,
    stop: &'a Stop,
    node: NodeNumber,
    incarnation: u64,
    swept: u64,
}

/// The thread's life.
pub fn run(service: &Service, chunkd: &Chunkd, stop: &Stop) {
    let mut last = Instant::now();
    let mut last_full: Option<Instant> = None;
    while !stop.wait(LOOK) {
        let garbage = service.core().index.counters().garbage;
        let (full, tight) = (service.look_if_full(), service.space().is_tight());
        let since = last.elapsed();
        let interval = if full {
            limits::INVENTORY_INTERVAL_FULL
        } else {
            limits::INVENTORY_INTERVAL
        };
        let whole = last_full.is_none_or(|last| last.elapsed() >= interval);
        let soon = full || tight && garbage > 0 || garbage >= limits::SWEEP_GARBAGE;
        let due = since >= limits::SWEEP_INTERVAL && (garbage > 0 || whole)
            || soon && since >= limits::SWEEP_INTERVAL_FULL;
        if !due || service.space().chunkd().is_none() {
            continue;
        }
        last = Instant::now();
        match sweep(service, chunkd, stop, whole) {
            Ok(freed) => {
                tracing::debug!(freed, whole, "swept");
                if whole {
                    last_full = Some(Instant::now());
                }
            }
            Err(SweepError::Ending) => return,
            Err(SweepError::Index(error)) => return service.fail(error.into()),
            Err(error) => tracing::warn!(%error, "a sweep was broken off"),
        }
    }
}

fn sweep(service: &Service, chunkd: &Chunkd, stop: &Stop, whole: bool) -> Result<u64, SweepError> {
    let epoch = chunkd.advance_epoch(&mut chunkd::patient(), &v1::Empty {})?;
    let v1::AdvanceEpochReply {
        swept,
        incarnation,
        node,
    } = epoch;
    let node = NodeNumber(node);
    watch::announce(service, node, Incarnation(incarnation));
    let sweep = Sweep {
        service,
        chunkd,
        stop,
        node,
        incarnation,
        swept,
    };
    let logged = sweep.log(Op::Sweep {
        node,
        swept: PutEpoch(swept),
    })?;
    sweep.wait_durable(logged)?;
    let mut freed = sweep.free_garbage()?;
    if whole {
        freed += sweep.free_unknown()?;
    }
    Ok(freed)
}

impl Sweep<'_> {
    fn log(&self, op: Op) -> Result<LogIndex, SweepError> {
        let (index, answer) = self
            .service
            .propose(op, true)?
            .wait()
            .ok_or(SweepError::Ending)?;
        match answer.errno {
            0 => Ok(index),
            errno => Err(SweepError::Refused(errno)),
        }
    }

    /// Before anything is freed, the sweep must survive a power cut: else receipts that it made void
    /// would count again.
    fn wait_durable(&self, index: LogIndex) -> Result<(), SweepError> {
        while self.service.core().log.watermarks().durable < index {
            if self.stop.wait(LOOK_DURABLE) {
                return Err(SweepError::Ending);
            }
        }
        Ok(())
    }

    /// Frees what the index knows to be without references.
    fn free_garbage(&self) -> Result<u64, SweepError> {
        let (mut after, mut total) = (None, 0);
        loop {
            let ids = self
                .service
                .core()
                .index
                .garbage(after, limits::FREE_AT_ONCE)?;
            let Some(last) = ids.last() else {
                return Ok(total);
            };
            after = Some(*last);
            total += self.free(&ids)?;
        }
    }

    /// Frees what the chunk store has and the index does not refer to: puts that were never committed.
    fn free_unknown(&self) -> Result<u64, SweepError> {
        let (mut after, mut total) = (Bytes::new(), 0);
        loop {
            let request = v1::InventoryRequest {
                after: after.clone(),
                max: limits::FREE_AT_ONCE as u32,
                stamp_at_most: self.swept,
            };
            let page = self.chunkd.inventory(&mut chunkd::patient(), &request)?;
            let mut unused = Vec::new();
            for id in page
                .ids
                .iter()
                .filter_map(|id| ChunkId::from_slice(id).ok())
            {
                let known = self.service.core().index.chunk(id)?;
                if known.is_none_or(|chunk| chunk.references == 0) {
                    unused.push(id);
                }
            }
            total += self.free(&unused)?;
            match page.ids.last() {
                Some(last) if !page.end => after = last.clone(),
                _ => return Ok(total),
            }
        }
    }

    fn free(&self, ids: &[ChunkId]) -> Result<u64, SweepError> {
        if self.stop.is_requested() {
            return Err(SweepError::Ending);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let request = v1::FreeRequest {
            swept: self.swept,
            incarnation: self.incarnation,
            ids: ids.iter().map(|id| Bytes::copy_from_slice(&id.0)).collect(),
        };
        let reply = self.chunkd.free(&mut chunkd::patient(), &request)?;
        let freed: Vec<_> = reply
            .freed
            .iter()
            .filter_map(|id| ChunkId::from_slice(id).ok())
            .collect();
        let count = freed.len() as u64;
        if count > 0 {
            self.log(Op::DropChunks {
                node: self.node,
                ids: freed,
            })?;
        }
        Ok(count)
    }
}
