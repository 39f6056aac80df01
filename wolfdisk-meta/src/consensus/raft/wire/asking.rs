//! Raft's network: its messages as calls of other nodes, over connections that are kept.

use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::alias::SnapshotOf;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::impls::EmptyNode;
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise::AsyncPool;
use wolfdisk_proto::v1::{META_SERVICE, MetaAsyncClient, RaftPart};

use super::convert::{self, Install, InstallReply, Route};
use crate::consensus::raft::snapshot::SnapshotParts;
use crate::consensus::raft::{Types, Vote, Voter};
use crate::limits::SNAPSHOT_INSTALL_MAX;

/// Where other nodes are.
pub trait Addresses: Send + Sync {
    /// Where wolfdisk-meta of a node may be reached, the most promising first. Asked on the thread of the reactor: it may
    /// not block.
    fn of(&self, voter: Voter) -> Vec<SocketAddr>;
}

/// What Raft passes on as a snapshot.
pub trait Sendable: Send + 'static {
    /// Its parts; none: it is one that has come, which nobody sends.
    fn parts(self) -> Option<Arc<dyn SnapshotParts>>;
}

/// See the module. Snapshots that it sends are `D`.
pub struct Network<D> {
    own: Voter,
    credentials: Arc<Credentials>,
    addresses: Arc<dyn Addresses>,
    /// As many as there ever were nodes in this life.
    nodes: BTreeMap<Voter, AsyncPool>,
    snapshots: PhantomData<fn(D)>,
}

impl<D> Network<D> {
    /// Of node `own`, which proves itself by `credentials`.
    pub fn new(
        own: Voter,
        credentials: Arc<Credentials>,
        addresses: Arc<dyn Addresses>,
    ) -> Network<D> {
        Network {
            own,
            credentials,
            addresses,
            nodes: BTreeMap::new(),
            snapshots: PhantomData,
        }
    }

    /// The way to another node; all of them share its connections.
    pub fn line(&mut self, to: Voter) -> Line<D> {
        let pool = self.nodes.entry(to).or_insert_with(|| {
            let addresses = self.addresses.clone();
            let of = move || addresses.of(to);
            AsyncPool::new(self.credentials.clone(), META_SERVICE, of)
        });
        Line {
            route: Route { from: self.own, to },
            node: MetaAsyncClient(pool.clone()),
            snapshots: PhantomData,
        }
    }
}

impl<D: Sendable> RaftNetworkFactory<Types> for Network<D> {
    type Network = Line<D>;

    async fn new_client(&mut self, target: Voter, _: &EmptyNode) -> Line<D> {
        self.line(target)
    }
}

/// To one other node.
pub struct Line<D> {
    route: Route,
    node: MetaAsyncClient<AsyncPool>,
    snapshots: PhantomData<fn(D)>,
}

impl<D> Line<D> {
    /// What came of a call that was to end `within`, as Raft has it. It pauses before it asks again one that is not
    /// there.
    fn told<A>(
        &self,
        action: RPCTypes,
        within: Duration,
        answer: Result<A, Failure>,
    ) -> Result<A, RPCError<Types>> {
        answer.map_err(|failure| match failure {
            Failure::Deadline(_) => RPCError::Timeout(Timeout {
                action,
                id: self.route.from,
                target: self.route.to,
                timeout: within,
            }),
            failure => RPCError::Unreachable(self.unreachable(&failure.to_string())),
        })
    }

    fn unreachable(&self, why: &str) -> Unreachable<Types> {
        Unreachable::from_string(format!("node {}: {why}", self.route.to))
    }

    async fn ask_for_vote(
        &self,
        request: &VoteRequest<Types>,
        pre: bool,
        within: Duration,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let message = convert::vote(self.route, request, pre);
        let reply = self.node.raft_vote(within, &message).await;
        let reply = reply.and_then(convert::read_vote_reply);
        self.told(RPCTypes::Vote, within, reply)
    }

    async fn install(
        &self,
        request: Install,
        within: Duration,
    ) -> Result<InstallReply, RPCError<Types>> {
        let message = convert::install(self.route, request);
        let reply = self.node.raft_install(within, &message).await;
        let reply = reply.and_then(convert::read_install_reply);
        self.told(RPCTypes::InstallSnapshot, within, reply)
    }
}

impl<D: Sendable> Line<D> {
    /// Sends what the other node does not have of a snapshot, and waits until it is in its place there.
    async fn send(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<Types, D>,
        within: Duration,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let meta = snapshot.meta;
        let parts = snapshot.snapshot.parts();
        let parts = parts.ok_or_else(|| self.unreachable("this snapshot is not to be sent"))?;
        let id = parts.id();
        let request = |part| Install {
            vote,
            meta: meta.clone(),
            id,
            part,
        };
        let mut reply = self.install(request(None), within).await?;
        // With its last part it is put into its place. A node that is gone is noticed by the kernel.
        let within = within.max(SNAPSHOT_INSTALL_MAX);
        while reply.vote <= vote && !reply.installed {
            let number = reply.next_part;
            let data = self.read(&parts, number).await?;
            let part = RaftPart { number, data };
            reply = self.install(request(Some(part)), within).await?;
            let is_next = reply.next_part == number + 1;
            if reply.vote <= vote && !reply.installed && !is_next {
                let why = format!("it wants part {} after part {number}", reply.next_part);
                return Err(self.unreachable(&why).into());
            }
        }
        Ok(SnapshotResponse::new(reply.vote))
    }

    async fn read(
        &self,
        parts: &Arc<dyn SnapshotParts>,
        number: u64,
    ) -> Result<Bytes, StreamingError<Types>> {
        let parts = parts.clone();
        let read = tokio::task::spawn_blocking(move || parts.part(number));
        let read = read.await.map_err(std::io::Error::other).flatten();
        let why = match read {
            Ok(Some(data)) => return Ok(data),
            Ok(None) => format!("it wants part {number} of a snapshot that has fewer"),
            Err(error) => format!("part {number} of the snapshot cannot be read here: {error}"),
        };
        Err(self.unreachable(&why).into())
    }
}

impl<D: Sendable> RaftNetworkV2<Types> for Line<D> {
    type SnapshotData = D;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let within = option.soft_ttl();
        let (message, asked) = convert::append(self.route, rpc);
        let reply = self.node.raft_append(within, &message).await;
        let reply = reply.and_then(|reply| convert::read_append_reply(&asked, reply));
        self.told(RPCTypes::AppendEntries, within, reply)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(&rpc, false, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(&rpc, true, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, D>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let mut cancel = pin!(cancel);
        tokio::select! {
            sent = self.send(vote, snapshot, option.soft_ttl()) => sent,
            closed = &mut cancel => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let within = option.soft_ttl();
        let message = convert::hand_over(self.route, &request);
        let reply = self.node.raft_hand_over(within, &message).await;
        let reply = reply.and_then(|reply| convert::read_hand_over_reply(&request, reply));
        self.told(RPCTypes::TransferLeader, within, reply)
    }
}
