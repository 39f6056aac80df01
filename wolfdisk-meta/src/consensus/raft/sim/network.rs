//! Messages that are late, lost, doubled and overtaken, and ways that are cut, each direction for itself.
//!
//! What is lost is not told: who asked waits in vain, unless nobody is there to take it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openraft::alias::SnapshotOf;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::EmptyNode;
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::TypeConfigExt;
use openraft::{AnyError, EntryPayload, RaftNetworkFactory, RaftNetworkV2};
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::oneshot;

use super::super::{Entry, Vote, Voter};
use super::faulty::{Fault, Store};
use super::machine::State;
use super::record::Record;
use super::runtime::{Machine, OUTSIDE, by_chance, note, spawn_on};
use super::{Node, SimTypes};
use crate::service::Driven;

/// A machine that runs.
#[derive(Clone)]
pub struct Peer {
    pub node: Node,
    pub state: State,
    pub store: Store,
    /// The index that it decides about, where that is simulated too.
    pub daemon: Option<Arc<Driven>>,
}

/// How messages fare. Chances are in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub lost: u32,
    pub doubled: u32,
    /// Much later than others.
    pub late: u32,
    pub delay_us: u64,
}

impl Weather {
    pub const FAIR: Weather = Weather {
        lost: 0,
        doubled: 0,
        late: 0,
        delay_us: 1000,
    };

    fn delay(self) -> Duration {
        by_chance(|random| {
            let factor = match random.random_range(0..1000) < self.late {
                true => 100,
                false => 1,
            };
            Duration::from_micros(random.random_range(100..=self.delay_us * factor))
        })
    }
}

/// Who is there, and which ways are cut. All copies are the same one.
#[derive(Clone)]
pub struct Net {
    links: Arc<Mutex<Links>>,
    record: Record,
    fault: Option<Fault>,
}

struct Links {
    peers: BTreeMap<Voter, Peer>,
    cut: BTreeSet<(Voter, Voter)>,
    weather: Weather,
}

impl Net {
    pub fn new(record: Record, fault: Option<Fault>) -> Net {
        let links = Links {
            peers: BTreeMap::new(),
            cut: BTreeSet::new(),
            weather: Weather::FAIR,
        };
        Net {
            links: Arc::new(Mutex::new(links)),
            record,
            fault,
        }
    }

    pub fn peer(&self, voter: Voter) -> Option<Peer> {
        self.links.lock().peers.get(&voter).cloned()
    }

    pub fn peers(&self) -> Vec<(Voter, Peer)> {
        let links = self.links.lock();
        let peers = links.peers.iter();
        peers.map(|(voter, peer)| (*voter, peer.clone())).collect()
    }

    pub fn join(&self, voter: Voter, peer: Peer) {
        self.links.lock().peers.insert(voter, peer);
    }

    pub fn leave(&self, voter: Voter) {
        let gone = self.links.lock().peers.remove(&voter);
        drop(gone);
    }

    pub fn cut(&self, from: Voter, to: Voter) {
        note(format_args!("cut {from} to {to}"));
        self.links.lock().cut.insert((from, to));
    }

    pub fn heal(&self) {
        note(format_args!("all ways are open"));
        self.links.lock().cut.clear();
    }

    pub fn set_weather(&self, weather: Weather) {
        note(format_args!("{weather:?}"));
        self.links.lock().weather = weather;
    }

    fn weather(&self) -> Weather {
        self.links.lock().weather
    }

    /// Whether a message gets from one to the other now.
    fn passes(&self, from: Voter, to: Voter) -> bool {
        let links = self.links.lock();
        let lost = by_chance(|random| random.random_range(0..1000) < links.weather.lost);
        !lost && !links.cut.contains(&(from, to))
    }
}

/// Connects a machine with others.
pub struct Wires {
    pub from: Voter,
    pub net: Net,
}

impl RaftNetworkFactory<SimTypes> for Wires {
    type Network = Wire;

    async fn new_client(&mut self, target: Voter, _: &EmptyNode) -> Wire {
        Wire {
            from: self.from,
            to: target,
            net: self.net.clone(),
        }
    }
}

/// From one machine to another.
#[derive(Clone)]
pub struct Wire {
    from: Voter,
    to: Voter,
    net: Net,
}

/// How the other answers; none: it ends.
trait Handler<Q, A>: Fn(Node, Q) -> BoxFuture<'static, Option<A>> + Clone + Send + 'static {}

