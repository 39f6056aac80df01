//! Waiting for room: a writer is refused only when nothing is left that could be given back.
//!
//! Who finds the disk full asks for a round of reclaiming and waits until one that began after the question
//! has ended. If it fits then, it goes on; if room is still being made, it asks again; else the disk is
//! really full. All that wait share the rounds, which are made by a thread of their own
//! ([`crate::tasks::reclaim`]).

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::rpc::Service;
use crate::limits;
use crate::tasks::stop::Stop;

/// The rounds of reclaiming, numbered from 1.
pub struct Rounds {
    state: watch::Sender<State>,
    /// Wakes the thread that makes them.
    waker: OnceLock<Stop>,
}

#[derive(Clone, Copy, Default)]
struct State {
    asked: bool,
    begun: u64,
    ended: u64,
    /// Whether the last one left something that a later one may give back.
    hope: bool,
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds {
            state: watch::Sender::new(State::default()),
            waker: OnceLock::new(),
        }
    }
}

impl Rounds {
    /// `stop` is what the thread that makes the rounds waits on.
    pub fn wakes(&self, stop: Stop) {
        // There is one such thread.
        let _ = self.waker.set(stop);
    }

    /// Whether somebody waits for a round that has not begun.
    pub fn is_asked(&self) -> bool {
        self.state.borrow().asked
    }

    /// A round begins.
    pub fn begin(&self) {
        self.state.send_modify(|state| {
            state.asked = false;
            state.begun += 1;
        });
    }

    /// The round has ended; with `hope` a later one may give something back.
    pub fn end(&self, hope: bool) {
        self.state.send_modify(|state| {
            state.ended = state.begun;
            state.hope = hope;
        });
    }

    /// Asks for a round that has not begun and waits for its end. Says whether there is hope.
    async fn next(&self) -> bool {
        let mut ended = self.state.subscribe();
        let mut number = 0;
        self.state.send_if_modified(|state| {
            state.asked = true;
            number = state.begun + 1;
            false
        });
        if let Some(waker) = self.waker.get() {
            waker.nudge();
        }
        let state = ended.wait_for(|state| state.ended >= number).await;
        state.is_ok_and(|state| state.hope)
    }
}

impl Service {
    /// The rounds of reclaiming.
    pub fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// Waits, at most for `limit`, until `bytes` more fit beside what is kept.
    pub(super) async fn wait_fits(&self, bytes: u64, limit: Duration) -> Fits {
        let waiting = async {
            while !self.look_if_fits(bytes) {
                if !self.rounds.next().await {
                    return Fits::of(self.look_if_fits(bytes), false);
                }
            }
            Fits::Now
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        waited.unwrap_or_else(|_| Fits::of(self.look_if_fits(bytes), true))
    }

    /// Whether a mutation that grows something may be made; waits for room that is being made.
    pub(super) async fn may_grow(&self) -> bool {
        !self.look_if_full() || self.wait_fits(0, limits::ROOM_WAIT_MAX).await == Fits::Now
    }

    pub(super) async fn make_room(
        &self,
        _call: &mut Call,
        request: v1::MakeRoomRequest,
    ) -> Result<v1::MakeRoomReply, Failure> {
        let given_up = request.abandoned.iter();
        let given_up = given_up.filter_map(|id| ChunkId::from_slice(id).ok());
        for id in given_up {
            let mut abandoned = self.abandoned();
            if abandoned.len() < limits::ABANDONED_MAX {
                abandoned.insert(id);
            }
        }
        let wait = Duration::from_millis(request.wait_ms.into()).min(limits::ROOM_WAIT_MAX);
        let fits = self.wait_fits(request.bytes, wait).await;
        Ok(v1::MakeRoomReply {
            room: fits == Fits::Now,
            hope: fits == Fits::Later,
        })
    }
}

/// Whether something fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    /// Yes.
    Now,
    /// Not yet, but room is being made.
    Later,
    /// No, and nothing is left that could be given back.
    Never,
}

impl Fits {
    fn of(now: bool, hope: bool) -> Fits {
        match (now, hope) {
            (true, _) => Fits::Now,
            (false, true) => Fits::Later,
            (false, false) => Fits::Never,
        }
    }
}
