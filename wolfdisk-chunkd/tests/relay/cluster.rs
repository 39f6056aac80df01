//! Several nodes in one process, each with a store, a relay, and a listener for the others that can be made to lie, to
//! keep its answers, and to go away and come back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use wolfdisk_chunkd::lan;
use wolfdisk_chunkd::pool::Pool;
use wolfdisk_chunkd::relay::{Mark, Relay};
use wolfdisk_chunkd::service::{ChunkDoor, ChunkServer, Network};
use wolfdisk_chunkd::store::{Options as StoreOptions, Store};
use wolfdisk_chunkd::tasks::scrub::{Plan, Scrubber};
use wolfdisk_chunkd::tasks::{Tasks, Upkeep};
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::call::{Call, Peer};
use wolfdisk_proto::calls::Calls;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::framed::{self, Dispatch};
use wolfdisk_proto::noise::{self, Welcome, public_key};
use wolfdisk_proto::v1::put_request::Source;
use wolfdisk_proto::v1::{self, ChunkFramed, ChunkService};

/// A member that is no node.
pub const CLIENT: u64 = 90;
/// More than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(60);
const READ: u8 = 8;

/// What is done to the answers of a node to others.
pub struct Twist {
    /// Bytes that are read come changed.
    pub lies: AtomicBool,
    /// Answers are kept until it is unset.
    held: watch::Sender<bool>,
    /// Questions that came.
    asked: watch::Sender<u64>,
}

impl Twist {
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// How many questions came so far.
    pub fn asked(&self) -> u64 {
        *self.asked.borrow()
    }

    /// Waits until so many questions have come.
    pub fn wait_for(&self, count: u64) {
        until("questions come", || self.asked() >= count);
    }
}

#[derive(Clone)]
struct Twisted {
    inner: ChunkFramed<ChunkServer>,
    twist: Arc<Twist>,
}

impl Dispatch for Twisted {
    const SERVICE: u8 = ChunkFramed::<ChunkServer>::SERVICE;
    const NAME: &'static str = "Chunk";

    fn calls(&self) -> &Calls {
        self.inner.calls()
    }

    async fn dispatch(&self, call: &mut Call, method: u8, body: Bytes) -> Result<Vec<u8>, Failure> {
        let answer = self.inner.dispatch(call, method, body).await;
        self.twist.asked.send_modify(|count| *count += 1);
        let mut held = self.twist.held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        let frame = answer?;
        if method != READ || !self.twist.lies.load(Ordering::SeqCst) {
            return Ok(frame);
        }
        let body = Bytes::from(frame).slice(framed::HEADER_BYTES..);
        let mut reply: v1::ReadReply = framed::decode(body)?;
        let mut data = reply.data.to_vec();
        if let Some(byte) = data.last_mut() {
            *byte ^= 1;
        }
        reply.data = data.into();
        Ok(framed::encode(&reply))
    }
}

pub struct Node {
    pub number: u64,
    pub server: Arc<ChunkServer>,
    pub relay: Arc<Relay>,
    pub store: Arc<Store>,
    pub twist: Arc<Twist>,
    pub address: SocketAddr,
    root: Arc<tempfile::TempDir>,
    key: PathBuf,
    cache_bytes: usize,
    tasks: Option<Tasks>,
    /// Where front-ends of its machine are answered.
    pub front: Option<Runtime>,
    lan: Option<Runtime>,
}

fn static_key(number: u64) -> [u8; 32] {
    [number as u8; 32]
}

pub fn listed(number: u64) -> v1::AdmittedMember {
    let kind = match number {
        CLIENT => MemberKind::Client,
        _ => MemberKind::Node,
    };
    v1::AdmittedMember {
        number,
        kind: kind.number().into(),
        name: format!("n{number}"),
        public_key: Bytes::copy_from_slice(&public_key(&static_key(number)).expect("a key")),
        read_only: false,
    }
}