impl<Q, A, F> Handler<Q, A> for F where
    F: Fn(Node, Q) -> BoxFuture<'static, Option<A>> + Clone + Send + 'static
{
}

fn unreachable(what: &str) -> RPCError<SimTypes> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(what)))
}

impl Wire {
    /// Asks, and gives the answer if both get through in time.
    async fn ask<Q, A>(
        &self,
        name: &'static str,
        question: Q,
        option: RPCOption,
        handler: impl Handler<Q, A>,
    ) -> Result<A, RPCError<SimTypes>>
    where
        Q: Clone + Send + 'static,
        A: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let doubled = self.net.weather().doubled;
        let copies = match by_chance(|random| random.random_range(0..1000) < doubled) {
            true => 2,
            false => 1,
        };
        for _ in 0..copies {
            let (question, handler, sender) = (question.clone(), handler.clone(), sender.clone());
            drop(spawn_on(
                OUTSIDE,
                self.clone().carry(name, question, handler, sender),
            ));
        }
        drop(sender);
        let answered = async {
            match receiver.await {
                Ok(answer) => answer,
                Err(_) => future::pending().await,
            }
        };
        match SimTypes::timeout(option.hard_ttl(), answered).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(unreachable("nobody is there")),
            Err(_) => Err(unreachable("no answer")),
        }
    }

    async fn carry<Q, A>(
        self,
        name: &'static str,
        question: Q,
        handler: impl Handler<Q, A>,
        sender: Arc<Mutex<Option<oneshot::Sender<Option<A>>>>>,
    ) where
        Q: Send + 'static,
        A: Send + 'static,
    {
        let Wire { from, to, net } = self;
        SimTypes::sleep(net.weather().delay()).await;
        if !net.passes(from, to) {
            return;
        }
        let answer = match net.peer(to) {
            Some(peer) => {
                note(format_args!("{from} to {to}: {name}"));
                let Ok(answer) = spawn_on(Machine(to.0.0), handler(peer.node, question)).await
                else {
                    return;
                };
                answer
            }
            None => None,
        };
        SimTypes::sleep(net.weather().delay()).await;
        if !net.passes(to, from) {
            return;
        }
        if let Some(sender) = sender.lock().take() {
            // Who asked may have given up.
            sender.send(answer).ok();
        }
    }
}

/// As it comes over a network: what a node knows of its own proposals stays there.
fn carried(mut request: AppendEntriesRequest<SimTypes>) -> AppendEntriesRequest<SimTypes> {
    for Entry { payload, .. } in &mut request.entries {
        if let EntryPayload::Normal(proposal) = payload {
            proposal.ticket = None;
        }
    }
    request
}

impl RaftNetworkV2<SimTypes> for Wire {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<SimTypes>, RPCError<SimTypes>> {
        self.ask("entries", carried(rpc), option, |node: Node, rpc| {
            Box::pin(async move { node.append_entries(rpc).await.ok() })
        })
        .await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<VoteResponse<SimTypes>, RPCError<SimTypes>> {
        let vote = rpc.vote;
        let (to, record) = (self.to, self.net.record.clone());
        let grant = move |node: Node, rpc: VoteRequest<SimTypes>| -> BoxFuture<'static, _> {
            let record = record.clone();
            Box::pin(async move {
                let answer = node.vote(rpc).await.ok()?;
                if answer.is_granted_to(&vote) {
                    record.promised(to, vote);
                }
                Some(answer)
            })
        };
        let mut answer = self.ask("vote", rpc, option, grant).await?;
        if self.net.fault == Some(Fault::GrantsAll) {
            answer = VoteResponse::new(vote, None, true);
        }
        Ok(answer)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<VoteResponse<SimTypes>, RPCError<SimTypes>> {
        self.ask("pre-vote", rpc, option, |node: Node, rpc| {
            Box::pin(async move { node.pre_vote(rpc).await.ok() })
        })
        .await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<SimTypes>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<SimTypes>, RPCError<SimTypes>> {
        self.ask("transfer", request, option, |node: Node, request| {
            Box::pin(async move { node.handle_transfer_leader(request).await.ok() })
        })
        .await
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: SnapshotOf<SimTypes, ()>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<SimTypes>, StreamingError<SimTypes>> {
        unreachable!("logs keep everything")
    }
}
