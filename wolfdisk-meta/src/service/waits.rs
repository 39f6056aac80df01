//! The loops behind the calls, and the things calls wait for. Every wait has a deadline.

use std::time::Duration;

use tokio::sync::oneshot;
use wolfdisk_common::ids::{LogIndex, SessionId};
use wolfdisk_common::limits::CALL_DEADLINE_MS;
use wolfdisk_proto::Failure;

use super::batch::{Done, Pending};
use super::error::ServiceError;
use super::rpc::Service;
use crate::index::op::{Answer, Op};
use crate::limits;

/// Longest a call waits for the disk or for other sessions.
const WAIT_MAX: Duration = Duration::from_millis(CALL_DEADLINE_MS);

impl Service {
    /// Runs until the log fails: takes what is queued through the log whenever there is something.
    pub async fn run_batches(&self) {
        let news = self.core().log.news();
        loop {
            match &news {
                None => self.work.notified().await,
                Some(news) => tokio::select! {
                    () = self.work.notified() => {}
                    () = news.notified() => {}
                },
            }
            loop {
                let (wall, now) = (self.clock.now(), self.clock.monotonic());
                let (outcome, waits, undestaged) = {
                    let mut core = self.core();
                    let outcome = core.run_batch(wall, now);
                    (
                        outcome,
                        core.next_tick().is_some(),
                        core.index.undestaged_bytes(),
                    )
                };
                if waits {
                    self.timer.notify_one();
                }
                if undestaged <= self.space.budget().undestaged_bytes {
                    self.room.notify_waiters();
                }
                match outcome {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => break,
                    Err(error) => return self.fail(error),
                }
            }
        }
    }

    /// Runs for ever: ends barriers whose leases ran out and lock requests that waited long enough.
    pub async fn run_timer(&self) {
        loop {
            let next = self.core().next_tick();
            let left = next.map(|next| next.saturating_sub(self.clock.monotonic()));
            let sleep = async {
                match left {
                    // A little later than the deadline rather than a little too early.
                    Some(left) => tokio::time::sleep(left + Duration::from_millis(1)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.timer.notified() => {}
            }
            let now = self.clock.monotonic();
            self.core().tick(now);
        }
    }

    /// Runs until syncing fails.
    pub async fn run_durable(&self) {
        let mut durable = self.durable.clone();
        while durable.changed().await.is_ok() {}
        self.fail(ServiceError::SyncFailed);
    }

    /// Whether no mutation waits for its place in the log.
    pub fn is_idle(&self) -> bool {
        self.core().queue.is_empty()
    }

    /// Drops what is queued: who waits for it is told that the daemon is ending. Nothing is accepted
    /// from now on.
    pub fn abandon(&self) {
        let mut core = self.core();
        core.closed = true;
        core.queue.clear();
        core.lock_parked.clear();
    }

    /// Sessions whose front-ends are dead; `is_gone` tells whether a process no longer exists.
    pub fn dead_sessions(&self, is_gone: impl Fn(u32) -> bool) -> Vec<SessionId> {
        let now = self.clock.monotonic();
        let core = self.core();
        let mut dead = core.liveness.expired(now);
        let suspects = core.liveness.suspects(now);
        dead.extend(
            suspects
                .iter()
                .filter(|suspect| suspect.pid == 0 || is_gone(suspect.pid))
                .map(|suspect| suspect.session),
        );
        dead.sort_unstable();
        dead.dedup();
        dead
    }

    pub(super) fn enqueue(&self, pending: Pending) -> Result<(), Failure> {
        {
            let mut core = self.core();
            if core.closed || self.failure.borrow().is_some() {
                return Err(Service::stopping());
            }
            if core.leads.is_none() {
                return Err(Service::not_leading());
            }
            if core.queue.len() >= limits::MUTATIONS_QUEUED_MAX {
                return Err(Failure::Unavailable("too many mutations are queued".into()));
            }
            core.queue.push_back(pending);
        }
        self.work.notify_one();
        Ok(())
    }

    /// Does a mutation of the daemon's own. The receiver gets its answer once it is applied.
    pub fn propose(&self, op: Op, durable: bool) -> Result<OwnMutation, Failure> {
        let (answer, receiver) = oneshot::channel();
        self.enqueue(Pending {
            op,
            origin: None,
            durable,
            lock_until: None,
            asker: None,
            answer,
        })?;
        Ok(OwnMutation(receiver))
    }

    /// Waits until an entry is durable.
    pub(super) async fn wait_durable(&self, index: LogIndex) -> Result<(), Failure> {
        let mut durable = self.durable.clone();
        let wait = tokio::time::timeout(WAIT_MAX, durable.wait_for(|reached| *reached >= index));
        match wait.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Service::stopping()),
            Err(_) => Err(Failure::Deadline("the log was not synced in time".into())),
        }
    }

    /// Waits until all other sessions have dropped what a mutation changed.
    pub(super) async fn wait_barrier(
        &self,
        barrier: Option<oneshot::Receiver<()>>,
    ) -> Result<(), Failure> {
        let Some(barrier) = barrier else {
            return Ok(());
        };
        self.timer.notify_one();
        match tokio::time::timeout(WAIT_MAX, barrier).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Service::stopping()),
            Err(_) => Err(Failure::Deadline("other sessions did not answer".into())),
        }
    }

    /// Waits until there is room for data that rides in the log; false if the disk is full and stays so,
    /// so that there may never be.
    pub(super) async fn wait_room(&self) -> Result<bool, Failure> {
        let wait = async {
            loop {
                let room = self.room.notified();
                if self.core().index.undestaged_bytes() <= self.space.budget().undestaged_bytes {
                    return true;
                }
                if !self.may_grow().await {
                    return false;
                }
                room.await;
            }
        };
        tokio::time::timeout(WAIT_MAX, wait).await.map_err(|_| {
            Failure::Unavailable(
                "small writes wait for wolfdisk-chunkd, which does not take them".into(),
            )
        })
    }
}

/// The answer to a mutation of the daemon's own, to come.
pub struct OwnMutation(oneshot::Receiver<Done>);

impl OwnMutation {
    /// Waits on the reactor.
    pub async fn applied(self) -> Option<(LogIndex, Answer)> {
        self.0.await.ok().and_then(own)
    }

    /// Waits on a thread beside the reactor. None: the daemon is ending.
    pub fn wait(self) -> Option<(LogIndex, Answer)> {
        self.0.blocking_recv().ok().and_then(own)
    }
}

fn own(done: Done) -> Option<(LogIndex, Answer)> {
    done.index.map(|index| (index, done.answer))
}
