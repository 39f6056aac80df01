//! One front-end's life at wolfdisk-meta: its number, its lease, and calls that survive restarts.
//!
//! A mutation keeps its number over every retry, so it is done once however often it is sent. A session
//! that the daemon does not know any more is replaced on the spot: rights are gone with it (a new
//! epoch), and so are locks (a new identity, which handles with locks compare).

pub(crate) mod feed;
pub(crate) mod lease;
pub(crate) mod pauses;
pub(crate) mod sequence;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{
    CloseSessionRequest, MutateReply, MutateRequest, OpenSessionReply, OpenSessionRequest,
    SyncRequest, mutate_request::Op,
};

use crate::counters::{Counter, Counters};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::limits;
use crate::transport::MetaCalls;
use lease::Lease;
use pauses::Pauses;
use sequence::Sequences;

/// Who the daemon takes us for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) session: u64,
    /// The epoch in which it was asked for: answers are cached only while that lasts.
    pub(crate) epoch: u64,
    /// Rounds of giving rights back that were over by then.
    pub(crate) returns: u64,
}

/// How a mutation is to be answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// When it is on stable storage.
    pub(crate) durable: bool,
    /// The inode it makes or removes is held open by this session.
    pub(crate) keep_open: bool,
}

/// What a session holds that was taken over.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// It was; else the daemon did not know it any more.
    pub(crate) taken_over: bool,
    /// The version of that.
    pub(crate) version: u64,
    /// Inodes without names that it holds open.
    pub(crate) orphans: Vec<u64>,
    /// Inodes and owners of locks.
    pub(crate) locks: Vec<(u64, u64)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) meta: MetaCalls,
    pub(crate) lease: Lease,
    pub(crate) counters: Arc<Counters>,
    opening: OpenSessionRequest,
    /// Where a successor finds the number of the session.
    ledger: Option<Arc<Ledger>>,
    /// The daemon is on another machine: a link may be lost without a word.
    far: bool,
    current: RwLock<Current>,
    reopening: Mutex<()>,
    sequences: Mutex<(u64, Sequences)>,
    answered: Condvar,
    last_version: AtomicU64,
    durable_version: AtomicU64,
    /// Rounds of giving rights back that are over.
    returns: AtomicU64,
    /// Opens that the daemon was asked for.
    opens: AtomicU64,
    /// Segments that the chunk store has given back, and the thread that lets go of them here.
    segments_gone: AtomicU64,
    retires: OnceLock<Thread>,
    stopped: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    session: u64,
    chunk_size: u32,
    root: u64,
}

impl Session {
    /// Opens a session.
    pub(crate) fn open(
        meta: MetaCalls,
        counters: Arc<Counters>,
        mut opening: OpenSessionRequest,
        ledger: Option<Arc<Ledger>>,
        far: bool,
    ) -> Result<(Session, Inherited)> {
        let lease = Lease::default();
        let reply = ask_for_session(&meta, &counters, &opening, &lease, limits::CONNECT_DEADLINE)?;
        keep_number(ledger.as_deref(), reply.session)?;
        opening.take_over = 0;
        let inherited = Inherited {
            taken_over: reply.taken_over,
            version: reply.version,
            orphans: reply.orphans.clone(),
            locks: (reply.locks.iter().map(|lock| (lock.ino, lock.owner))).collect(),
        };
        let session = Session {
            meta,
            lease,
            counters,
            opening,
            ledger,
            far,
            current: RwLock::new(Current::from(&reply)),
            reopening: Mutex::new(()),
            sequences: Mutex::new((reply.session, Sequences::default())),
            answered: Condvar::new(),
            last_version: AtomicU64::new(0),
            durable_version: AtomicU64::new(0),
            returns: AtomicU64::new(0),
            opens: AtomicU64::new(0),
            segments_gone: AtomicU64::new(0),
            retires: OnceLock::new(),
            stopped: AtomicBool::new(false),
        };
        Ok((session, inherited))
    }

    /// The session's number and the epoch, as a request begins.
    pub(crate) fn identity(&self) -> Identity {
        // The epoch is read first: if it moves on in between, the answer is not cached.
        let epoch = self.lease.epoch();
        Identity {
            session: self.current.read().session,
            epoch,
            returns: self.returns(),
        }
    }

    /// Rounds of giving rights back that are over.
    pub(crate) fn returns(&self) -> u64 {
        self.returns.load(Ordering::Acquire)
    }

