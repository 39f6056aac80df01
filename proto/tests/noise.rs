//! Encrypted connections: what members can do on them, and that strangers can do nothing.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Toy;
use parking_lot::Mutex;
use uuid::Uuid;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::limits::{HALF_OPEN_PER_ADDRESS_MAX, HANDSHAKE_DEADLINE};
use wolfdisk_proto::noise::{
    Connection, Door, Guests, Pool, PublicKey, Setup, Targets, Welcome, public_key, serve,
};
use wolfdisk_proto::v1::{self, ChunkClient, ChunkFramed};
use zeroize::Zeroizing;

/// The number of the chunk service.
const SERVICE: u8 = 2;
const CLUSTER: [u8; 16] = [5; 16];
const NODE: [u8; 32] = [1; 32];
const DEADLINE: Duration = Duration::from_secs(10);

/// Lets in member 7 with one key.
struct Gate {
    removed: AtomicBool,
}

fn shared() -> Zeroizing<[u8; 32]> {
    Zeroizing::new([9; 32])
}

impl Door for Gate {
    fn shared_key(&self, who: Who) -> Option<Zeroizing<[u8; 32]>> {
        (who == Who::Member(7)).then(shared)
    }

    fn admit(&self, who: Who, key: &PublicKey, _: SocketAddr) -> Result<Principal, Failure> {
        if self.removed.load(Ordering::SeqCst) {
            return Err(Failure::Denied("this machine was removed".into()));
        }
        Ok(Principal {
            who,
            kind: MemberKind::Client,
            member: 7,
            name: "desk".into(),
            public_key: *key,
            restrictions: Restrictions::default(),
        })
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            cluster: CLUSTER,
            node: "alpha".into(),
            chunk_port: 77,
            ..Welcome::default()
        }
    }
}

