//! What machines elsewhere may do: only what the table says, only what a ticket shows, only as long as they are members.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Runtime;
use wolfdisk_chunkd::pool::Pool;
use wolfdisk_chunkd::service::{ChunkDoor, ChunkServer, Network};
use wolfdisk_chunkd::store::{Options as StoreOptions, Store};
use wolfdisk_chunkd::tasks::scrub::{Plan, Scrubber};
use wolfdisk_chunkd::tasks::{Tasks, Upkeep};
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::hash::{chunk_id, chunk_id_of_leaves, leaf_hash};
use wolfdisk_common::identity::Identity;
use wolfdisk_common::ids::{ChunkId, Incarnation, NodeNumber, PutEpoch};
use wolfdisk_common::limits::LEAF_SIZE_BYTES;
use wolfdisk_common::member::{MemberKind, Principal, Who};
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_common::ticket::{self, Span, Tickets};
use wolfdisk_proto::call::{Call, Peer};
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::framed::{Dispatch, encode};
use wolfdisk_proto::noise::{Door, Welcome};
use wolfdisk_proto::v1::put_request::Source;
use wolfdisk_proto::v1::{self, ChunkFramed, ChunkService};

const NODE: u64 = 1;
const CLIENT: u64 = 7;
const OTHER: u64 = 8;
const READER: u64 = 9;
const PORT: u16 = 4711;

struct Daemon {
    server: Arc<ChunkServer>,
    network: Arc<Network>,
    tickets: Tickets,
    runtime: Runtime,
    _tasks: Tasks,
    _root: tempfile::TempDir,
}

fn key(root: &tempfile::TempDir) -> ClusterKey {
    ClusterKey::load(&Paths::new(root.path().join("data"))).expect("a key")
}

impl Daemon {
    fn start() -> Daemon {
        let root = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(root.path().join("data"));
        Identity::init(&paths, NodeId::parse("alpha").expect("an id")).expect("initialised");
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
        let number = NodeNumber(1);
        let network = Arc::new(Network::new(key(&root), Ok(PORT)));
        let server = ChunkServer::new(store, scrubber, pool, number, [1; 16], 4096);
        Daemon {
            server: Arc::new(server.with_network(network.clone())),
            network,
            tickets: Tickets::new(&key(&root)),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            _tasks: tasks.expect("threads"),
            _root: root,
        }
    }

    /// With members.
    fn with_members() -> Daemon {
        let daemon = Daemon::start();
        daemon
            .admit(&[NODE, CLIENT, OTHER, READER])
            .expect("admitted");
        daemon
    }

    fn admit(&self, numbers: &[u64]) -> Result<v1::Empty, Failure> {
        let members = numbers.iter().map(|number| listed(*number)).collect();
        let request = v1::AdmitRequest { members };
        self.runtime
            .block_on(self.server.admit(&mut local(), request))
    }

    fn put(&self, call: &mut Call, request: v1::PutRequest) -> Result<v1::PutReply, Failure> {
        self.runtime.block_on(self.server.put(call, request))
    }

    fn read(&self, member: u64, request: v1::ReadRequest) -> Result<v1::ReadReply, Failure> {
        let mut call = remote(member);
        self.runtime.block_on(self.server.read(&mut call, request))
    }

    fn ticket(&self, member: u64, id: &Bytes, offset: u32, length: u32) -> Bytes {
        let id = ChunkId::from_slice(id).expect("an id");
        let span = Span { id, offset, length };
        Bytes::copy_from_slice(&self.tickets.read(member, &span))
    }
}

fn kind(number: u64) -> MemberKind {
    match number {
        NODE => MemberKind::Node,
        OTHER => MemberKind::Gateway,
        _ => MemberKind::Client,
    }
}

fn listed(number: u64) -> v1::AdmittedMember {
    v1::AdmittedMember {
        number,
        kind: kind(number).number().into(),
        name: format!("m{number}"),
        public_key: Bytes::copy_from_slice(&[number as u8; 32]),
        read_only: number == READER,
    }
}

fn principal(number: u64, public_key: [u8; 32]) -> Principal {
    Principal {
        who: match number {
            NODE => Who::Node,
            number => Who::Member(number),
        },
        kind: kind(number),
        member: number,
        name: String::new(),
        public_key,
        restrictions: Default::default(),
    }
}

