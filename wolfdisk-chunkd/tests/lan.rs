//! Chunks over a real encrypted connection: put and read by a member, by several connections at once, until it is removed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use wolfdisk_chunkd::lan::{self, Lan};
use wolfdisk_chunkd::pool::Pool;
use wolfdisk_chunkd::service::{ChunkDoor, ChunkServer, Network};
use wolfdisk_chunkd::store::{Options as StoreOptions, Store};
use wolfdisk_chunkd::tasks::scrub::{Plan, Scrubber};
use wolfdisk_chunkd::tasks::{Tasks, Upkeep};
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_common::member::{MemberKind, Who};
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::call::{Call, Options, Peer};
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::framed::Dispatch;
use wolfdisk_proto::noise::{self, Connection, Welcome, public_key};
use wolfdisk_proto::v1::put_request::Source;
use wolfdisk_proto::v1::{self, ChunkClient, ChunkFramed, ChunkService};
use zeroize::Zeroizing;

const CLIENT: Who = Who::Member(7);
const CLIENT_KEY: [u8; 32] = [3; 32];
const CHUNK: usize = 4 << 20;
const DEADLINE: Duration = Duration::from_secs(10);

type Client = ChunkClient<Arc<Mutex<Connection>>>;

struct Daemon {
    server: Arc<ChunkServer>,
    address: SocketAddr,
    key: ClusterKey,
    lan: Option<Lan>,
    _tasks: Tasks,
    _root: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Daemon {
        let root = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(root.path().join("data"));
        Identity::init(&paths, NodeId::parse("alpha").expect("an id")).expect("initialised");
        let key = || ClusterKey::load(&paths).expect("a key");
        let store = Store::open(StoreOptions {
            disk: Arc::new(RealDisk),
            dir: root.path().join("chunks"),
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
        let listener = lan::bind(([127, 0, 0, 1], 0).into())
            .expect("bound")
            .expect("a listener");
        let address = listener.local_addr().expect("an address");
        let network = Arc::new(Network::new(key(), Ok(address.port())));
        let server = ChunkServer::new(store, scrubber, pool, NodeNumber(1), [1; 16], 4096);
        let server = Arc::new(server.with_network(network.clone()));
        let welcome = Welcome {
            cluster: [1; 16],
            node: "alpha".to_owned(),
            ..Welcome::default()
        };
        let setup = noise::Setup {
            static_key: Zeroizing::new([9; 32]),
            guests: network.guests(),
            door: Arc::new(ChunkDoor::new(network, welcome)),
            on_close: Arc::new(|_| ()),
        };
        let lan = Lan::start(listener, server.clone(), setup).expect("threads");
        Daemon {
            server,
            address,
            key: key(),
            lan: Some(lan),
            _tasks: tasks.expect("threads"),
            _root: root,
        }
    }

    fn admit(&self, members: Vec<v1::AdmittedMember>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let peer = Peer {
            pid: 1,
            uid: 0,
            gid: 0,
        };
        let mut call = Call::framed(1, peer, Vec::new());
        runtime
            .expect("a runtime")
            .block_on(self.server.admit(&mut call, v1::AdmitRequest { members }))
            .expect("admitted");
    }

    fn admit_client(&self) {
        self.admit(vec![v1::AdmittedMember {
            number: 7,
            kind: MemberKind::Client.number().into(),
            name: "desk".to_owned(),
            public_key: Bytes::copy_from_slice(&public_key(&CLIENT_KEY).expect("a key")),
            read_only: false,
        }]);
    }

    fn connect(&self) -> Result<Client, Failure> {
        let credentials = Credentials {
            cluster: None,
            who: CLIENT,
            kind: MemberKind::Client,
            name: "desk".to_owned(),
            shared_key: CLIENT.shared_key(&self.key),
            static_key: Zeroizing::new(CLIENT_KEY),
            node_key: None,
            addresses: Vec::new(),
        };
        let service = ChunkFramed::<ChunkServer>::SERVICE;
        let connection = Connection::open(self.address, service, &credentials, DEADLINE)?;
        assert_eq!(connection.welcome().chunk_port, self.address.port());
        Ok(ChunkClient(Arc::new(Mutex::new(connection))))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.lan.take().into_iter().for_each(Lan::stop);
    }
}

fn content(seed: u8) -> Bytes {
    (0..CHUNK)
        .map(|at| (at as u8).wrapping_mul(13) ^ (at >> 8) as u8 ^ (at >> 16) as u8 ^ seed)
        .collect()
}

fn put(client: &Client, data: &Bytes) -> v1::PutReply {
    let request = v1::PutRequest {
        source: Some(Source::Data(data.clone())),
        ..v1::PutRequest::default()
    };
    let mut options = Options::default();
    client.put(&mut options, &request).expect("a put")
}

fn read(client: &Client, put: &v1::PutReply, offset: u32, length: u32) -> Result<Bytes, Failure> {
    let request = v1::ReadRequest {
        id: put.id.clone(),
        offset,
        length,
        ticket: put.ticket.clone(),
        ticket_offset: 0,
        ticket_length: CHUNK as u32,
        with_leaves: true,
        ..Default::default()
    };
    let mut options = Options {
        retry: false,
        ..Options::default()
    };
    client.read(&mut options, &request).map(|reply| reply.data)
}

#[test]
fn a_member_puts_and_reads_until_it_is_removed() {
    let daemon = Daemon::start();
    assert!(daemon.connect().is_err(), "nobody has named it");
    daemon.admit_client();
    let client = daemon.connect().expect("a member");
    let data = content(1);
    let stored = put(&client, &data);
    assert_eq!(stored.id.as_ref(), chunk_id(&data).0);
    let got = read(&client, &stored, 5, 70_000).expect("a read");
    assert_eq!(got, data.slice(5..70_005));
    daemon.admit(Vec::new());
    assert!(read(&client, &stored, 0, 1).is_err());
    assert!(daemon.connect().is_err());
}

/// What it prints is what a machine can do; what it checks is that streams do not mix.
#[test]
fn several_connections_carry_chunks_at_once() {
    const STREAMS: u8 = 4;
    const EACH: u8 = 8;
    let daemon = Daemon::start();
    daemon.admit_client();
    let timed = |what: &str, work: &(dyn Fn(u8, Client) + Sync)| {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for stream in 0..STREAMS {
                let client = daemon.connect().expect("a member");
                scope.spawn(move || work(stream, client));
            }
        });
        let bytes = CHUNK as f64 * f64::from(STREAMS) * f64::from(EACH);
        let rate = bytes / 1e6 / begun.elapsed().as_secs_f64();
        eprintln!("{what}: {rate:.0} MB/s over {STREAMS} connections");
    };
    let stored = Mutex::new(Vec::new());
    timed("put", &|stream, client| {
        for number in 0..EACH {
            let seed = stream * EACH + number;
            let reply = put(&client, &content(seed));
            stored.lock().push((seed, reply));
        }
    });
    let stored = stored.into_inner();
    timed("read", &|stream, client| {
        for (seed, reply) in stored.iter().filter(|(seed, _)| seed / EACH == stream) {
            let parts = (0..4).map(|part| read(&client, reply, part << 20, 1 << 20));
            let parts: Vec<Bytes> = parts.map(|part| part.expect("a read")).collect();
            assert!(parts.concat() == content(*seed));
        }
    });
}
