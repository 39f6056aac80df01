//! Gives room back, round by round: sweeps, has the chunk store compact, packs sparse chunks anew, cuts the
//! log.
//!
//! Rounds are made at a leisurely pace while there is room, sooner as it gets short, and at once when a
//! writer would else be refused: see [`Rounds`](crate::service::Rounds).

use std::time::{Duration, Instant};

use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;

use super::checkpoint;
use super::chunkd::{self, Chunkd};
use super::put::MoveError;
use super::repack::{Repacker, Step};
use super::stop::Stop;
use super::sweep::{SweepError, Sweeper};
use crate::index::table::TableError;
use crate::limits;
use crate::service::{Service, ServiceError};

/// How often the thread looks whether a round is due.
const LOOK: Duration = Duration::from_secs(1);
/// Between two rounds for writers that wait, when the last one gave nothing back yet.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a round ended early. The next one does the rest.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("wolfdisk-chunkd: {0}")]
    Chunkd(#[from] Failure),
    #[error(transparent)]
    Move(#[from] MoveError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<TableError> for RoundError {
    fn from(error: TableError) -> RoundError {
        RoundError::Service(error.into())
    }
}

struct Reclaim<'a> {
    service: &'a Service,
    chunkd: &'a Chunkd,
    stop: &'a Stop,
    sweeper: Sweeper<'a>,
    repacker: Repacker<'a>,
    /// Chunks were emptied since the last sweep, which may give them back.
    emptied: bool,
    /// Nothing can be packed anew before that.
    starved: bool,
    /// How far the chunk store had come in the last round.
    place: u64,
    /// The last round.
    last: Instant,
    /// When the chunk store last gave something back. Front-ends may still have it mapped.
    gained: Option<Instant>,
    /// Until when nobody needs to ask again: nothing was left.
    hopeless: Option<Instant>,
}

/// The thread's life.
pub fn run(service: &Service, chunkd: &Chunkd, stop: &Stop) {
    service.rounds().wakes(stop.clone());
    let mut reclaim = Reclaim {
        service,
        chunkd,
        stop,
        sweeper: Sweeper::new(service, chunkd, stop),
        repacker: Repacker::new(service, chunkd),
        emptied: false,
        starved: false,
        place: 0,
        last: Instant::now(),
        gained: None,
        hopeless: None,
    };
    let mut pause = LOOK;
    while !stop.wait(pause) {
        match reclaim.turn() {
            Ok(next) => pause = next,
            Err(RoundError::Sweep(SweepError::Ending) | RoundError::Move(MoveError::Ending)) => {
                return;
            }
            Err(RoundError::Service(error)) => return service.fail(error),
            Err(
                RoundError::Sweep(SweepError::Index(error))
                | RoundError::Move(MoveError::Index(error)),
            ) => return service.fail(error.into()),
            Err(error) => {
                tracing::warn!(%error, "giving room back was broken off");
                pause = LOOK;
            }
        }
    }
}