    /// The daemon has been told of the rights that go back, or will be told in a later round.
    pub(crate) fn end_returns(&self) {
        self.returns.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of the last open that the daemon was asked for.
    pub(crate) fn last_open(&self) -> u64 {
        self.opens.load(Ordering::SeqCst)
    }

    /// The number of an open that the daemon is about to be asked for.
    pub(crate) fn next_open(&self) -> u64 {
        self.opens.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// This thread is woken when segments have been given back.
    pub(crate) fn retires_here(&self) {
        // There is one such thread.
        let _ = self.retires.set(std::thread::current());
    }

    /// The chunk store has given back so many segments.
    pub(crate) fn note_segments_gone(&self, gone: u64) {
        if self.segments_gone.swap(gone, Ordering::AcqRel) != gone
            && let Some(thread) = self.retires.get()
        {
            thread.unpark();
        }
    }

    pub(crate) fn chunk_size(&self) -> u32 {
        self.current.read().chunk_size
    }

    pub(crate) fn root(&self) -> u64 {
        self.current.read().root
    }

    /// Nothing may be asked any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Every later call fails.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Asks something that changes nothing. The answer comes with the identity it was asked under.
    pub(crate) fn ask<Q, R>(
        &self,
        counter: Counter,
        request: impl Fn(u64) -> Q,
        call: impl Fn(&MetaCalls, &mut Options, &Q) -> std::result::Result<R, Failure>,
    ) -> Result<(R, Identity)> {
        let until = Instant::now() + limits::CALL_DEADLINE;
        loop {
            self.check_running()?;
            let identity = self.identity();
            self.counters.count(counter);
            let mut options = Options::within(left(until));
            match call(&self.meta, &mut options, &request(identity.session)) {
                Ok(reply) => return Ok((reply, identity)),
                Err(Failure::StaleSession) if Instant::now() < until => {
                    self.reopen(identity.session, until)?;
                }
                Err(failure) => return Err(refused(failure)),
            }
        }
    }

    /// Does a mutation exactly once and gives its answer; an errno in it becomes an error.
    pub(crate) fn mutate(&self, op: &Op, manner: Manner) -> Result<(MutateReply, Identity)> {
        let (reply, identity) = self.mutate_raw(op, manner)?;
        match reply.errno {
            0 => Ok((reply, identity)),
            errno => Err(Error::Refused(errno as i32)),
        }
    }

    /// Like [`Session::mutate`], but leaves the errno in the answer.
    pub(crate) fn mutate_raw(&self, op: &Op, manner: Manner) -> Result<(MutateReply, Identity)> {
        // A lock changes no file, and holds against who may write.
        if self.opening.read_only && !matches!(op, Op::Lock(_)) {
            return Err(Error::Refused(libc::EROFS));
        }
        let until = Instant::now() + limits::CALL_DEADLINE;
        loop {
            let identity = self.identity();
            let Some((number, acknowledged)) = self.take_number(identity.session, until)? else {
                continue; // the session was replaced meanwhile
            };
            let request = MutateRequest {
                session: identity.session,
                sequence: number,
                acknowledged,
                durable: manner.durable,
                keep_open: manner.keep_open,
                op: Some(op.clone()),
            };
            let outcome = self.send_mutation(&request, until);
            self.give_back(identity.session, number);
            match outcome {
                Ok(reply) => {
                    self.note(&reply, manner.durable);
                    return Ok((reply, identity));
                }
                Err(Refusal {
                    failure: Failure::StaleSession,
                    may_be_done: false,
                }) => {
                    self.reopen(identity.session, until)?;
                }
                Err(refusal) => return Err(refused(refusal.failure)),
            }
        }
    }

    fn send_mutation(
        &self,
        request: &MutateRequest,
        until: Instant,
    ) -> std::result::Result<MutateReply, Refusal> {
        let mut may_be_done = false;
        let mut pauses = self.pauses();
        loop {
            if self.is_stopped() {
                let failure = Failure::Unavailable("the volume is shut down".to_owned());
                return Err(Refusal {
                    failure,
                    may_be_done,
                });
            }
            self.counters.count(Counter::Mutate);
            let mut options = Options::within(self.attempt(until));
            options.retry = false;
            let failure = match self.meta.mutate(&mut options, request) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            match &failure {
                Failure::Disconnected(_) => may_be_done = true,
                // It keeps its number: what took place is answered again.
                Failure::Deadline(_) if self.far => may_be_done = true,
                Failure::Unavailable(_) => {}
                _ => {
                    return Err(Refusal {
                        failure,
                        may_be_done,
                    });
                }
            }
            let pause = pauses.next();
            if Instant::now() + pause >= until {
                if self.far {
                    tracing::warn!(%failure, "a change was given up: no node answers");
                }
                return Err(Refusal {
                    failure,
                    may_be_done,
                });
            }
            std::thread::sleep(pause);
        }
    }

    /// Makes everything up to `version` durable; no call if it is known to be.
    pub(crate) fn sync(&self, version: u64) -> Result<()> {
        if version <= self.durable_version.load(Ordering::Acquire) {
            return Ok(());
        }
        let request = |session| SyncRequest { session, version };
        let (reply, _) = self.ask(Counter::Sync, request, |meta, options, request| {
            meta.sync(options, request)
        })?;
        self.durable_version
            .fetch_max(reply.durable, Ordering::AcqRel);
        if reply.durable < version {
            return Err(Error::Malformed("a sync that did not reach its version"));
        }
        Ok(())
    }

    /// The version of the last mutation of this session.
    pub(crate) fn last_version(&self) -> u64 {
        self.last_version.load(Ordering::Acquire)
    }

    /// The index went back to what was durable: versions beyond it are not the ones we knew.
    pub(crate) fn forget_versions(&self) {
        self.durable_version.store(0, Ordering::Release);
    }

    /// Says goodbye; failing to do so costs the daemon a wait until expiry.
    pub(crate) fn close(&self) -> Result<()> {
        let request = CloseSessionRequest {
            session: self.identity().session,
        };
        let mut options = Options::within(limits::CONNECT_DEADLINE);
        options.retry = false;
        self.meta.close_session(&mut options, &request)?;
        Ok(())
    }

    /// The pauses between attempts to reach the daemon.
    pub(crate) fn pauses(&self) -> Pauses {
        Pauses::new(match self.far {
            true => limits::FAR_RETRY_PAUSE_MAX,
            false => limits::RETRY_PAUSE,
        })
    }

    /// How long one attempt at a mutation may take.
    fn attempt(&self, until: Instant) -> Duration {
        match self.far {
            true => left(until).min(limits::FAR_ATTEMPT),
            false => left(until),
        }
    }

    fn check_running(&self) -> Result<()> {
        if self.is_stopped() {
            Err(Error::ShutDown)
        } else {
            Ok(())
        }
    }

    fn take_number(&self, session: u64, until: Instant) -> Result<Option<(u64, u64)>> {
        let mut sequences = self.sequences.lock();
        loop {
            self.check_running()?;
            if sequences.0 != session {
                return Ok(None);
            }
            if let Some(number) = sequences.1.take() {
                return Ok(Some((number, sequences.1.acknowledged())));
            }
            if self.answered.wait_until(&mut sequences, until).timed_out() {
                return Err(
                    Failure::Deadline("too many mutations are unanswered".to_owned()).into(),
                );
            }
        }
    }

    fn give_back(&self, session: u64, number: u64) {
        let mut sequences = self.sequences.lock();
        if sequences.0 == session {
            sequences.1.done(number);
            self.answered.notify_all();
        }
    }

    fn note(&self, reply: &MutateReply, durable: bool) {
        self.last_version.fetch_max(reply.version, Ordering::AcqRel);
        if durable && reply.errno == 0 {
            self.durable_version
                .fetch_max(reply.version, Ordering::AcqRel);
        }
    }

    /// Replaces the session `stale`, unless another thread has done so.
    pub(crate) fn reopen(&self, stale: u64, until: Instant) -> Result<()> {
        let _one = self.reopening.lock();
        self.check_running()?;
        if self.current.read().session != stale {
            return Ok(());
        }
        self.counters.count(Counter::SessionsLost);
        if self.opening.exclusive {
            tracing::error!(
                session = stale,
                "the exclusive session has expired; mount anew"
            );
            self.stop();
            return Err(Error::ShutDown);
        }
        tracing::warn!(
            session = stale,
            "the session has expired; a new one is opened"
        );
        let reply = ask_for_session(
            &self.meta,
            &self.counters,
            &self.opening,
            &self.lease,
            left(until),
        )?;
        keep_number(self.ledger.as_deref(), reply.session)?;
        *self.current.write() = Current::from(&reply);
        self.lease.next_epoch();
        *self.sequences.lock() = (reply.session, Sequences::default());
        self.answered.notify_all();
        Ok(())
    }
}

impl From<&OpenSessionReply> for Current {
    fn from(reply: &OpenSessionReply) -> Current {
        Current {
            session: reply.session,
            chunk_size: reply.chunk_size,
            root: reply.root,
        }
    }
}

struct Refusal {
    failure: Failure,
    /// An attempt may have reached the daemon: doing it again under a new number could do it twice.
    may_be_done: bool,
}

fn ask_for_session(
    meta: &MetaCalls,
    counters: &Counters,
    opening: &OpenSessionRequest,
    lease: &Lease,
    deadline: Duration,
) -> Result<OpenSessionReply> {
    counters.count(Counter::OpenSession);
    let sent = Instant::now();
    let reply = meta.open_session(&mut Options::within(deadline), opening)?;
    lease.renew(sent, Duration::from_millis(reply.lease_ms.into()));
    let size = reply.chunk_size as usize;
    let range = wolfdisk_common::limits::CHUNK_SIZE_MIN_BYTES
        ..=wolfdisk_common::limits::CHUNK_SIZE_MAX_BYTES;
    if !size.is_power_of_two() || !range.contains(&size) {
        return Err(Error::Malformed("a chunk size"));
    }
    Ok(reply)
}

fn keep_number(ledger: Option<&Ledger>, session: u64) -> Result<()> {
    let kept = ledger.map_or(Ok(()), |ledger| ledger.set_session(session));
    kept.map_err(|error| Error::system("keeping a session in mind", &error))
}

fn left(until: Instant) -> Duration {
    until
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

fn refused(failure: Failure) -> Error {
    match failure {
        Failure::Errno(errno) => Error::Refused(errno),
        other => Error::Failed(other),
    }
}