fn remote(number: u64) -> Call {
    Call::remote(5, Arc::new(principal(number, [number as u8; 32])))
}

fn local() -> Call {
    let peer = Peer {
        pid: 1,
        uid: 0,
        gid: 0,
    };
    Call::framed(5, peer, Vec::new())
}

fn bytes(length: usize, seed: u8) -> Bytes {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(13) ^ (at >> 8) as u8 ^ seed)
        .collect()
}

fn data(bytes: &Bytes) -> v1::PutRequest {
    v1::PutRequest {
        source: Some(Source::Data(bytes.clone())),
        ..v1::PutRequest::default()
    }
}

fn is_denied<T: std::fmt::Debug>(result: &Result<T, Failure>) -> bool {
    matches!(result, Err(Failure::Denied(_)))
}

#[test]
fn the_table_of_calls_is_complete() {
    let daemon = Daemon::with_members();
    let framed = ChunkFramed(daemon.server.clone());
    let refused = |number: u64| -> Vec<u8> {
        let refused = |method: &u8| {
            let mut call = remote(number);
            let frame = encode(&v1::Empty {});
            let body = Bytes::from(frame).slice(wolfdisk_proto::framed::HEADER_BYTES..);
            let answer = daemon
                .runtime
                .block_on(framed.dispatch(&mut call, *method, body));
            // A read without a ticket is refused too, and says so.
            matches!(answer, Err(Failure::Denied(why)) if !why.contains("ticket"))
        };
        (0..=255).filter(refused).collect()
    };
    // Hello, Put, Flush, and Read are 1, 2, 3 and 8; Admit and Peers are the last.
    let nodes_only = [4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15];
    assert_eq!(refused(NODE), [16, 17]);
    assert_eq!(refused(CLIENT), [&nodes_only[..], &[16, 17]].concat());
    assert_eq!(refused(OTHER), [&nodes_only[..], &[16, 17]].concat());
    assert_eq!(
        refused(READER),
        [&[2, 3], &nodes_only[..], &[16, 17]].concat()
    );
    assert_eq!(refused(77), (1..=17).collect::<Vec<u8>>());
}

#[test]
fn only_members_come_in_and_nobody_who_joins() {
    let daemon = Daemon::start();
    let door = ChunkDoor::new(daemon.network.clone(), Welcome::default());
    let address = ([127, 0, 0, 1], 9).into();
    let comes_in = |who, key: u8| door.admit(who, &[key; 32], address).is_ok();
    assert_eq!(door.welcome().chunk_port, PORT);
    // Before the first list: nodes, whoever they are.
    assert!(comes_in(Who::Node, 99) && !comes_in(Who::Member(CLIENT), CLIENT as u8));
    // Until then a member is to ask again, not to take it for a no.
    let early = door.admit(Who::Member(CLIENT), &[CLIENT as u8; 32], address);
    assert!(matches!(early, Err(Failure::Unavailable(_))), "{early:?}");
    daemon.admit(&[NODE, CLIENT, READER]).expect("admitted");
    assert!(comes_in(Who::Node, NODE as u8) && comes_in(Who::Member(CLIENT), CLIENT as u8));
    assert!(!comes_in(Who::Node, 99), "a node that is none any more");
    assert!(
        !comes_in(Who::Node, CLIENT as u8),
        "a client as a node by a stolen key"
    );
    assert!(!comes_in(Who::Member(NODE), NODE as u8));
    assert!(!comes_in(Who::Member(CLIENT), READER as u8));
    assert!(!comes_in(Who::Member(OTHER), OTHER as u8));
    assert!(!comes_in(Who::Joining(CLIENT), CLIENT as u8));
    // Whoever proves to be one learns that it is none any more; its key is its own in any case.
    assert!(door.shared_key(Who::Member(OTHER)).is_some());
    assert!(door.shared_key(Who::Joining(1)).is_none());
    // A list is taken whole or not at all.
    let request = v1::AdmitRequest {
        members: vec![
            listed(OTHER),
            v1::AdmittedMember {
                public_key: Bytes::from_static(b"short"),
                ..listed(CLIENT)
            },
        ],
    };
    let answer = daemon
        .runtime
        .block_on(daemon.server.admit(&mut local(), request));
    assert!(matches!(answer, Err(Failure::Invalid(_))));
    assert!(
        comes_in(Who::Member(CLIENT), CLIENT as u8) && !comes_in(Who::Member(OTHER), OTHER as u8)
    );
}

