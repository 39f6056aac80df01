//! The feed: heartbeat, invalidations and their confirmation, on a thread of its own; and the thread
//! that tells the kernel.
//!
//! Of every invalidation the own caches are dropped first, here; then the notification thread tells the
//! kernel holding no lock, in order. The next feed call confirms. While the notification thread is stuck
//! no call goes out, so the lease runs out on both sides: that is what "unconfirmed" means.
//!
//! Writing back is done by a worker, and calls go out meanwhile: the write may have to wait until another
//! session has dropped what it cached, and that session may itself be writing back for us. So the
//! feed tells two numbers: up to where everything is done, and up to where everything is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wolfdisk_common::limits::HEARTBEAT_MS;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::{FeedRequest, Invalidation};

use super::Session;
use crate::cache::table::Closed;
use crate::counters::Counter;
use crate::limits;

/// What the feed needs of the volume.
pub(crate) trait Follower: Send + Sync {
    /// Drops what is cached here; takes short locks only.
    fn drop_own(&self, invalidation: &Invalidation);
    /// Tells the kernel. No lock is held, and no call is made that waits for other sessions.
    fn drop_kernel(&self, invalidation: &Invalidation, session: u64) -> Told;
    /// Begins to write back what is buffered for the inode; [`Notices::written`] ends it.
    fn write_back(&self, invalidation: &Invalidation);
    /// Every right is gone, and with `rolled_back` everything cached may be wrong.
    fn drop_all(&self, rolled_back: bool);
    /// Inodes whose rights go back, and inodes that are closed and may be unlinked or wanted by others. Until
    /// [`Follower::returned`] is called no right on the former is accepted.
    fn take_returns(&self) -> (Vec<Closed>, Vec<Closed>);
    /// The daemon has (or has not) taken what the last [`Follower::take_returns`] gave.
    fn returned(&self, taken: bool);
}

/// Work for the notification thread.
#[derive(Debug)]
enum Notice {
    /// With the session it came for.
    Invalidation(Invalidation, u64),
    Job(Job),
}

/// Something else that must run where the kernel is notified.
struct Job(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

/// How far telling the kernel came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It does not hold the thing any more.
    Done,
    /// It may hold it until then: a lifetime it was given. Nobody waits for that.
    Until(Instant),
    /// The same, unless [`Notices::dropped`] comes first; and whoever changed the thing waits.
    Lasts(Instant),
    /// It refused: again.
    Failed,
}

/// What an invalidation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// The notification thread.
    Kernel,
    /// The worker that writes back.
    WriteBack,
    /// Time, which nobody waits for.
    Until(Instant),
    /// Time, or the thread that tells of names.
    Lasts(Instant),
}

impl Open {
    /// Something may still be used that was changed.
    fn is_kept(&self) -> bool {
        matches!(self, Open::Kernel | Open::Lasts(_))
    }

    /// Somebody waits for it, and a call held open could not tell that it is over.
    fn is_waited_for(&self) -> bool {
        matches!(self, Open::WriteBack | Open::Lasts(_))
    }

    fn is_over(&self, now: Instant) -> bool {
        matches!(self, Open::Until(when) | Open::Lasts(when) if *when <= now)
    }
}

/// The queue between feed and notification thread.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Notice>,
    /// Invalidations that are not done, by number.
    open: BTreeMap<u64, Open>,
    /// The highest number that came.
    seen: u64,
    /// Counts sessions: what was begun for an earlier one ends nothing of this.
    session: u64,
    stopped: bool,
}

impl State {
    fn has(&self, which: impl Fn(&Open) -> bool) -> bool {
        self.open.values().any(which)
    }

    /// Up to where none is open that `counts`.
    fn up_to(&self, counts: impl Fn(&Open) -> bool) -> u64 {
        let mut open = self.open.iter().filter(|(_, open)| counts(open));
        open.next().map_or(self.seen, |(number, _)| number - 1)
    }
}