/// A server on a thread of its own, which ends with it.
struct Server {
    address: SocketAddr,
    gate: Arc<Gate>,
    guests: Arc<Guests>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start() -> Server {
        Server::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    fn start_at(address: SocketAddr) -> Server {
        let gate = Arc::new(Gate {
            removed: AtomicBool::new(false),
        });
        let guests = Arc::new(Guests::default());
        let listener = TcpListener::bind(address).expect("an address");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("an address");
        let setup = Setup {
            static_key: Zeroizing::new(NODE),
            door: gate.clone(),
            guests: guests.clone(),
            on_close: Arc::new(|_| ()),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let service = ChunkFramed(Arc::new(Toy::default()));
                tokio::select! {
                    ended = serve(listener, service, setup) => ended.expect("it goes on"),
                    _ = stopped => {}
                }
            });
        });
        Server {
            address,
            gate,
            guests,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn connect(&self, credentials: &Credentials) -> Result<Connection, Failure> {
        Connection::open(self.address, SERVICE, credentials, DEADLINE)
    }

    fn counter(&self, name: &str) -> u64 {
        let counters = self.guests.counters();
        let found = counters.into_iter().find(|(known, _)| *known == name);
        found.expect("a counter").1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

fn desk() -> Credentials {
    Credentials {
        cluster: Some(Uuid::from_bytes(CLUSTER)),
        who: Who::Member(7),
        kind: MemberKind::Client,
        name: "desk".into(),
        shared_key: shared(),
        static_key: Zeroizing::new([3; 32]),
        node_key: Some(public_key(&NODE).expect("a key")),
        addresses: Vec::new(),
    }
}

fn put(
    client: &ChunkClient<impl wolfdisk_proto::call::Caller>,
    bytes: usize,
) -> Result<v1::PutReply, Failure> {
    let request = v1::PutRequest {
        claimed_id: vec![4; 32].into(),
        source: Some(v1::put_request::Source::Data(vec![8; bytes].into())),
        privileged: false,
    };
    client.put(&mut Options::within(DEADLINE), &request)
}

fn wait(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

struct One(Mutex<SocketAddr>);

impl Targets for One {
    fn addresses(&self) -> Vec<SocketAddr> {
        vec![*self.0.lock()]
    }

    fn reached(&self, _: SocketAddr, welcome: &Welcome) {
        assert_eq!(welcome.chunk_port, 77);
    }

    fn failed(&self, _: SocketAddr, _: &Failure) {}
}

#[test]
fn calls_of_all_sizes_are_answered() {
    let server = Server::start();
    let connection = server.connect(&desk()).expect("let in");
    assert_eq!(connection.welcome().node, "alpha");
    let client = ChunkClient(Mutex::new(connection));
    for bytes in [0, 1, 65_000, 65_519, 65_536, 1 << 20, 4 << 20] {
        put(&client, bytes).expect("answered");
    }
    let read = v1::ReadRequest {
        id: vec![4; 32].into(),
        length: 4 << 20,
        ..v1::ReadRequest::default()
    };
    let reply = client.read(&mut Options::within(DEADLINE), &read);
    assert_eq!(reply.expect("answered").data.len(), 4 << 20);
    // A refusal leaves the connection as it was.
    let flush = client.flush(
        &mut Options::default(),
        &v1::FlushRequest {
            place: 1,
            ..Default::default()
        },
    );
    assert_eq!(flush, Err(Failure::Errno(libc::ENOSPC)));
    put(&client, 10).expect("answered");
}

#[test]
fn a_stranger_gets_nothing_and_is_counted() {
    let server = Server::start();
    let denied = |credentials: Credentials| match server.connect(&credentials) {
        Err(Failure::Denied(text)) => text,
        other => panic!("{other:?}"),
    };
    let mut wrong_key = desk();
    wrong_key.shared_key = Zeroizing::new([8; 32]);
    assert!(denied(wrong_key).contains("does not let this machine in"));
    let mut unknown = desk();
    unknown.who = Who::Member(8);
    assert!(denied(unknown).contains("does not let this machine in"));
    let mut elsewhere = desk();
    elsewhere.cluster = Some(Uuid::from_bytes([6; 16]));
    assert!(denied(elsewhere).contains("another cluster"));
    let mut other_node = desk();
    other_node.node_key = Some([2; 32]);
    assert!(denied(other_node).contains("made the token"));
    wait("they are counted", || {
        server.counter("handshakes_denied") >= 2
    });
    assert_eq!(server.counter("connections_accepted"), 0);
    server.gate.removed.store(true, Ordering::SeqCst);
    assert!(denied(desk()).contains("was removed"));
    server.gate.removed.store(false, Ordering::SeqCst);
    server.connect(&desk()).expect("let in");
}

#[test]
fn who_is_expelled_is_cut_off_in_the_middle_of_a_call() {
    let server = Server::start();
    let client = ChunkClient(Mutex::new(server.connect(&desk()).expect("let in")));
    let key = public_key(&[3; 32]).expect("a key");
    let waiting = std::thread::spawn(move || {
        let read = v1::ReadRequest {
            offset: common::SLOW_AT,
            ..v1::ReadRequest::default()
        };
        let mut options = Options::within(DEADLINE);
        client.read(&mut options, &read)
    });
    wait("it is there", || server.guests.of(&key).0 == 1);
    server.gate.removed.store(true, Ordering::SeqCst);
    server.guests.expel(&key);
    let start = Instant::now();
    let answer = waiting.join().expect("no panic");
    assert!(
        matches!(answer, Err(Failure::Disconnected(_))),
        "{answer:?}"
    );
    assert!(start.elapsed() < Toy::SLOW);
    wait("it is gone", || server.guests.of(&key).0 == 0);
}

/// What a connection to the server says, recorded by a relay.
fn recorded(server: &Server) -> Vec<u8> {
    let relay = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = relay.local_addr().expect("an address");
    let to = server.address;
    let thread = std::thread::spawn(move || {
        let (asking, _) = relay.accept().expect("accepted");
        let answering = TcpStream::connect(to).expect("connected");
        let (mut from, mut back) = (answering.try_clone().expect("cloned"), asking.try_clone());
        let back = back.as_mut().expect("cloned").try_clone().expect("cloned");
        let other = std::thread::spawn(move || {
            let mut back = back;
            let _ = std::io::copy(&mut from, &mut back);
        });
        let (mut asking, mut answering) = (asking, answering);
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count) = asking.read(&mut buffer) {
            if count == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..count]);
            answering.write_all(&buffer[..count]).expect("sent");
        }
        answering.shutdown(std::net::Shutdown::Both).expect("shut");
        other.join().expect("no panic");
        all
    });
    let connection = Connection::open(address, SERVICE, &desk(), DEADLINE).expect("let in");
    let client = ChunkClient(Mutex::new(connection));
    put(&client, 10).expect("answered");
    drop(client);
    thread.join().expect("no panic")
}

/// Sends bytes and gives what comes back until the server closes.
fn said_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    // The server may have hung up by then.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut back = Vec::new();
    match stream.read_to_end(&mut back) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the server keeps it open")
        }
        _ => back,
    }
}

