//! Frees chunks that nothing refers to, by log order and never by time.
//!
//! The chunk store moves to a new put epoch; a logged mutation makes all older receipts void for
//! unreferenced chunks; once that is applied and durable, every chunk without a reference whose stamp is
//! older may go. See the model of this protocol in wolfdisk-chunkd's tests.
//!
//! What is swept is not the epoch that ended just now but the last one that ended a while ago: what was
//! put since is on its way into the index, and its writer would have to put it again. Chunks that the index
//! does not know are left alone for longer, unless their writer has given them up: if they went while it
//! waits for room for the next one, it would wait for what it has itself. Both are courtesies; what is safe
//! is told by the epochs alone.

use std::collections::VecDeque;
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

/// How often the thread looks whether an entry is durable.
const LOOK_DURABLE: Duration = Duration::from_millis(2);

/// Why a sweep ended early. The next one does the rest.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The chunk store did not answer, or refused.
    #[error("wolfdisk-chunkd: {0}")]
    Chunkd(#[from] Failure),
    /// The index could not be read.
    #[error(transparent)]
    Index(#[from] TableError),
    /// The index did not take a mutation.
    #[error("the index refused: errno {0}")]
    Refused(i32),
    /// It is time to end.
    #[error("the daemon is ending")]
    Ending,
}

/// Makes one sweep after the other, and remembers what the next one can leave out.
pub struct Sweeper<'a> {
    service: &'a Service,
    chunkd: &'a Chunkd,
    stop: &'a Stop,
    last: Instant,
    /// When everything in the store was last compared with the index.
    last_whole: Option<Instant>,
    /// Epochs that have ended and were not swept, and when.
    ended: VecDeque<(u64, Instant)>,
    /// The last epoch that was swept.
    swept: u64,
    /// Those that were, but may hold chunks that are still to be named.
    unnamed: VecDeque<(u64, Instant)>,
    /// The last one that is long enough ago, and the last up to which unknown chunks have been freed.
    known: u64,
    known_to: u64,
    /// Garbage and chunks given up that the last sweep left, since they were put too short a while ago.
    left: u64,
}