pub fn local() -> Call {
    let peer = Peer {
        pid: 1,
        uid: 0,
        gid: 0,
    };
    Call::framed(1, peer, Vec::new())
}

/// A call of a member on another machine.
pub fn remote(number: u64) -> Call {
    let principal = Principal {
        who: match number {
            CLIENT => Who::Member(CLIENT),
            _ => Who::Node,
        },
        kind: MemberKind::Client,
        member: number,
        name: String::new(),
        public_key: public_key(&static_key(number)).expect("a key"),
        restrictions: Restrictions::default(),
    };
    Call::remote(7, Arc::new(principal))
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

pub fn content(seed: u8, length: usize) -> Bytes {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(13) ^ (at >> 8) as u8 ^ (at >> 16) as u8 ^ seed)
        .collect()
}

pub fn data(data: &Bytes) -> v1::PutRequest {
    v1::PutRequest {
        source: Some(Source::Data(data.clone())),
        ..v1::PutRequest::default()
    }
}

pub fn whose(put: &v1::PutReply) -> v1::FlushRequest {
    v1::FlushRequest {
        place: put.place,
        node: put.node,
        incarnation: put.incarnation,
    }
}

impl Node {
    fn start(
        number: u64,
        root: Arc<tempfile::TempDir>,
        key: PathBuf,
        address: SocketAddr,
        cache_bytes: usize,
    ) -> Node {
        let load = || ClusterKey::load(&Paths::new(key.clone())).expect("a key");
        let store = Store::open(StoreOptions {
            disk: Arc::new(RealDisk),
            dir: root.path().join(format!("chunks{number}")),
            volume: [1; 16],
            page_size: 4096,
            segment_bytes: None,
        });
        let store = Arc::new(store.expect("a store"));
        let fatal = Arc::new(|error: &wolfdisk_chunkd::store::StoreError| panic!("{error}"));
        let plan = Plan {
            interval: None,
            bytes_per_second: 0,
        };
        let scrubber = Arc::new(Scrubber::new(&store, plan));
        let tasks = Tasks::start(store.clone(), scrubber.clone(), Upkeep::All, fatal);
        let pool = Pool::start().expect("threads");
        let listener = lan::bind(address).expect("bound").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let network = Arc::new(Network::new(load(), Ok(address.port())));
        let credentials = Credentials {
            cluster: None,
            who: Who::Node,
            kind: MemberKind::Node,
            name: format!("n{number}"),
            shared_key: Who::Node.shared_key(&load()),
            static_key: static_key(number).into(),
            node_key: None,
            addresses: Vec::new(),
        };
        let mark = Mark::new(
            Arc::new(RealDisk),
            &root.path().join(format!("chunks{number}")),
        );
        let relay = Relay::new(credentials, cache_bytes).remembers_by(mark);
        let relay = Arc::new(relay.expect("a relay"));
        let own = NodeNumber(number as u32);
        let server = ChunkServer::new(store.clone(), scrubber, pool, own, [1; 16], 4096);
        let server = server.with_network(network.clone());
        let server = Arc::new(server.with_relay(relay.clone()));
        let welcome = Welcome {
            cluster: [1; 16],
            node: format!("n{number}"),
            ..Welcome::default()
        };
        let setup = noise::Setup {
            static_key: static_key(number).into(),
            guests: network.guests(),
            door: Arc::new(ChunkDoor::new(network, welcome)),
            on_close: Arc::new(|_| ()),
        };
        let twist = Arc::new(Twist {
            lies: AtomicBool::new(false),
            held: watch::Sender::new(false),
            asked: watch::Sender::new(0),
        });
        let twisted = Twisted {
            inner: ChunkFramed(server.clone()),
            twist: twist.clone(),
        };
        let runtime = || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime")
        };
        let lan = runtime();
        lan.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            noise::serve(listener, twisted, setup).await
        });
        Node {
            number,
            server,
            relay,
            store,
            twist,
            address,
            root,
            key,
            cache_bytes,
            tasks: Some(tasks.expect("threads")),
            front: Some(runtime()),
            lan: Some(lan),
        }
    }

    /// Goes away.
    pub fn stop(&mut self) {
        for runtime in [self.lan.take(), self.front.take()].into_iter().flatten() {
            runtime.shutdown_timeout(DEADLINE);
        }
        if let Some(tasks) = self.tasks.take() {
            tasks.stop();
            self.store.close().expect("closed");
        }
    }

    /// Comes back, in another life, at the same address.
    pub fn start_again(&mut self) {
        self.stop();
        let (root, key) = (self.root.clone(), self.key.clone());
        *self = Node::start(self.number, root, key, self.address, self.cache_bytes);
    }

    pub fn ask<T>(&self, asked: impl Future<Output = T>) -> T {
        self.front.as_ref().expect("it runs").block_on(asked)
    }

    pub fn put(&self, bytes: &Bytes) -> Result<v1::PutReply, Failure> {
        self.ask(self.server.put(&mut local(), data(bytes)))
    }

    /// As another node puts.
    pub fn put_from(&self, number: u64, bytes: &Bytes) -> v1::PutReply {
        let mut call = remote(number);
        let put = self.server.put(&mut call, data(bytes));
        self.ask(put).expect("a put")
    }

    pub fn flush(&self, request: v1::FlushRequest) -> Result<v1::FlushReply, Failure> {
        self.ask(self.server.flush(&mut local(), request))
    }

    pub fn read(&self, id: &Bytes, offset: u32, length: u32) -> Result<Bytes, Failure> {
        let request = v1::ReadRequest {
            id: id.clone(),
            offset,
            length,
            ..v1::ReadRequest::default()
        };
        let answer = self.ask(self.server.read(&mut local(), request));
        answer.map(|reply| reply.data)
    }

    pub fn count(&self, name: &str) -> u64 {
        let counts = self.relay.counts().all();
        let found = counts.iter().find(|(other, _)| *other == name);
        found.expect("a counter").1
    }

    pub fn admit(&self, members: Vec<v1::AdmittedMember>) {
        let request = v1::AdmitRequest { members };
        let admitted = self.ask(self.server.admit(&mut local(), request));
        admitted.expect("admitted");
    }

    pub fn tell(&self, request: v1::PeersRequest) -> Result<v1::Empty, Failure> {
        self.ask(self.server.peers(&mut local(), request))
    }

    /// As another node is told of it.
    pub fn as_peer(&self) -> v1::PeerNode {
        v1::PeerNode {
            number: self.number,
            name: format!("n{}", self.number),
            public_key: listed(self.number).public_key,
            addresses: vec![self.address.to_string()],
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.twist.hold(false);
        self.stop();
    }
}

/// Nodes 1, 2, 3, which know each other; the index in the list is one less.
pub fn cluster<const N: usize>(leader: u64, cache_bytes: usize) -> [Node; N] {
    let root = Arc::new(tempfile::tempdir().expect("a directory"));
    let key = root.path().join("data");
    let id = NodeId::parse("alpha").expect("an id");
    Identity::init(&Paths::new(key.clone()), id).expect("initialised");
    let any = ([127, 0, 0, 1], 0).into();
    let nodes = std::array::from_fn(|at| {
        Node::start(at as u64 + 1, root.clone(), key.clone(), any, cache_bytes)
    });
    for node in &nodes {
        let members = (1..=N as u64).chain([CLIENT]).map(listed);
        node.admit(members.collect());
        tell(node, &nodes, leader);
    }
    nodes
}

/// Tells a node who the others are and who leads.
pub fn tell(node: &Node, nodes: &[Node], leader: u64) {
    let others = nodes.iter().filter(|other| other.number != node.number);
    let request = v1::PeersRequest {
        among_others: true,
        nodes: others.map(Node::as_peer).collect(),
        leader: if leader == node.number { 0 } else { leader },
    };
    node.tell(request).expect("told");
}