#[test]
fn whoever_is_removed_is_refused_at_its_next_call() {
    let daemon = Daemon::with_members();
    let hello = |number| {
        let mut call = remote(number);
        daemon
            .runtime
            .block_on(daemon.server.hello(&mut call, v1::Empty {}))
    };
    let told = hello(CLIENT).expect("a member");
    assert_eq!((told.port, told.free_bytes), (PORT.into(), 0));
    assert!(hello(NODE).expect("a node").free_bytes > 0);
    daemon.admit(&[OTHER]).expect("admitted");
    assert!(is_denied(&hello(CLIENT)) && is_denied(&hello(NODE)));
    assert!(hello(OTHER).is_ok());
    // The number again, with another key.
    daemon.admit(&[OTHER, CLIENT]).expect("admitted");
    let mut call = Call::remote(5, Arc::new(principal(CLIENT, [1; 32])));
    let answer = daemon
        .runtime
        .block_on(daemon.server.hello(&mut call, v1::Empty {}));
    assert!(is_denied(&answer));
}

#[test]
fn a_put_is_proven_and_tells_nothing_of_what_was_there() {
    let daemon = Daemon::with_members();
    let content = bytes(100_000, 1);
    let theirs = daemon.put(&mut local(), data(&content)).expect("a put");
    assert!(theirs.proof.is_empty() && theirs.ticket.is_empty() && theirs.place > 0);
    let again = daemon
        .put(&mut remote(CLIENT), data(&content))
        .expect("a put");
    let fresh = daemon
        .put(&mut remote(CLIENT), data(&bytes(100_000, 2)))
        .expect("a put");
    for reply in [&again, &fresh] {
        assert_eq!((reply.deduplicated, reply.place), (false, 0));
        let put = ticket::Put {
            id: ChunkId::from_slice(&reply.id).expect("an id"),
            node: NodeNumber(reply.node),
            incarnation: Incarnation(reply.incarnation),
            epoch: PutEpoch(reply.epoch),
        };
        assert!(daemon.tickets.has_put(CLIENT, &put, &reply.proof));
        assert!(!daemon.tickets.has_put(OTHER, &put, &reply.proof));
    }
    assert_eq!(again.id, theirs.id);
    let flushed = daemon.runtime.block_on(daemon.server.flush(
        &mut remote(CLIENT),
        v1::FlushRequest {
            place: 0,
            ..Default::default()
        },
    ));
    assert_eq!(flushed.expect("a flush").durable_place, 0);
    // Nodes are told as everybody here is.
    let node = daemon
        .put(&mut remote(NODE), data(&content))
        .expect("a put");
    assert!(node.deduplicated && node.place > 0 && node.proof.is_empty());
    // The ticket opens the whole chunk to that member.
    let whole = v1::ReadRequest {
        id: again.id,
        offset: 99_000,
        length: 1000,
        ticket: again.ticket,
        ticket_offset: 0,
        ticket_length: 100_000,
        with_leaves: false,
        ..Default::default()
    };
    let got = daemon.read(CLIENT, whole.clone()).expect("a read");
    assert_eq!(got.data, content.slice(99_000..));
    assert!(is_denied(&daemon.read(OTHER, whole)));
}

#[test]
fn nobody_stores_bytes_under_an_id_that_is_not_theirs() {
    let daemon = Daemon::with_members();
    let victim = chunk_id(b"what another will put");
    let poison = v1::PutRequest {
        claimed_id: Bytes::copy_from_slice(&victim.0),
        ..data(&Bytes::from_static(b"poison"))
    };
    let refused = daemon.put(&mut remote(CLIENT), poison);
    assert_eq!(refused, Err(Failure::Errno(libc::EBADMSG)));
    let read = v1::ReadRequest {
        id: Bytes::copy_from_slice(&victim.0),
        length: 1,
        ..v1::ReadRequest::default()
    };
    let answer = daemon
        .runtime
        .block_on(daemon.server.read(&mut local(), read));
    assert_eq!(answer, Err(Failure::Errno(libc::ENOENT)));
    // Shared memory is that of a process here, even if the numbers of two connections meet.
    let area = v1::PutRequest {
        source: Some(Source::Area(v1::AreaSpan {
            offset: 0,
            length: 1,
        })),
        ..v1::PutRequest::default()
    };
    for number in [CLIENT, NODE] {
        let refused = daemon.put(&mut remote(number), area.clone());
        assert!(matches!(refused, Err(Failure::Unsupported(_))));
    }
}

