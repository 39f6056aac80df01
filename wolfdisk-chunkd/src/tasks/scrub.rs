//! Scrubbing: every chunk is read and compared with its id, at a pace that leaves the disk to others.
//!
//! One thread does the passes that the clock asks for and those that a tool asks for ([`Scrubber::run`]);
//! the latter come first. How far a pass of the clock has come is kept over restarts. The thread also
//! keeps what others have found to be damaged, soon after they found it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::OnFatal;
use super::maintain::Stop;
use crate::limits;
use crate::store::progress::{Progress, Scrubbed};
use crate::store::{Pass, Store, StoreError};

/// When and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// From the beginning of one pass to that of the next; `None`: only when a tool asks.
    pub interval: Option<Duration>,
    /// At the most.
    pub bytes_per_second: u64,
}

/// A pass that a tool asked for.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its number.
    pub number: u64,
    /// At the most; 0: as fast as it goes.
    pub bytes_per_second: u64,
    /// How far it has come.
    pub pass: Pass,
    /// Bytes that it had before it.
    pub total_bytes: u64,
    /// It is over.
    pub ended: bool,
    /// Why it is over early.
    pub failed: Option<String>,
    heard: Option<Instant>,
}

/// What the scrubbing thread and those who ask it share.
pub struct Scrubber {
    plan: Mutex<Plan>,
    /// Nothing is kept of it yet.
    fresh: bool,
    progress: Mutex<Progress>,
    run: Mutex<Run>,
}

/// Keeps the pace of one stretch of work.
struct Pace {
    began: Instant,
    bytes: u64,
    per_second: u64,
}

impl Pace {
    fn of(per_second: u64) -> Pace {
        Pace {
            began: Instant::now(),
            bytes: 0,
            per_second,
        }
    }

    /// How long to pause after `bytes` more.
    fn pause(&mut self, bytes: u64) -> Duration {
        self.bytes += bytes;
        if self.per_second == 0 {
            return Duration::ZERO;
        }
        let due = Duration::from_secs_f64(self.bytes as f64 / self.per_second as f64);
        due.saturating_sub(self.began.elapsed())
    }
}

impl Scrubber {
    /// Takes up what an earlier life of `store` has left.
    pub fn new(store: &Store, plan: Plan) -> Scrubber {
        let first = || Progress {
            // What a new store holds was verified when it was put.
            since_s: now_s(),
            ..Progress::default()
        };
        let known = store.load_progress();
        Scrubber {
            plan: Mutex::new(plan),
            fresh: known.is_none(),
            progress: Mutex::new(known.unwrap_or_else(first)),
            run: Mutex::new(Run {
                ended: true,
                ..Run::default()
            }),
        }
    }

    /// When and how fast.
    pub fn plan(&self) -> Plan {
        *self.plan.lock()
    }

    /// From now on it is done so. A pass that runs goes on from where it is.
    pub fn set_plan(&self, plan: Plan) {
        *self.plan.lock() = plan;
    }

    /// How far scrubbing has come.
    pub fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    /// Begins a pass over everything, or joins the one that another tool has begun.
    pub fn begin(&self, store: &Store, bytes_per_second: u64) -> Run {
        let mut run = self.run.lock();
        if run.ended {
            *run = Run {
                number: run.number + 1,
                bytes_per_second,
                total_bytes: store.live_bytes_total(),
                ..Run::default()
            };
        }
        run.heard = Some(Instant::now());
        run.clone()
    }

    /// How the pass with this number is; none if it is not known any more.
    pub fn follow(&self, number: u64) -> Option<Run> {
        let mut run = self.run.lock();
        run.heard = Some(Instant::now());
        (run.number == number).then(|| run.clone())
    }

    /// The thread's life.
    pub(super) fn run(&self, store: &Store, stop: &Stop, fatal: &OnFatal) {
        let mut known = (!self.fresh).then(|| store.damage_revision());
        let mut saved = Instant::now();
        while !stop.wait(limits::SCRUB_LOOK) {
            let outcome = self
                .serve_tool(store, stop)
                .and_then(|()| self.scrub(store, stop, &mut saved));
            if let Err(error) = outcome {
                if error.is_fatal() {
                    return fatal(&error);
                }
                tracing::warn!(%error, "scrubbing goes on later");
            }
            let revision = store.damage_revision();
            if known != Some(revision) {
                self.save(store);
                known = Some(revision);
            }
        }
        self.save(store);
    }

    fn save(&self, store: &Store) {
        if let Err(error) = store.store_progress(&self.progress()) {
            tracing::warn!(%error, "how far scrubbing has come is not kept");
        }
    }

    fn is_asked(&self) -> bool {
        !self.run.lock().ended
    }

    /// The pass that a tool waits for.
    fn serve_tool(&self, store: &Store, stop: &Stop) -> Result<(), StoreError> {
        if !self.is_asked() {
            return Ok(());
        }
        let per_second = self.run.lock().bytes_per_second;
        let (mut pass, mut pace) = (Pass::default(), Pace::of(per_second));
        loop {
            let before = pass.bytes;
            let step = store.verify_some(&mut pass, limits::SCRUB_STEP_BYTES);
            let mut run = self.run.lock();
            run.pass = pass;
            let forsaken = run
                .heard
                .is_none_or(|heard| heard.elapsed() > limits::SCRUB_RUN_FORSAKEN);
            match &step {
                Ok(false) if !forsaken => {}
                Ok(_) => run.ended = true,
                Err(error) => {
                    run.failed = Some(error.to_string());
                    run.ended = true;
                }
            }
            let ended = run.ended;
            drop(run);
            if step? || ended || stop.wait(pace.pause(pass.bytes - before)) {
                return Ok(());
            }
        }
    }

    /// The pass of the clock, from where it is; until it is done, something else is asked or planned, or it is time to
    /// end.
    fn scrub(&self, store: &Store, stop: &Stop, saved: &mut Instant) -> Result<(), StoreError> {
        let plan = self.plan();
        let Some(interval) = plan.interval else {
            return Ok(());
        };
        let mut pace = Pace::of(plan.bytes_per_second);
        let mut scrubbed = match self.progress() {
            Progress {
                running: Some(running),
                ..
            } => running,
            Progress { since_s, .. } if since_s + interval.as_secs() > now_s() => return Ok(()),
            Progress { .. } => Scrubbed {
                began_s: now_s(),
                ..Scrubbed::default()
            },
        };
        loop {
            let before = scrubbed.pass.bytes;
            let ended = store.verify_some(&mut scrubbed.pass, limits::SCRUB_STEP_BYTES)?;
            let mut progress = self.progress.lock();
            progress.running = (!ended).then_some(scrubbed);
            if ended {
                scrubbed.ended_s = now_s();
                progress.last = Some(scrubbed);
                progress.since_s = scrubbed.began_s;
            }
            drop(progress);
            if ended {
                let Pass {
                    bytes,
                    chunks,
                    damaged,
                    healed,
                    ..
                } = scrubbed.pass;
                tracing::info!(bytes, chunks, damaged, healed, "everything was scrubbed");
            }
            if ended || saved.elapsed() >= limits::SCRUB_SAVE_INTERVAL {
                self.save(store);
                *saved = Instant::now();
            }
            let pause = pace.pause(scrubbed.pass.bytes - before);
            if ended || stop.wait(pause) || self.is_asked() || self.plan() != plan {
                return Ok(());
            }
        }
    }
}

fn now_s() -> u64 {
    // A clock before 1970 makes the next pass due at once.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