impl Reclaim<'_> {
    /// Does what is due. Gives the pause until it looks again.
    fn turn(&mut self) -> Result<Duration, RoundError> {
        let asked = self.service.rounds().is_asked();
        if asked && self.last.elapsed() < PAUSE {
            return Ok(PAUSE);
        }
        if asked || self.is_due() {
            self.service.rounds().begin();
            let hope = self.round(asked);
            self.last = Instant::now();
            // Who waits asks again after a failure, until it has waited long enough.
            self.service.rounds().end(*hope.as_ref().unwrap_or(&true));
            hope?;
            return Ok(PAUSE);
        }
        if self.repacker.is_due() {
            return Ok(self.repack(false)?.unwrap_or(LOOK));
        }
        Ok(LOOK)
    }

    fn is_due(&mut self) -> bool {
        let (garbage, unknown) = (self.garbage(), self.unknown());
        self.service.look_if_full();
        let tight = self.service.space().is_tight();
        let soon = self.emptied
            || tight && self.has_grown()
            || garbage > 0 && (tight || self.sweeper.is_waiting())
            || garbage >= self.service.space().budget().sweep_chunks;
        let interval = match soon {
            true if self.starved => limits::SWEEP_INTERVAL_ASKED,
            true => limits::SWEEP_INTERVAL_FULL,
            false => limits::SWEEP_INTERVAL,
        };
        let work = soon || garbage + unknown > 0 || self.sweeper.is_whole_due();
        work && self.last.elapsed() >= interval && self.service.space().chunkd().is_some()
    }

    /// Chunks that nothing refers to, or that their writers have given up.
    fn garbage(&self) -> u64 {
        let garbage = self.service.core().index.counters().garbage;
        garbage + self.service.abandoned().len() as u64
    }

    /// Something was put since the last round: an epoch that ends now is one that can be swept when room is
    /// wanted.
    fn has_grown(&self) -> bool {
        let told = self.service.space().chunkd();
        told.is_some_and(|told| told.durable_place != self.place)
    }

    /// Chunks in the store that the index does not know: on their way into it, or left by writers that
    /// were refused or died.
    fn unknown(&self) -> u64 {
        let stored = self.service.space().chunkd().map_or(0, |told| told.chunks);
        stored.saturating_sub(self.service.core().index.counters().chunks)
    }

    /// One round. Says whether a later one may give back more; `asked`: a writer waits for it.
    fn round(&mut self, asked: bool) -> Result<bool, RoundError> {
        let fresh = self.garbage() > 0;
        let hopeless = self.hopeless.is_some_and(|until| Instant::now() < until);
        if self.service.space().chunkd().is_none() || hopeless && !fresh {
            return Ok(false);
        }
        // One that is too early is made later.
        let mut more = self.sweeper.last().elapsed() < limits::SWEEP_INTERVAL_ASKED;
        let mut gained = false;
        if !more {
            let freed = self.sweeper.sweep(self.unknown())?;
            tracing::debug!(freed, asked, "swept");
            (self.emptied, self.starved) = (false, false);
            gained = freed > 0;
        }
        if asked && !gained {
            gained = self.shrink_index()?;
        }
        if gained || asked {
            let done = self.chunkd.compact(&mut chunkd::patient(), &v1::Empty {})?;
            if done.segments > 0 {
                tracing::debug!(done.segments, done.freed_bytes, "compacted");
                self.gained = Some(Instant::now());
            }
            more |= done.more;
        }
        self.look_again();
        if asked && !gained && !more && !self.starved && !self.service.look_if_fits(0) {
            gained = self.repack_for_a_while()?;
        }
        let waits = self
            .gained
            .is_some_and(|gained| gained.elapsed() < limits::MAPPED_MAX);
        let hope = gained || more || waits || self.emptied || self.is_pending()?;
        self.hopeless = (!hope).then(|| Instant::now() + limits::HOPELESS_FOR);
        Ok(hope)
    }

    /// What the disk and the chunk store say now.
    fn look_again(&mut self) {
        let status = self.chunkd.status(&mut chunkd::brief(), &v1::Empty {});
        if let Ok(status) = &status {
            self.place = status.durable_place;
        }
        self.service.look_again(status.ok());
    }

    /// Packs anew until something is to be swept. Says whether anything was moved or looked at.
    fn repack_for_a_while(&mut self) -> Result<bool, RoundError> {
        let begun = Instant::now();
        let mut any = false;
        while begun.elapsed() < limits::REPACK_ROUND && !self.stop.is_requested() {
            if self.repack(true)?.is_none() {
                break;
            }
            any = true;
        }
        Ok(any)
    }

    /// One step of packing anew. Gives the pause that is due after it; none: nothing is to be done.
    fn repack(&mut self, asked: bool) -> Result<Option<Duration>, RoundError> {
        let bytes = match self.repacker.step(asked)? {
            Step::Idle => return Ok(None),
            Step::Starved => {
                // Without anything to give back first there is no room at all.
                self.starved = self.emptied;
                return Ok(None);
            }
            Step::Moved(bytes) => bytes,
        };
        self.emptied |= bytes > 0;
        if asked || bytes > 0 && self.service.space().is_tight() {
            return Ok(Some(Duration::ZERO));
        }
        let seconds = bytes as f64 / limits::REPACK_BYTES_PER_SECOND as f64;
        Ok(Some(
            Duration::from_secs_f64(seconds).max(limits::REPACK_PAUSE),
        ))
    }

    /// Something waits to be deleted, swept, or moved out of the log.
    fn is_pending(&self) -> Result<bool, TableError> {
        let (reaping, in_log) = {
            let core = self.service.core();
            let reaping = !core.index.reaping(1)?.is_empty();
            (reaping, core.index.undestaged_bytes() > 0)
        };
        Ok(reaping || in_log || self.garbage() > 0)
    }

    /// Writes a checkpoint if that shortens the log by what is worth it, and copies its file if much of it
    /// is dead. Says whether it did.
    fn shrink_index(&self) -> Result<bool, ServiceError> {
        let worth = 3 * self.service.space().budget().segment_bytes;
        let before = self.service.core().log.log_bytes();
        if before >= worth {
            checkpoint::once(self.service, Some(self.stop))?;
        }
        let cut = self.service.core().log.log_bytes() < before;
        Ok(checkpoint::copy_if_worth(self.service)? || cut)
    }
}