#[test]
fn a_replay_and_every_truncation_come_to_nothing() {
    let server = Server::start();
    let all = recorded(&server);
    let accepted = server.counter("connections_accepted");
    said_to(&server, &all);
    for end in 0..all.len() {
        said_to(&server, &all[..end]);
    }
    for at in 0..all.len().min(200) {
        let mut changed = all.clone();
        changed[at] ^= 0x40;
        said_to(&server, &changed);
    }
    assert_eq!(server.counter("connections_accepted"), accepted);
    server.connect(&desk()).expect("a good one is let in");
}

#[test]
fn garbage_is_cut_off() {
    let server = Server::start();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0; 300],
        &[0xff; 70_000],
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
    ] {
        assert!(said_to(&server, bytes).len() < 1024);
    }
    wait("they are counted", || {
        server.counter("handshakes_garbled") >= 4
    });
    server.connect(&desk()).expect("a good one is let in");
}

#[test]
fn idle_strangers_leave_room_and_are_cut_off() {
    let server = Server::start();
    let flood = 2 * HALF_OPEN_PER_ADDRESS_MAX;
    let idle: Vec<_> = (0..flood)
        .map(|_| TcpStream::connect(server.address).expect("connected"))
        .collect();
    wait("the oldest make room", || {
        server.counter("connections_over_limit") >= HALF_OPEN_PER_ADDRESS_MAX as u64
    });
    let held = server.counter("handshakes_open");
    assert!(held <= HALF_OPEN_PER_ADDRESS_MAX as u64, "{held} are held");
    // From the same address, and yet at once.
    let start = Instant::now();
    let connection = server.connect(&desk()).expect("a good one is let in");
    put(&ChunkClient(Mutex::new(connection)), 10).expect("answered");
    assert!(start.elapsed() < HANDSHAKE_DEADLINE / 2);
    for mut stream in idle {
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        // An end or a reset, but no wait.
        if let Err(error) = stream.read(&mut [0]) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock);
        }
    }
    wait("nothing is held", || server.counter("handshakes_open") == 0);
}

#[test]
fn a_node_that_ends_during_a_handshake_denies_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("an address");
    let server = Server::start();
    let to = server.address;
    let relay = std::thread::spawn(move || {
        // The first and the second message go through, the third does not arrive.
        let (mut asking, _) = listener.accept().expect("accepted");
        let mut answering = TcpStream::connect(to).expect("connected");
        relay_message(&mut asking, &mut answering);
        relay_message(&mut answering, &mut asking);
    });
    let answer = Connection::open(address, SERVICE, &desk(), DEADLINE);
    assert!(
        matches!(answer, Err(Failure::Disconnected(_))),
        "{answer:?}"
    );
    relay.join().expect("no panic");
}

fn relay_message(from: &mut TcpStream, to: &mut TcpStream) {
    let mut head = [0; 2];
    from.read_exact(&mut head).expect("a length");
    let mut message = vec![0; usize::from(u16::from_le_bytes(head))];
    from.read_exact(&mut message).expect("a message");
    to.write_all(&[&head[..], &message].concat()).expect("sent");
}

#[test]
fn a_slow_sender_is_no_other_ones_business() {
    let server = Server::start();
    let mut slow = TcpStream::connect(server.address).expect("connected");
    let start = Instant::now();
    slow.set_read_timeout(Some(Duration::from_millis(100)))
        .expect("set");
    // A byte now and then of a message that is announced as long.
    let mut ended = slow.write_all(&[200, 0]).is_err();
    while !ended {
        assert!(start.elapsed() < HANDSHAKE_DEADLINE + Duration::from_secs(3));
        put(
            &ChunkClient(Mutex::new(server.connect(&desk()).expect("let in"))),
            10,
        )
        .expect("answered");
        ended = match slow.write_all(&[1]).and_then(|()| slow.read(&mut [0])) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
    }
    assert_eq!(server.counter("handshakes_late"), 1);
}

#[test]
fn a_pool_goes_on_after_a_restart() {
    let server = Server::start();
    let address = server.address;
    let targets = Arc::new(One(Mutex::new(address)));
    let client = ChunkClient(Pool::new(Arc::new(desk()), SERVICE, targets));
    put(&client, 10).expect("answered");
    drop(server);
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        Server::start_at(address)
    });
    put(&client, 10).expect("answered by its successor");
    let server = later.join().expect("no panic");
    // Somebody who is not let in learns so at once.
    server.gate.removed.store(true, Ordering::SeqCst);
    server.guests.expel_others(|_| false);
    let start = Instant::now();
    let answer = put(&client, 10);
    assert!(matches!(answer, Err(Failure::Denied(_))), "{answer:?}");
    assert!(start.elapsed() < DEADLINE / 2);
}
