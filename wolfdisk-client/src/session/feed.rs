//! The feed: heartbeat, invalidations and their confirmation, on a thread of its own; and the thread
//! that tells the kernel.
//!
//! Of every invalidation the own caches are dropped first, here; then the notification thread does
//! the slow part (the kernel, or writing back) holding no lock, in order. The next feed call confirms.
//! While the notification thread is stuck no call goes out, so the lease runs out on both sides: that is
//! what "unconfirmed" means.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wolfdisk_common::limits::HEARTBEAT_MS;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{FeedRequest, Invalidation};

use super::Session;
use crate::counters::Counter;
use crate::limits;

/// What the feed needs of the volume.
pub(crate) trait Follower: Send + Sync {
    /// Drops what is cached here; takes short locks only.
    fn drop_own(&self, invalidation: &Invalidation);
    /// Does what may take time: kernel caches, writing back. No lock is held. False: not done.
    fn drop_kernel(&self, invalidation: &Invalidation) -> bool;
    /// Every right is gone, and with `rolled_back` everything cached may be wrong.
    fn drop_all(&self, rolled_back: bool);
    /// Inodes whose rights go back and open-unlinked inodes that are closed. Until
    /// [`Follower::returned`] is called no right on the former is accepted.
    fn take_returns(&self) -> (Vec<u64>, Vec<u64>);
    /// The daemon has (or has not) taken what the last [`Follower::take_returns`] gave.
    fn returned(&self, taken: bool);
}

/// Work for the notification thread.
#[derive(Debug)]
enum Notice {
    Invalidation(Invalidation),
    Job(Job),
}

/// Something else that must run where the kernel is notified.
struct Job(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
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
    /// Invalidations queued or under way.
    open: usize,
    /// All up to this number are done.
    confirmed: u64,
    stopped: bool,
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

    fn push(&self, invalidations: Vec<Invalidation>) {
        let mut state = self.state.lock();
        state.open += invalidations.len();
        state
            .queue
            .extend(invalidations.into_iter().map(Notice::Invalidation));
        self.changed.notify_all();
    }

    /// Waits until all invalidations are done; false after `deadline`.
    fn wait_done(&self, deadline: Duration) -> bool {
        let mut state = self.state.lock();
        let waits = |state: &mut State| state.open > 0 && !state.stopped;
        self.changed.wait_while_for(&mut state, waits, deadline);
        state.open == 0
    }

    /// A new session counts from the start.
    fn restart(&self) {
        self.state.lock().confirmed = 0;
    }

    fn confirmed(&self) -> u64 {
        self.state.lock().confirmed
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
                Notice::Invalidation(invalidation) => {
                    self.notify_until_done(follower, &invalidation);
                    let mut state = self.state.lock();
                    state.open = state.open.saturating_sub(1);
                    state.confirmed = state.confirmed.max(invalidation.number);
                    self.changed.notify_all();
                }
            }
        }
    }

    /// A kernel that refuses to forget keeps what it has until its lifetime ends, as long as a lease.
    fn notify_until_done(&self, follower: &dyn Follower, invalidation: &Invalidation) {
        let until = Instant::now() + limits::NOTIFY_DEADLINE;
        while !follower.drop_kernel(invalidation) && Instant::now() < until {
            if self.state.lock().stopped {
                return;
            }
            std::thread::sleep(limits::RETRY_PAUSE);
        }
    }
}

/// The feed thread's life.
pub(crate) fn serve(session: &Session, notices: &Notices, follower: &dyn Follower) {
    let mut known = session.identity().session;
    while !session.is_stopped() {
        let identity = session.identity();
        if identity.session != known {
            known = identity.session;
            notices.restart();
        }
        let (dropped, released) = follower.take_returns();
        let request = FeedRequest {
            session: identity.session,
            confirmed: notices.confirmed(),
            dropped,
            released,
            wait_ms: HEARTBEAT_MS as u32,
        };
        let answered = exchange(session, notices, follower, &request);
        follower.returned(answered);
        if !answered {
            std::thread::sleep(limits::RETRY_PAUSE);
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
            follower.drop_all(false);
            return false;
        }
        Err(failure) => {
            tracing::debug!(%failure, "no heartbeat");
            return false;
        }
    };
    if reply.rolled_back {
        session.lease.next_epoch();
        session.forget_versions();
        follower.drop_all(true);
    }
    // Own caches go before the lease is renewed: nothing stale is used for a moment.
    for invalidation in &reply.invalidations {
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
    if !reply.invalidations.is_empty() {
        notices.push(reply.invalidations);
        while !notices.wait_done(limits::NOTIFY_DEADLINE) && !session.is_stopped() {
            tracing::warn!("a kernel notification is stuck; the lease is left to run out");
        }
    }
    true
}
