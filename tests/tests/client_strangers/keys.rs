//! Machines with keys that do not fit, and one that says again what a member said.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::Who;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::Failure;
use wolfdisk_tests::{Cluster, DEADLINE, ctl, forget_nodes, wait_until};

use crate::raw::{Listener, Raw, credentials, shake};

/// What a node sends to one that does not hold the key it named.
const REFUSAL: [u8; 2] = [0; 2];

#[test]
fn keys_that_do_not_fit_open_nothing() {
    let cluster = Cluster::start();
    let (data, other) = (cluster.joined("desk", &[]), cluster.joined("table", &[]));
    let (own, other) = (credentials(&data), credentials(&other));
    let with = |who, shared_key, static_key| Credentials {
        who,
        shared_key,
        static_key,
        ..own.clone()
    };
    let wrong = || [7; 32].into();
    let strangers = [
        // Guessed keys, of members that are there and that are not.
        with(Who::Node, wrong(), wrong()),
        with(own.who, wrong(), own.static_key.clone()),
        with(Who::Member(99), wrong(), wrong()),
        with(Who::Joining(1), wrong(), wrong()),
        with(Who::Joining(99), wrong(), wrong()),
        // The key of a member opens nothing to another, and for no node.
        with(own.who, own.shared_key.clone(), wrong()),
        with(own.who, other.shared_key.clone(), other.static_key.clone()),
        with(own.who, own.shared_key.clone(), other.static_key.clone()),
        with(Who::Node, own.shared_key.clone(), own.static_key.clone()),
    ];
    for daemon in Listener::both(&own) {
        let denied = || daemon.counter(&cluster, "handshakes_denied");
        let before = denied();
        for stranger in &strangers {
            let refused = shake(&daemon, stranger);
            assert!(
                matches!(refused, Err(Failure::Denied(_))),
                "{daemon:?} to {stranger:?}: {refused:?}"
            );
        }
        wait_until("each is counted", || {
            denied() == before + strangers.len() as u64
        });
        shake(&daemon, &own).expect("the member still comes in");
    }
    // Whole programs.
    let paths = Paths::new(data.clone());
    let stolen = with(own.who, wrong(), wrong());
    stolen.keep(&paths).expect("kept");
    for command in [["status"].as_slice(), &["stats", "--once"]] {
        let refused = ctl(&data, command);
        assert_ne!(refused.code, Some(0), "{refused:?}");
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("does not let this machine in"), "{said}");
    }
    own.keep(&paths).expect("kept");
    let again = ctl(&data, &["status"]);
    assert_eq!(again.code, Some(0), "{again:?}");
}

/// What was said on one connection so far.
type Record = Arc<Mutex<Vec<u8>>>;

/// Passes bytes on to a node, and keeps what the machines on this side say.
struct Recorder {
    address: SocketAddr,
    said: Arc<Mutex<Vec<Record>>>,
}

impl Recorder {
    fn before(node: SocketAddr) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let said: Arc<Mutex<Vec<Record>>> = Arc::default();
        let all = said.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for asking in listener.incoming() {
                let asking = asking.expect("accepted");
                let Ok(answering) = TcpStream::connect(node) else {
                    continue;
                };
                let (back, to) = (asking.try_clone(), answering.try_clone());
                let (back, to) = (back.expect("a descriptor"), to.expect("a descriptor"));
                let record = Arc::default();
                all.lock().expect("no panic").push(Arc::clone(&record));
                std::thread::spawn(move || pass_on(asking, to, Some(record)));
                std::thread::spawn(move || pass_on(answering, back, None));
            }
        });
        Recorder { address, said }
    }

    fn said(&self) -> Vec<Vec<u8>> {
        let said = self.said.lock().expect("no panic");
        let copy = |record: &Record| record.lock().expect("no panic").clone();
        said.iter().map(copy).collect()
    }
}

/// Until either side ends.
fn pass_on(mut from: TcpStream, mut to: TcpStream, record: Option<Record>) {
    let mut room = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut room) {
        let bytes = &room[..length];
        if let Some(record) = &record {
            record.lock().expect("no panic").extend_from_slice(bytes);
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    for side in [from, to] {
        match side.shutdown(Shutdown::Both) {
            Err(error) if error.kind() != ErrorKind::NotConnected => panic!("{error}"),
            _ => {}
        }
    }
}

/// A message with its length, and the rest.
fn message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let whole = 2 + usize::from(u16::from_le_bytes(*head));
    (rest.len() + 2 >= whole).then(|| bytes.split_at(whole))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a length");
    let mut message = vec![0; usize::from(u16::from_le_bytes(head))];
    stream.read_exact(&mut message).expect("a message");
    message
}

#[test]
fn what_a_member_said_says_nothing_a_second_time() {
    let cluster = Cluster::start();
    let data = cluster.joined("desk", &["--no-squash-root"]);
    let mut member = credentials(&data);
    let [meta, _] = Listener::both(&member);
    let recorder = Recorder::before(meta.address);
    member.addresses = vec![recorder.address.to_string()];
    member.keep(&Paths::new(data.clone())).expect("kept");
    // It knows no other way.
    forget_nodes(&data);
    let desk = cluster.up(data);
    fs::write(desk.path("file"), "of the desk").expect("written");
    fs::remove_file(cluster.node().path("file")).expect("removed");
    let said = recorder.said();

    say_again(&cluster, &meta, &said);
    assert!(
        !cluster.node().path("file").exists(),
        "a call was done again"
    );
    fs::write(desk.path("file"), "again").expect("the member goes on");
    assert_eq!(
        fs::read(cluster.node().path("file")).expect("read"),
        b"again"
    );
}

#[test]
fn what_a_member_said_to_a_chunk_store_says_nothing_a_second_time() {
    let cluster = Cluster::start();
    let data = cluster.joined("desk", &["--no-squash-root"]);
    let [_, chunkd] = Listener::both(&credentials(&data));
    let recorder = Recorder::before(chunkd.address);
    let raw = Raw::through(&data, recorder.address);
    raw.put(b"of the desk").expect("put");
    let puts = || chunkd.counter(&cluster, "puts");
    wait_until("the put is counted", || puts() > 0);
    let before = puts();
    say_again(&cluster, &chunkd, &recorder.said());
    assert_eq!(puts(), before, "a call was done again");
    raw.put(b"more of the desk").expect("the member goes on");
}

/// Says to a daemon what a member said, in several ways; each is refused and counted.
fn say_again(cluster: &Cluster, daemon: &Listener, said: &[Vec<u8>]) {
    let denied = || daemon.counter(cluster, "handshakes_denied");
    let before = denied();
    let (mut replayed, mut calls) = (0, 0);
    for bytes in said {
        let Some((first, rest)) = message(bytes) else {
            continue;
        };
        let Some((third, rest)) = message(rest) else {
            continue;
        };
        let mut again = connect(daemon.address);
        again.write_all(first).expect("sent");
        receive(&mut again);
        again.write_all(third).expect("sent");
        let mut told = Vec::new();
        again.read_to_end(&mut told).expect("the node closes");
        assert_eq!(told, REFUSAL, "that it is not let in, and nothing else");
        // All in one go, with every call behind it. It closes before it has read what it does not want.
        let mut at_once = connect(daemon.address);
        at_once.write_all(bytes).expect("sent");
        match at_once.read_to_end(&mut told) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => {}
        }
        replayed += 2;
        calls += usize::from(!rest.is_empty());
    }
    assert!(calls > 0, "no call was recorded");
    wait_until("each is counted", || denied() == before + replayed);
}
