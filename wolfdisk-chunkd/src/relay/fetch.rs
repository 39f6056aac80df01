//! Reading what is not here: of the leader first, then of the others, verified by the chunk's id.
//!
//! Each node is asked until it has answered once. One that does not answer, and nodes that are not known yet, are waited for
//! up to a limit; where all have answered and none has it, there is no waiting.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout, timeout_at};
use wolfdisk_common::hash::proves;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::limits::LEAF_SIZE_BYTES;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::cache::{Asked, Landed, Part, Range};
use super::peer::Peer;
use super::put::is_silence;
use super::view::View;
use super::{Relay, Shared, left, unavailable};
use crate::limits;
use crate::service::id_bytes;

/// A range that other nodes hold, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The bytes.
    pub data: Bytes,
    /// The hashes of all leaves of the chunk, after one another; none of a chunk of one leaf.
    pub leaves: Bytes,
    /// Bytes of the chunk.
    pub chunk: u32,
}

/// What a node answered that gave nothing.
enum Refused {
    /// It does not have the chunk.
    Lacking,
    /// It has it, damaged, or what it gave was something else.
    Damaged,
    /// Something else, and it would answer so again.
    Otherwise(Failure),
    /// Nothing, or that it cannot now.
    Silent(Failure),
}

impl Relay {
    /// Reads a range of a chunk that this node does not have.
    ///
    /// # Errors
    /// `ENOENT`: nobody has it. `Corrupt`: nobody has it whole. `Invalid`: the chunk is shorter. `Unavailable`: not all
    /// who may have it answered in time.
    pub async fn read(&self, id: ChunkId, offset: u32, length: u32) -> Result<Fetched, Failure> {
        let end = offset.checked_add(length).ok_or_else(|| beyond(&id))?;
        let mut at = offset;
        let mut gathered = BytesMut::new();
        loop {
            let range = self.shared.cache.range_at(id, at, end);
            let part = self.part(range).await?;
            if end > part.chunk {
                return Err(beyond(&id));
            }
            self.fetch_ahead(range, at, end, part.chunk);
            let there = part.data.len() as u32;
            let stop = end.min(part.start.saturating_add(there));
            let within = (at - part.start) as usize..stop.saturating_sub(part.start) as usize;
            let piece = part
                .data
                .get(within.clone())
                .map(|_| part.data.slice(within));
            let piece = piece.ok_or_else(|| beyond(&id))?;
            let fetched = |data| Fetched {
                data,
                leaves: part.leaves.clone(),
                chunk: part.chunk,
            };
            if stop == end && at == offset {
                return Ok(fetched(piece));
            }
            gathered.extend_from_slice(&piece);
            if stop == end {
                return Ok(fetched(gathered.freeze()));
            }
            at = stop;
        }
    }

    async fn part(&self, range: Range) -> Result<Arc<Part>, Failure> {
        let mut flight = match self.shared.cache.ask(range) {
            Asked::Here(part) => {
                self.shared.counts.hits.add(1);
                return Ok(part);
            }
            Asked::Theirs(flight) => flight,
            Asked::Ours(sender) => {
                let flight = sender.subscribe();
                self.begin(range, sender)?;
                flight
            }
        };
        let landed = flight.wait_for(Option::is_some);
        let within = limits::RELAY_READ_DEADLINE + limits::RELAY_READ_ATTEMPT;
        match timeout(within, landed).await {
            Ok(Ok(landed)) => match &*landed {
                Some(result) => result.clone(),
                None => Err(unavailable("a chunk was not read")),
            },
            Ok(Err(_)) => Err(unavailable("the daemon is ending")),
            Err(_) => Err(unavailable("a chunk is being read")),
        }
    }

    fn begin(
        &self,
        range: Range,
        sender: tokio::sync::watch::Sender<Landed>,
    ) -> Result<(), Failure> {
        let shared = self.shared.clone();
        self.spawn(async move {
            let result = shared.fetch(range).await;
            match &result {
                Ok(part) => {
                    shared.counts.fetches.add(1);
                    shared.counts.fetched_bytes.add(part.data.len() as u64);
                }
                Err(_) => shared.counts.fetches_failed.add(1),
            }
            shared.cache.land(range, &sender, result.map(Arc::new));
        })
        .map(drop)
    }

    /// Has the next window fetched for who reads on, as long as that holds up nobody.
    fn fetch_ahead(&self, range: Range, at: u32, end: u32, chunk: u32) {
        let half = range.start.saturating_add(range.length / 2);
        let Some(next) = range.next().filter(|next| next.start < chunk) else {
            return;
        };
        let idle = self.shared.fetch_room.available_permits() >= limits::RELAY_FETCH_MAX_BYTES / 2;
        let reads_on = at < half && end >= half && self.shared.cache.reads_on(&range);
        if range.is_window()
            && idle
            && reads_on
            && let Asked::Ours(sender) = self.shared.cache.ask(next)
            && let Err(failure) = self.begin(next, sender)
        {
            tracing::debug!(%failure, "nothing is fetched ahead");
        }
    }
}

