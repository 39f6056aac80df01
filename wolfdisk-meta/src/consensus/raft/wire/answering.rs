//! The calls of other nodes, answered by Raft.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::SnapshotResponse;
use openraft::storage::RaftStateMachine;
use openraft::{OptionalSend, Raft};
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_common::member::Who;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::{Failure, v1};

use super::convert::{self, Install, InstallReply, Route};
use crate::consensus::raft::{Types, Vote, Voter};

/// An answer that is under way.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Whoever answers the nodes that keep the index together with this one. `from` has proven to be that node.
pub trait RaftPeer: Send + Sync {
    /// Entries, or none.
    fn append(
        &self,
        from: Voter,
        request: v1::RaftAppendRequest,
    ) -> Answering<'_, v1::RaftAppendReply>;

    /// An election.
    fn vote(&self, from: Voter, request: v1::RaftVoteRequest) -> Answering<'_, v1::RaftVoteReply>;

    /// A part of a snapshot.
    fn install(
        &self,
        from: Voter,
        request: v1::RaftInstallRequest,
    ) -> Answering<'_, v1::RaftInstallReply>;

    /// Another node is to lead.
    fn hand_over(
        &self,
        from: Voter,
        request: v1::RaftHandOverRequest,
    ) -> Answering<'_, v1::RaftHandOverReply>;
}

/// Where the parts of snapshots go. It may block: it is called on threads of its own, by several at a time.
pub trait SnapshotSink: Send + Sync {
    /// What the state machine installs.
    type Data;

    /// The part that is wanted next of a snapshot; 0: none of it is here.
    fn wanted(&self, id: &[u8; 16]) -> u64;

    /// Takes a part, if it is the one that is wanted next. The first one of another snapshot than before takes its place.
    ///
    /// # Errors
    /// It is damaged, or could not be written; the snapshot then begins anew or goes on, as `wanted` says.
    fn take(&self, id: &[u8; 16], number: u64, part: &[u8]) -> io::Result<Taken<Self::Data>>;
}

/// What became of a part.
pub enum Taken<D> {
    /// This one is wanted next.
    Next(u64),
    /// It was the last one: that is the snapshot.
    Whole(D),
}

/// The node that asks.
///
/// # Errors
/// `Denied`: it is none that holds the cluster's key and is a member.
pub fn sender(call: &Call) -> Result<Voter, Failure> {
    let principal = call.principal.as_ref();
    let node = principal.filter(|principal| principal.who == Who::Node && principal.member != 0);
    let number = node.and_then(|node| u32::try_from(node.member).ok());
    match number {
        Some(number) => Ok(Voter(NodeNumber(number))),
        None => Err(Failure::Denied(
            "only nodes of the cluster take part in its decisions".to_owned(),
        )),
    }
}

/// See [`RaftPeer`].
pub struct Answers<M: RaftStateMachine<Types>> {
    own: Voter,
    raft: Raft<Types, M>,
    sink: Sink<M::SnapshotData>,
}

type Sink<D> = Arc<dyn SnapshotSink<Data = D>>;

impl<M: RaftStateMachine<Types>> Answers<M>
where
    M::SnapshotData: OptionalSend,
{
    /// Of node `own`. Snapshots go to `sink`.
    pub fn new(own: Voter, raft: Raft<Types, M>, sink: Sink<M::SnapshotData>) -> Answers<M> {
        Answers { own, raft, sink }
    }

    fn route(&self, from: Voter) -> Route {
        Route { from, to: self.own }
    }

    async fn take(&self, request: Install) -> Result<InstallReply, Failure> {
        let (vote, committed) = {
            let metrics = self.raft.metrics();
            let now = metrics.borrow_watched();
            (now.vote, now.local_committed)
        };
        let answer = |vote, next_part, installed| InstallReply {
            vote,
            next_part,
            installed,
        };
        // One that leads no more must not come between the parts of one that does.
        if vote > request.vote {
            return Ok(answer(vote, 0, false));
        }
        let last = request.meta.last_log_id;
        if committed >= last {
            return Ok(answer(vote, 0, true));
        }
        if last.map(|last| last.index) <= committed.map(|committed| committed.index) {
            let what = "a snapshot that contradicts what is decided here";
            return Err(Failure::Invalid(what.to_owned()));
        }
        let (sink, meta, leader) = (self.sink.clone(), request.meta, request.vote);
        let (id, part) = (request.id, request.part);
        let taken = tokio::task::spawn_blocking(move || match part {
            Some(part) => sink.take(&id, part.number, &part.data),
            None => Ok(Taken::Next(sink.wanted(&id))),
        });
        let taken = taken.await.map_err(io::Error::other).flatten();
        let taken = taken.map_err(|error| {
            tracing::warn!(%error, "a snapshot of another node cannot be taken");
            Failure::Unavailable(format!("the snapshot cannot be taken: {error}"))
        })?;
        match taken {
            Taken::Next(number) => Ok(answer(vote, number, false)),
            Taken::Whole(snapshot) => {
                let SnapshotResponse { vote } = self.put(leader, meta, snapshot).await?;
                Ok(answer(vote, 0, vote <= leader))
            }
        }
    }

    async fn put(
        &self,
        leader: Vote,
        meta: SnapshotMetaOf<Types>,
        snapshot: M::SnapshotData,
    ) -> Result<SnapshotResponse<Types>, Failure> {
        let snapshot = SnapshotOf::<Types, _> { meta, snapshot };
        let installed = self.raft.install_full_snapshot(leader, snapshot).await;
        installed.map_err(stopped)
    }
}

fn stopped(error: impl std::fmt::Display) -> Failure {
    Failure::Unavailable(format!("this node takes no part any more: {error}"))
}

impl<M: RaftStateMachine<Types>> RaftPeer for Answers<M> {
    fn append(
        &self,
        from: Voter,
        request: v1::RaftAppendRequest,
    ) -> Answering<'_, v1::RaftAppendReply> {
        Box::pin(async move {
            let request = convert::read_append(self.route(from), request)?;
            let reply = self.raft.append_entries(request).await.map_err(stopped)?;
            Ok(convert::append_reply(&reply))
        })
    }

    fn vote(&self, from: Voter, request: v1::RaftVoteRequest) -> Answering<'_, v1::RaftVoteReply> {
        Box::pin(async move {
            let asked = convert::read_vote(self.route(from), &request)?;
            let reply = match request.pre {
                true => self.raft.pre_vote(asked).await,
                false => self.raft.vote(asked).await,
            };
            Ok(convert::vote_reply(&reply.map_err(stopped)?))
        })
    }

    fn install(
        &self,
        from: Voter,
        request: v1::RaftInstallRequest,
    ) -> Answering<'_, v1::RaftInstallReply> {
        Box::pin(async move {
            let request = convert::read_install(self.route(from), request)?;
            Ok(convert::install_reply(self.take(request).await?))
        })
    }

    fn hand_over(
        &self,
        from: Voter,
        request: v1::RaftHandOverRequest,
    ) -> Answering<'_, v1::RaftHandOverReply> {
        Box::pin(async move {
            let request = convert::read_hand_over(self.route(from), &request)?;
            let reply = self.raft.handle_transfer_leader(request).await;
            Ok(convert::hand_over_reply(&reply.map_err(stopped)?))
        })
    }
}
