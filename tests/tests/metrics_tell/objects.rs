//! What wolfdisk-s3 tells of how it stands, and of what clients asked for and sent.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use wolfdisk_tests::{Daemon, Gateway, Node, Numbers, Stopped, told, vm_rss_bytes, wait_until};

use crate::{grown, grown_of, is_same, same};

const OBJECTS: u32 = 20;
const BODY: usize = 10_000;
/// Connections beyond those that one address may have.
const TOO_MANY: u32 = 10;

#[test]
fn a_gateway_says_whether_it_is_ready() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    let ready = || told(&gateway.admin(), "readyz");
    assert_eq!(told(&gateway.admin(), "healthz").1, "200");
    assert_eq!(ready().1, "200");
    let stopped = Stopped::stop(node.pid(Daemon::Meta));
    wait_until("the lease runs out", || ready().1 == "503");
    let (reason, _) = ready();
    assert!(reason.contains("does not answer"), "{reason}");
    assert_eq!(told(&gateway.admin(), "healthz").1, "200");
    let state = "wolfdisk_volume_session{state=\"lapsed\"}";
    same(
        Numbers::at(&gateway.admin()).of(state),
        1_u32,
        "the session",
    );
    drop(stopped);
    wait_until("it is ready again", || ready().1 == "200");
    gateway.stop();
}

/// A client that speaks for itself, and counts what it sends and is sent.
#[derive(Default)]
struct Wire {
    sent: usize,
    received: usize,
}

impl Wire {
    /// A request on a connection of its own; the status of its answer.
    fn ask(&mut self, place: &str, method: &str, path: &str, body: &[u8]) -> String {
        let length = body.len();
        let head = format!(
            "{method} /{path} HTTP/1.1\r\nHost: {place}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(place).expect("connected");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        self.sent += request.len();
        self.received += answer.len();
        let text = String::from_utf8_lossy(&answer);
        text.split(' ').nth(1).expect("a status").to_owned()
    }
}

#[test]
fn requests_connections_and_bytes_are_told_as_clients_made_them() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "anonymous = \"read-write\"");
    let address = gateway.address();
    let place = address.trim_start_matches("http://");
    let look = || Numbers::at(&gateway.admin());
    let before = look();
    let mut wire = Wire::default();
    assert_eq!(wire.ask(place, "PUT", "bucket", b""), "200");
    for number in 0..OBJECTS {
        let path = format!("bucket/{number}");
        assert_eq!(wire.ask(place, "PUT", &path, &[7; BODY]), "200");
        assert_eq!(wire.ask(place, "GET", &path, b""), "200");
    }
    assert_eq!(wire.ask(place, "GET", "bucket/missing", b""), "404");
    let made = 2 * OBJECTS + 2;
    wait_until("all connections are closed", || {
        is_same(look().of("wolfdisk_s3_connections_open"), 0.0)
    });
    let after = look();
    for (operation, status, expected) in [
        ("create_bucket", "2xx", 1),
        ("put_object", "2xx", OBJECTS),
        ("get_object", "2xx", OBJECTS),
        ("get_object", "4xx", 1),
    ] {
        let label = format!("{{operation=\"{operation}\",status=\"{status}\"}}");
        let name = format!("wolfdisk_s3_requests_total{label}");
        same(grown_of(&before, &after, &name), expected, &name);
    }
    for (name, expected) in [
        ("wolfdisk_s3_requests_total", made),
        ("wolfdisk_s3_request_duration_seconds_count", made),
        ("wolfdisk_s3_connections_total", made),
        ("wolfdisk_s3_received_bytes_total", wire.sent as u32),
        ("wolfdisk_s3_sent_bytes_total", wire.received as u32),
    ] {
        same(grown(&before, &after, name), expected, name);
    }
    let memory = after.of("process_resident_memory_bytes") / vm_rss_bytes(gateway.pid()) as f64;
    assert!((memory - 1.0).abs() < 0.5, "{memory}");

    // Bodies that do not come yet.
    let mut open = Vec::new();
    for number in 0..OBJECTS {
        let mut stream = TcpStream::connect(place).expect("connected");
        let head = format!(
            "PUT /bucket/{number} HTTP/1.1\r\nHost: {place}\r\nContent-Length: {BODY}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        open.push(stream);
    }
    wait_until("each is under way", || {
        is_same(
            look().of("wolfdisk_s3_requests_in_flight"),
            f64::from(OBJECTS),
        )
    });
    same(look().of("wolfdisk_s3_connections_open"), OBJECTS, "open");
    drop(open);
    wait_until("none is", || {
        is_same(look().of("wolfdisk_s3_requests_in_flight"), 0.0)
    });
    gateway.stop();
}

#[test]
fn connections_that_are_too_many_of_one_address_are_told() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raised");
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    let address = gateway.address();
    let place = address.trim_start_matches("http://");
    let most = wolfdisk_s3::limits::CONNECTIONS_OF_ONE_MAX as u32;
    let connect = |_| TcpStream::connect(place).expect("connected");
    let streams: Vec<TcpStream> = (0..most + TOO_MANY).map(connect).collect();
    let ended = "wolfdisk_s3_connections_ended_total{reason=\"too_many\"}";
    let look = || Numbers::at(&gateway.admin());
    wait_until("those that are too many are ended", || {
        is_same(look().of(ended), f64::from(TOO_MANY))
    });
    wait_until("the others are open", || {
        is_same(look().of("wolfdisk_s3_connections_open"), f64::from(most))
    });
    drop(streams);
    gateway.stop();
}