impl Shared {
    async fn fetch(&self, range: Range) -> Result<Part, Failure> {
        let mut views = self.view.subscribe();
        let until = Instant::now() + limits::RELAY_READ_DEADLINE;
        let mut answered = HashSet::new();
        let mut damaged = false;
        loop {
            let view = views.borrow_and_update().clone();
            let mut silence = None;
            for peer in in_turn(&view, &answered) {
                match self.ask(&peer, range, until).await {
                    Ok(part) => return Ok(part),
                    Err(Refused::Silent(failure)) => {
                        tracing::debug!(node = peer.name, %failure, "a node does not give a chunk");
                        silence = Some(failure);
                        continue;
                    }
                    Err(Refused::Lacking) => {}
                    Err(Refused::Damaged) => {
                        self.counts.damaged.add(1);
                        tracing::warn!(node = peer.name, chunk = %range.id, offset = range.start, "a chunk is damaged there");
                        damaged = true;
                    }
                    Err(Refused::Otherwise(failure)) => return Err(failure),
                }
                answered.insert(peer.number);
            }
            let all_answered = silence.is_none() && !view.peers.is_empty();
            if all_answered || !view.among_others || Instant::now() >= until {
                return Err(match (damaged, silence) {
                    (true, _) => Failure::Corrupt(format!("chunk {}", range.id)),
                    (false, Some(silence)) => unavailable(&format!(
                        "who has chunk {} may be a node that does not answer: {silence}",
                        range.id
                    )),
                    (false, None) => Failure::Errno(libc::ENOENT),
                });
            }
            // Who did not answer may do so now, and who was not known may be.
            let pause = until.min(Instant::now() + limits::RELAY_PAUSE);
            let _ = timeout_at(pause, views.changed()).await;
        }
    }

    async fn ask(&self, peer: &Peer, range: Range, until: Instant) -> Result<Part, Refused> {
        let until = until.min(Instant::now() + limits::RELAY_READ_ATTEMPT);
        let busy = || Refused::Silent(unavailable("too much is being read"));
        let place = timeout_at(until, peer.reads.acquire()).await;
        let _place = place.map_err(|_| busy())?;
        let room = timeout_at(until, self.fetch_room.acquire_many(range.length)).await;
        let _room = room.map_err(|_| busy())?;
        let request = v1::ReadRequest {
            id: id_bytes(&range.id),
            offset: range.start,
            length: range.length,
            with_leaves: true,
            clip: true,
            ..v1::ReadRequest::default()
        };
        let answer = peer.chunks.read(left(until), &request).await;
        self.heard(peer, &answer);
        match answer {
            Ok(reply) => verified(range, reply),
            Err(failure) if is_silence(&failure) => Err(Refused::Silent(failure)),
            Err(Failure::Errno(libc::ENOENT)) => Err(Refused::Lacking),
            Err(Failure::Corrupt(_) | Failure::Errno(_)) => Err(Refused::Damaged),
            Err(failure) => Err(Refused::Otherwise(failure)),
        }
    }
}

/// Those who have yet to answer, the leader first; last those that did not a moment ago.
fn in_turn(view: &View, answered: &HashSet<u64>) -> Vec<Arc<Peer>> {
    let mut peers: Vec<_> = (view.peers.iter())
        .filter(|peer| !answered.contains(&peer.number))
        .cloned()
        .collect();
    peers.sort_by_cached_key(|peer| peer.is_silent());
    peers
}

/// What was given, if it is what the chunk holds there.
fn verified(range: Range, reply: v1::ReadReply) -> Result<Part, Refused> {
    let v1::ReadReply {
        data,
        leaves,
        chunk_length: chunk,
    } = reply;
    let wanted = range.length.min(chunk.saturating_sub(range.start));
    if data.len() != wanted as usize
        || chunk as usize > wolfdisk_common::limits::CHUNK_SIZE_MAX_BYTES
    {
        return Err(Refused::Damaged);
    }
    let first = range.start as usize / LEAF_SIZE_BYTES;
    let first = if wanted == 0 { 0 } else { first };
    if !proves(&range.id, chunk as usize, &leaves, first, &data) {
        return Err(Refused::Damaged);
    }
    match wanted {
        0 => Err(Refused::Otherwise(beyond(&range.id))),
        _ => Ok(Part {
            start: range.start,
            data: of_its_own(range, data),
            leaves: of_its_own(range, leaves),
            chunk,
        }),
    }
}

/// Bytes that hold no more memory than they are counted for: a small answer may lie in twice the room.
fn of_its_own(range: Range, bytes: Bytes) -> Bytes {
    match range.is_window() {
        true => bytes,
        false => Bytes::copy_from_slice(&bytes),
    }
}

fn beyond(id: &ChunkId) -> Failure {
    Failure::Invalid(format!("a range that is not within chunk {id}"))
}