impl Notices {
    /// Ends the notification thread once the queue is empty.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Runs something on the notification thread; waits for it at the most `deadline`.
    pub(crate) fn run(&self, deadline: Duration, job: impl FnOnce() + Send + 'static) -> bool {
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = done.clone();
        let job = Job(Box::new(move || {
            job();
            *signal.0.lock() = true;
            signal.1.notify_all();
        }));
        self.post(Notice::Job(job));
        let mut finished = done.0.lock();
        done.1
            .wait_while_for(&mut finished, |finished| !*finished, deadline);
        *finished
    }

    /// Queues something for the notification thread without waiting.
    pub(crate) fn queue(&self, job: impl FnOnce() + Send + 'static) {
        self.post(Notice::Job(Job(Box::new(job))));
    }

    fn post(&self, notice: Notice) {
        self.state.lock().queue.push_back(notice);
        self.changed.notify_all();
    }

    /// Takes in what came; gives those that are new. A number comes again if our word of it was late.
    fn admit(&self, mut invalidations: Vec<Invalidation>) -> Vec<Invalidation> {
        let mut state = self.state.lock();
        invalidations.retain(|invalidation| invalidation.number > state.seen);
        for invalidation in &invalidations {
            let open = match invalidation.kind() {
                Kind::WriteBack => Open::WriteBack,
                _ => Open::Kernel,
            };
            state.open.insert(invalidation.number, open);
            state.seen = state.seen.max(invalidation.number);
        }
        invalidations
    }

    fn push(&self, invalidation: Invalidation) {
        let session = self.session();
        self.post(Notice::Invalidation(invalidation, session));
    }

    /// An invalidation is done, or only waits for time.
    fn close(&self, number: u64, session: u64, told: Told) {
        let mut state = self.state.lock();
        if state.session == session && state.open.contains_key(&number) {
            match told {
                Told::Until(when) => state.open.insert(number, Open::Until(when)),
                Told::Lasts(when) => state.open.insert(number, Open::Lasts(when)),
                Told::Done | Told::Failed => state.open.remove(&number),
            };
        }
        self.changed.notify_all();
    }

    /// What the current session is called in [`Notices::written`].
    pub(crate) fn session(&self) -> u64 {
        self.state.lock().session
    }

    /// What was buffered has been written back for the invalidation `number` of `session`.
    pub(crate) fn written(&self, number: u64, session: u64) {
        self.close(number, session, Told::Done);
    }

    /// The kernel has forgotten what the invalidation `number` of `session` is about.
    pub(crate) fn dropped(&self, number: u64, session: u64) {
        self.close(number, session, Told::Done);
    }

    /// Waits for [`Notices::dropped`]; false after `patience`.
    pub(crate) fn wait_dropped(&self, number: u64, session: u64, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let waits = |state: &mut State| {
            state.session == session && state.open.contains_key(&number) && !state.stopped
        };
        let outcome = self.changed.wait_while_for(&mut state, waits, patience);
        !outcome.timed_out()
    }

    /// Waits until the kernel has been told of everything; false after `deadline`.
    fn wait_told(&self, deadline: Duration) -> bool {
        self.wait(|open| *open == Open::Kernel, deadline)
    }

    /// Waits for `which`, which are under way; false after `deadline`.
    fn wait(&self, which: impl Fn(&Open) -> bool, deadline: Duration) -> bool {
        let mut state = self.state.lock();
        let waits = |state: &mut State| state.has(&which) && !state.stopped;
        self.changed.wait_while_for(&mut state, waits, deadline);
        !state.has(which)
    }

    /// A new session counts from the start.
    fn restart(&self) {
        let mut state = self.state.lock();
        state.open.clear();
        state.seen = 0;
        state.session += 1;
        // Its predecessor's invalidations still reach the kernel, but nobody is told.
    }

