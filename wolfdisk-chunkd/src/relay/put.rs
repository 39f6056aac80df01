//! Puts and flushes while another node leads: carried out there, and answered with what that store says, so that receipts
//! name whoever holds the chunk.
//!
//! A place counts only with the store and the life of it that gave it. If another store answers a flush, whatever became of
//! the first, it says so and the front-end puts again: no flush is answered by a store that does not have the bytes.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::peer::{Given, Peer};
use super::{Relay, Shared, left, other_leads, unavailable};
use crate::limits;

/// A node that leads, and room for a put to it.
pub struct There {
    leader: Arc<Peer>,
    room: OwnedSemaphorePermit,
}

/// Who asks for a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For the place that it says.
    ForPlace,
    /// For all that was answered to it: it was given no places.
    ForAll,
}

impl Relay {
    /// Where so many bytes are to be put; none: here. Waits for room.
    ///
    /// # Errors
    /// `Unavailable`: too much is on its way.
    pub async fn puts_go(&self, bytes: u32) -> Result<Option<There>, Failure> {
        let Some(leader) = self.leader() else {
            return Ok(None);
        };
        let room = self.shared.put_room.clone().acquire_many_owned(bytes);
        match timeout(limits::RELAY_PUT_DEADLINE, room).await {
            Ok(Ok(room)) => Ok(Some(There { leader, room })),
            _ => Err(late(&leader)),
        }
    }

    /// Stores a chunk there.
    ///
    /// # Errors
    /// What that node says, or `Unavailable`: it does not answer, or leads no more; the chunk may be put again.
    pub async fn put(
        &self,
        there: There,
        request: v1::PutRequest,
    ) -> Result<v1::PutReply, Failure> {
        let shared = self.shared.clone();
        let answer = self.run(async move { shared.put(there, request).await });
        let answer = answer.await;
        if answer.is_err() {
            self.shared.counts.puts_failed.add(1);
        }
        answer
    }

    /// Waits until what was put is durable where it is; none: this node stores what is put, and knows itself.
    ///
    /// # Errors
    /// What that node says, or `Unavailable`: nobody answered in time.
    pub async fn flush(
        &self,
        request: v1::FlushRequest,
        waits: Waits,
    ) -> Result<Option<v1::FlushReply>, Failure> {
        let Some(leader) = self.leader() else {
            return Ok(None);
        };
        let request = match (waits, leader.given()) {
            (Waits::ForPlace, _) => request,
            (Waits::ForAll, Some(given)) if is_of(&request, &given) => v1::FlushRequest {
                place: given.place,
                node: given.node,
                incarnation: given.incarnation,
            },
            // Where that is, nobody here knows any more.
            (Waits::ForAll, _) => return Ok(Some(self.shared.void())),
        };
        let shared = self.shared.clone();
        let run = self.run(async move { shared.flush(leader.number, request).await });
        run.await
    }
}

/// Whether a flush is for what was put to that store. One that does not say is for the one that is asked.
fn is_of(request: &v1::FlushRequest, given: &Given) -> bool {
    request.incarnation == 0
        || (request.node, request.incarnation) == (given.node, given.incarnation)
}

impl Shared {
    async fn put(&self, there: There, request: v1::PutRequest) -> Result<v1::PutReply, Failure> {
        let There { leader, room } = there;
        let mut views = self.view.subscribe();
        let until = Instant::now() + limits::RELAY_PUT_DEADLINE;
        let place = timeout_at(until, leader.puts.acquire()).await;
        let _place = place.map_err(|_| late(&leader))?;
        let answer = tokio::select! {
            answer = leader.chunks.put(left(until), &request) => answer,
            () = other_leads(&mut views, leader.number) => {
                return Err(unavailable("another node leads now"));
            }
        };
        self.heard(&leader, &answer);
        let reply = answer.map_err(|failure| from_there(&leader, failure))?;
        leader.gave(&reply);
        self.counts.puts.add(1);
        self.counts.put_bytes.add(room.num_permits() as u64);
        Ok(reply)
    }

    /// Asks whoever leads, which tells what is its own from what is not, until one answers.
    async fn flush(
        &self,
        first: u64,
        request: v1::FlushRequest,
    ) -> Result<Option<v1::FlushReply>, Failure> {
        let mut views = self.view.subscribe();
        let until = Instant::now() + limits::RELAY_FLUSH_DEADLINE;
        loop {
            let leader = views.borrow_and_update().leader().cloned();
            let Some(leader) = leader else {
                // This node may lead now. Whether what was put is its own is told by who is asked.
                return Ok(None);
            };
            if leader.number != first && request.incarnation == 0 {
                // Its places are others.
                return Ok(Some(self.void()));
            }
            let answer = tokio::select! {
                answer = flush_at(&leader, until, &request) => answer,
                () = other_leads(&mut views, leader.number) => continue,
            };
            self.heard(&leader, &answer);
            match answer {
                Ok(reply) => {
                    self.counts.flushes.add(1);
                    let named = request.incarnation != 0;
                    let own =
                        (reply.node, reply.incarnation) == (request.node, request.incarnation);
                    if named && !own {
                        self.counts.puts_void.add(1);
                    }
                    return Ok(Some(reply));
                }
                Err(failure) if is_silence(&failure) && Instant::now() < until => {
                    tracing::debug!(node = leader.name, %failure, "a flush is asked for again");
                    let wait = sleep(limits::RELAY_PAUSE);
                    tokio::select! {
                        () = wait => (),
                        () = other_leads(&mut views, leader.number) => (),
                    }
                }
                Err(failure) => return Err(from_there(&leader, failure)),
            }
        }
    }

    /// Notes whether a node answered.
    pub(super) fn heard<T>(&self, peer: &Peer, answer: &Result<T, Failure>) {
        let silent = matches!(answer, Err(failure) if is_silence(failure));
        if silent {
            self.counts.unanswered.add(1);
        }
        peer.heard(!silent);
    }

    /// Names no store: what was put is to be put again.
    fn void(&self) -> v1::FlushReply {
        self.counts.puts_void.add(1);
        v1::FlushReply::default()
    }
}

async fn flush_at(
    leader: &Peer,
    until: Instant,
    request: &v1::FlushRequest,
) -> Result<v1::FlushReply, Failure> {
    let place = timeout_at(until, leader.flushes.acquire()).await;
    let _place = place.map_err(|_| late(leader))?;
    leader.chunks.flush(left(until), request).await
}

/// The node did not answer, or cannot: asking again makes sense. One that does not let this node in may have yet to be told
/// who its members are.
pub(super) fn is_silence(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable(_)
        | Failure::Denied(_)
        | Failure::Deadline(_)
        | Failure::Disconnected(_) => true,
        Failure::Errno(_)
        | Failure::StaleSession
        | Failure::Invalid(_)
        | Failure::Unsupported(_)
        | Failure::Corrupt(_) => false,
    }
}

/// What a front-end is told: it puts again if the other node did not answer.
fn from_there(leader: &Peer, failure: Failure) -> Failure {
    match is_silence(&failure) {
        true => unavailable(&format!("node {}, which leads: {failure}", leader.name)),
        false => failure,
    }
}

fn late(leader: &Peer) -> Failure {
    unavailable(&format!(
        "node {}, which leads, takes too long",
        leader.name
    ))
}