impl<'a> Sweeper<'a> {
    /// One that has not swept yet.
    pub fn new(service: &'a Service, chunkd: &'a Chunkd, stop: &'a Stop) -> Sweeper<'a> {
        Sweeper {
            service,
            chunkd,
            stop,
            last: Instant::now(),
            last_whole: None,
            ended: VecDeque::new(),
            swept: 0,
            unnamed: VecDeque::new(),
            known: 0,
            known_to: 0,
            left: 0,
        }
    }

    /// When the last sweep began.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// Whether everything in the store should be compared with the index, if only because it is long ago.
    pub fn is_whole_due(&self) -> bool {
        self.last_whole
            .is_none_or(|last| last.elapsed() >= limits::INVENTORY_INTERVAL)
    }

    /// Whether a later sweep will reach what this one could not, because it was put too short a while ago.
    pub fn is_waiting(&self) -> bool {
        self.left > 0
    }

    /// Sweeps. With `unknown` chunks in the store, they are looked for and go as well.
    ///
    /// # Errors
    /// What was not freed will be by the next one.
    pub fn sweep(&mut self, unknown: u64) -> Result<u64, SweepError> {
        self.last = Instant::now();
        let epoch = self
            .chunkd
            .advance_epoch(&mut chunkd::patient(), &v1::Empty {})?;
        let sweep = Sweep {
            service: self.service,
            chunkd: self.chunkd,
            stop: self.stop,
            node: NodeNumber(epoch.node),
            incarnation: epoch.incarnation,
        };
        watch::announce(self.service, sweep.node, Incarnation(sweep.incarnation));
        let before = (self.swept, self.left);
        self.time_passes(epoch.swept);
        self.left = self.wanted();
        let whole = self.is_whole_due() && self.known > 0;
        let hidden = whole || unknown > 0 && self.known > self.known_to;
        // What was left then is left now.
        let same = self.left == 0 || before == (self.swept, self.left);
        if self.swept == 0 || same && !hidden {
            return Ok(0);
        }
        let logged = sweep.log(Op::Sweep {
            node: sweep.node,
            swept: PutEpoch(self.swept),
        })?;
        sweep.wait_durable(logged)?;
        let mut freed = sweep.free_garbage(self.swept)?;
        freed += sweep.free_abandoned(self.swept)?;
        if hidden {
            let above = if whole { 0 } else { self.known_to };
            freed += sweep.free_unknown(above, self.known)?;
            self.known_to = self.known;
        }
        if whole {
            self.last_whole = Some(self.last);
        }
        self.left = self.wanted();
        Ok(freed)
    }

    /// Garbage, and chunks that their writers have given up.
    fn wanted(&self) -> u64 {
        let garbage = self.service.core().index.counters().garbage;
        garbage + self.service.abandoned().len() as u64
    }

    /// An epoch has ended; earlier ones have come of age.
    fn time_passes(&mut self, ended: u64) {
        self.ended.push_back((ended, self.last));
        let of_age = |at: &mut (u64, Instant)| at.1.elapsed() >= limits::UNNAMED_FOR;
        while let Some(at) = self.ended.pop_front_if(of_age) {
            self.swept = at.0;
            self.unnamed.push_back(at);
        }
        let old = |at: &mut (u64, Instant)| at.1.elapsed() >= limits::UNKNOWN_FOR;
        while let Some(at) = self.unnamed.pop_front_if(old) {
            self.known = at.0;
        }
    }
}

/// What one sweep works with.
struct Sweep<'a> {
    service: &'a Service,
    chunkd: &'a Chunkd,
    stop: &'a Stop,
    node: NodeNumber,
    incarnation: u64,
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
    fn free_garbage(&self, swept: u64) -> Result<u64, SweepError> {
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
            total += self.free(swept, &ids)?;
        }
    }

    /// Frees what writers have given up.
    fn free_abandoned(&self, swept: u64) -> Result<u64, SweepError> {
        let given_up: Vec<ChunkId> = self.service.abandoned().iter().copied().collect();
        let mut total = 0;
        for ids in given_up.chunks(limits::FREE_AT_ONCE) {
            total += self.free(swept, &self.unused(ids)?)?;
        }
        Ok(total)
    }

    /// Those that the index does not refer to. The others were not given up by everybody.
    fn unused(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, TableError> {
        let mut unused = Vec::new();
        for id in ids {
            let known = self.service.core().index.chunk(*id)?;
            if known.is_none_or(|chunk| chunk.references == 0) {
                unused.push(*id);
            } else {
                self.service.abandoned().remove(id);
            }
        }
        Ok(unused)
    }

    /// Frees what the chunk store was given after epoch `above` and up to epoch `swept`, and the index does
    /// not refer to: puts that were never committed.
    fn free_unknown(&self, above: u64, swept: u64) -> Result<u64, SweepError> {
        let (mut after, mut total) = (Bytes::new(), 0);
        loop {
            let request = v1::InventoryRequest {
                after: after.clone(),
                max: limits::FREE_AT_ONCE as u32,
                stamp_above: above,
                stamp_at_most: swept,
            };
            let page = self.chunkd.inventory(&mut chunkd::patient(), &request)?;
            let ids = page
                .ids
                .iter()
                .filter_map(|id| ChunkId::from_slice(id).ok());
            let unused = self.unused(&ids.collect::<Vec<_>>())?;
            total += self.free(swept, &unused)?;
            match page.ids.last() {
                Some(last) if !page.end => after = last.clone(),
                _ => return Ok(total),
            }
        }
    }

    fn free(&self, swept: u64, ids: &[ChunkId]) -> Result<u64, SweepError> {
        if self.stop.is_requested() {
            return Err(SweepError::Ending);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let request = v1::FreeRequest {
            swept,
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
            let mut abandoned = self.service.abandoned();
            for id in &freed {
                abandoned.remove(id);
            }
            drop(abandoned);
            self.log(Op::DropChunks {
                node: self.node,
                ids: freed,
            })?;
        }
        Ok(count)
    }
}