    /// Up to where everything is done, up to where all is dropped, and whether somebody waits for more.
    fn progress(&self) -> (u64, u64, bool) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.open.retain(|_, open| !open.is_over(now));
        let told = state.up_to(Open::is_kept);
        (state.up_to(|_| true), told, state.has(Open::is_waited_for))
    }

    /// The notification thread's life.
    pub(crate) fn serve(&self, follower: &dyn Follower) {
        loop {
            let notice = {
                let mut state = self.state.lock();
                loop {
                    if let Some(notice) = state.queue.pop_front() {
                        break notice;
                    }
                    if state.stopped {
                        return;
                    }
                    self.changed.wait(&mut state);
                }
            };
            match notice {
                Notice::Job(job) => (job.0)(),
                Notice::Invalidation(invalidation, session) => {
                    let told = self.notify_until_done(follower, &invalidation, session);
                    self.close(invalidation.number, session, told);
                }
            }
        }
    }

    /// A kernel that refuses to forget keeps what it has until its lifetime ends, as long as a lease.
    fn notify_until_done(
        &self,
        follower: &dyn Follower,
        invalidation: &Invalidation,
        session: u64,
    ) -> Told {
        let until = Instant::now() + limits::NOTIFY_DEADLINE;
        loop {
            let told = follower.drop_kernel(invalidation, session);
            if told != Told::Failed || Instant::now() >= until || self.state.lock().stopped {
                return told;
            }
            std::thread::sleep(limits::RETRY_PAUSE);
        }
    }
}

/// The feed thread's life.
pub(crate) fn serve(session: &Session, notices: &Notices, follower: &dyn Follower) {
    let mut known = session.identity().session;
    let mut pauses = session.pauses();
    while !session.is_stopped() {
        let identity = session.identity();
        if identity.session != known {
            known = identity.session;
            notices.restart();
            // What the kernel was given under the lost session may have a while to live.
            follower.drop_all(true);
        }
        let (confirmed, told, awaited) = notices.progress();
        let (dropped, released) = follower.take_returns();
        let request = FeedRequest {
            session: identity.session,
            confirmed,
            told,
            dropped: dropped.iter().map(|closed| closed.ino.0).collect(),
            dropped_opens: dropped.iter().map(|closed| closed.opens).collect(),
            released: released.iter().map(|closed| closed.ino.0).collect(),
            released_opens: released.iter().map(|closed| closed.opens).collect(),
            // Held open it could not tell that it is done.
            wait_ms: if awaited { 0 } else { HEARTBEAT_MS as u32 },
        };
        let answered = exchange(session, notices, follower, &request);
        follower.returned(answered);
        if !answered {
            std::thread::sleep(pauses.next());
            continue;
        }
        pauses = session.pauses();
        if awaited {
            notices.wait(Open::is_waited_for, limits::WRITE_BACK_POLL);
        }
    }
}

fn exchange(
    session: &Session,
    notices: &Notices,
    follower: &dyn Follower,
    request: &FeedRequest,
) -> bool {
    let mut options = Options::within(Duration::from_millis(HEARTBEAT_MS) + limits::FEED_SLACK);
    options.retry = false;
    session.counters.count(Counter::Feed);
    let sent = Instant::now();
    let reply = match session.meta.feed(&mut options, request) {
        Ok(reply) => reply,
        Err(Failure::StaleSession) => {
            let until = Instant::now() + limits::CALL_DEADLINE;
            if let Err(error) = session.reopen(request.session, until)
                && !session.is_stopped()
            {
                tracing::warn!(%error, "no session");
            }
            return false;
        }
        Err(failure) => {
            tracing::debug!(%failure, "no heartbeat");
            return false;
        }
    };
    session.note_segments_gone(reply.segments_gone);
    if reply.rolled_back {
        session.lease.next_epoch();
        session.forget_versions();
        follower.drop_all(true);
    }
    // Own caches go before the lease is renewed: nothing stale is used for a moment.
    let news = notices.admit(reply.invalidations);
    for invalidation in &news {
        session.counters.count(Counter::Invalidations);
        follower.drop_own(invalidation);
    }
    if session
        .lease
        .renew(sent, Duration::from_millis(reply.lease_ms.into()))
    {
        session.counters.count(Counter::LeaseLapses);
        follower.drop_all(false);
    }
    for invalidation in news {
        match invalidation.kind() {
            Kind::WriteBack => follower.write_back(&invalidation),
            _ => notices.push(invalidation),
        }
    }
    while !notices.wait_told(limits::NOTIFY_DEADLINE) && !session.is_stopped() {
        tracing::warn!("a kernel notification is stuck; the lease is left to run out");
    }
    true
}