#[test]
fn a_ticket_opens_its_range_to_its_member() {
    let daemon = Daemon::with_members();
    let content = bytes(300_000, 3);
    let id = daemon.put(&mut local(), data(&content)).expect("a put").id;
    let good = v1::ReadRequest {
        ticket: daemon.ticket(CLIENT, &id, 1000, 5000),
        id,
        offset: 2000,
        length: 4000,
        ticket_offset: 1000,
        ticket_length: 5000,
        with_leaves: false,
        ..Default::default()
    };
    let got = daemon.read(CLIENT, good.clone()).expect("a read");
    assert_eq!(got.data, content.slice(2000..6000));
    let mut tag = good.ticket.to_vec();
    tag[0] ^= 1;
    let unknown = Bytes::copy_from_slice(&[9; 32]);
    let bad = [
        (
            "none",
            v1::ReadRequest {
                ticket: Bytes::new(),
                ..good.clone()
            },
        ),
        (
            "forged",
            v1::ReadRequest {
                ticket: tag.into(),
                ..good.clone()
            },
        ),
        (
            "cut",
            v1::ReadRequest {
                ticket: good.ticket.slice(..15),
                ..good.clone()
            },
        ),
        (
            "widened",
            v1::ReadRequest {
                ticket_length: 5001,
                ..good.clone()
            },
        ),
        (
            "shifted",
            v1::ReadRequest {
                ticket_offset: 1001,
                ..good.clone()
            },
        ),
        (
            "before it",
            v1::ReadRequest {
                offset: 999,
                ..good.clone()
            },
        ),
        (
            "beyond it",
            v1::ReadRequest {
                length: 4001,
                ..good.clone()
            },
        ),
        (
            "far beyond it",
            v1::ReadRequest {
                offset: u32::MAX,
                length: 1,
                ..good.clone()
            },
        ),
        // The same whether there is such a chunk or not.
        (
            "of another chunk",
            v1::ReadRequest {
                id: unknown,
                ..good.clone()
            },
        ),
    ];
    for (what, request) in bad {
        assert!(is_denied(&daemon.read(CLIENT, request)), "{what}");
    }
    assert!(
        is_denied(&daemon.read(OTHER, good.clone())),
        "of another member"
    );
    // Nodes need none.
    let bare = v1::ReadRequest {
        ticket: Bytes::new(),
        ..good
    };
    assert_eq!(daemon.read(NODE, bare).expect("a read").data.len(), 4000);
}

#[test]
fn leaves_are_shown_to_whoever_may_read_the_whole_chunk() {
    let daemon = Daemon::with_members();
    let content = bytes(3 * LEAF_SIZE_BYTES + 5, 4);
    let id = daemon.put(&mut local(), data(&content)).expect("a put").id;
    let length = content.len() as u32;
    let leaf = LEAF_SIZE_BYTES as u32;
    let request = |offset, length| v1::ReadRequest {
        id: id.clone(),
        offset: leaf,
        length: leaf,
        ticket: daemon.ticket(CLIENT, &id, offset, length),
        ticket_offset: offset,
        ticket_length: length,
        with_leaves: true,
        ..Default::default()
    };
    let whole = daemon.read(CLIENT, request(0, length)).expect("a read");
    let (leaves, rest) = whole.leaves.as_chunks::<32>();
    assert!(rest.is_empty());
    assert_eq!(chunk_id_of_leaves(content.len(), leaves).0, id.as_ref());
    assert_eq!(leaf_hash(&whole.data), leaves[1]);
    for (offset, length) in [(leaf, leaf), (0, length - 1), (1, length - 1)] {
        let part = daemon
            .read(CLIENT, request(offset, length))
            .expect("a read");
        assert_eq!(
            (part.data.clone(), part.leaves.len()),
            (whole.data.clone(), 0)
        );
    }
    // A node without a ticket.
    assert_eq!(
        daemon.read(NODE, request(0, 0)).expect("a read").leaves,
        whole.leaves
    );
    let unasked = v1::ReadRequest {
        with_leaves: false,
        ..request(0, length)
    };
    assert!(
        daemon
            .read(CLIENT, unasked)
            .expect("a read")
            .leaves
            .is_empty()
    );
}
