//! Peers that break the protocol harm themselves alone: wrong prefaces, impossible frames, unknown
//! methods, half frames, a service that panics, too many
//! connections, and bytes at random.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{PANIC_AT, SLOW_AT, Server, assert_closed, frame, reply, wait_until};
use proptest::prelude::*;
use wolfdisk_common::limits;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient};

const CHUNK_SERVICE: u8 = 2;

fn started() -> (tempfile::TempDir, Server) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("chunkd.sock"));
    (directory, server)
}

fn assert_serves(server: &Server) {
    let client = ChunkClient(Pool::new(server.path.clone()));
    client
        .hello(&mut Options::within(Duration::from_secs(10)), &v1::Empty {})
        .expect("an answer");
}

#[test]
fn a_wrong_preface_ends_the_connection() {
    let (_directory, server) = started();
    for wrong in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 64],
        b"WDF2\x01\0\0\0",
        b"PRI x garbage",
    ] {
        let mut stream = UnixStream::connect(&server.path).expect("a connection");
        stream.write_all(wrong).expect("sent");
        assert_closed(&stream);
    }
    let half = UnixStream::connect(&server.path).expect("a connection");
    (&half).write_all(b"WD").expect("sent");
    half.shutdown(std::net::Shutdown::Write).expect("closed");
    assert_closed(&half);
    assert_serves(&server);
}

#[test]
fn a_preface_may_come_byte_by_byte() {
    let (_directory, server) = started();
    let mut stream = UnixStream::connect(&server.path).expect("a connection");
    for byte in b"WDF1\x01\0\0\0" {
        stream.write_all(&[*byte]).expect("sent");
    }
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).expect("a preface");
    for byte in frame(CHUNK_SERVICE, 1, 0, &[]) {
        stream.write_all(&[byte]).expect("sent");
    }
    let (header, _) = reply(&mut stream).expect("an answer");
    assert_eq!((header.kind, header.number), (0, 0));
}

#[test]
fn an_impossible_frame_ends_the_connection() {
    let (_directory, server) = started();
    let over = (limits::FRAME_MAX_BYTES as u32 + 1).to_le_bytes();
    for length in [over, [0; 4], 7_u32.to_le_bytes(), [255; 4]] {
        let mut stream = server.raw();
        let mut bytes = length.to_vec();
        bytes.extend_from_slice(&[CHUNK_SERVICE, 1, 0, 0, 0, 0, 0, 0]);
        stream.write_all(&bytes).expect("sent");
        assert_closed(&stream);
    }
    assert_serves(&server);
}

#[test]
fn an_unknown_method_or_message_is_answered_and_the_connection_lives() {
    let (_directory, server) = started();
    let mut stream = server.raw();
    let failures = [
        (
            frame(CHUNK_SERVICE, 99, 0, b""),
            Failure::Unsupported(String::new()).code(),
        ),
        (
            frame(77, 1, 0, b""),
            Failure::Unsupported(String::new()).code(),
        ),
        (
            frame(CHUNK_SERVICE, 2, 0, &[255; 40]),
            Failure::Invalid(String::new()).code(),
        ),
    ];
    for (bytes, code) in failures {
        stream.write_all(&bytes).expect("sent");
        let (header, body) = reply(&mut stream).expect("an answer");
        assert_eq!(header.number, code);
        assert!(!body.is_empty(), "the reason is told");
    }
    stream
        .write_all(&frame(CHUNK_SERVICE, 1, 0, b""))
        .expect("sent");
    assert_eq!(reply(&mut stream).expect("an answer").0.number, 0);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let (_directory, server) = started();
    let mut stream = server.raw();
    let mut bytes = Vec::new();
    for length in 0..200_u8 {
        // ReadRequest { length }, by hand: field 3, varint.
        bytes.extend(frame(CHUNK_SERVICE, 8, 0, &[0x18, length & 0x7f]));
    }
    stream.write_all(&bytes).expect("sent");
    for length in 0..200_usize {
        let (header, body) = reply(&mut stream).expect("an answer");
        assert_eq!(header.number, 0);
        let length = length & 0x7f;
        assert_eq!(body.len(), if length == 0 { 0 } else { length + 2 });
    }
}

#[test]
fn a_panic_of_the_service_ends_one_connection_and_frees_its_place() {
    let (_directory, server) = started();
    for round in 1..=3 {
        let client = ChunkClient(Pool::new(server.path.clone()));
        let request = v1::ReadRequest {
            offset: PANIC_AT,
            length: 1,
            ..Default::default()
        };
        let mut options = Options {
            retry: false,
            ..Options::default()
        };
        let lost = client.read(&mut options, &request);
        assert!(matches!(lost, Err(Failure::Disconnected(_))), "{lost:?}");
        let closed = &server.toy.closed;
        wait_until("the end was told", || {
            closed.load(std::sync::atomic::Ordering::SeqCst) == round
        });
    }
    assert_serves(&server);
}

#[test]
fn a_peer_that_reads_slowly_slows_itself_alone() {
    let (_directory, server) = started();
    let mut slow = server.raw();
    // ReadRequest { length: 4 MiB }
    let mut body = vec![0x18];
    let mut value = 4_u32 << 20;
    while value > 127 {
        body.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    body.push(value as u8);
    for _ in 0..4 {
        slow.write_all(&frame(CHUNK_SERVICE, 8, 0, &body))
            .expect("sent");
    }
    let mut half = server.raw();
    half.write_all(frame(CHUNK_SERVICE, 1, 0, b"").split_at(5).0)
        .expect("sent");
    let start = Instant::now();
    for _ in 0..100 {
        assert_serves(&server);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "others wait: {:?}",
        start.elapsed()
    );
    for _ in 0..4 {
        let (header, body) = reply(&mut slow).expect("an answer");
        assert_eq!((header.number, body.len()), (0, (4 << 20) + 5));
    }
}

#[test]
fn a_connection_too_many_is_refused_and_the_place_is_used_again() {
    let (_directory, server) = started();
    let idle: Vec<UnixStream> = (0..200).map(|_| server.raw()).collect();
    assert_serves(&server);
    drop(idle);
    let mut options = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .expect("a limit");
    options.0 = options.1.min(8192);
    nix::sys::resource::setrlimit(
        nix::sys::resource::Resource::RLIMIT_NOFILE,
        options.0,
        options.1,
    )
    .expect("a limit");
    let closed = &server.toy.closed;
    wait_until("the places are free", || {
        closed.load(std::sync::atomic::Ordering::SeqCst) >= 201
    });
    let mut full: Vec<UnixStream> = (0..limits::CONNECTIONS_MAX).map(|_| server.raw()).collect();
    let refused = UnixStream::connect(&server.path).expect("the system accepts");
    assert_closed(&refused);
    // Those inside are served, and one that leaves makes room.
    let last = full.last_mut().expect("one");
    last.write_all(&frame(CHUNK_SERVICE, 1, 0, b""))
        .expect("sent");
    assert_eq!(reply(last).expect("an answer").0.number, 0);
    full.truncate(limits::CONNECTIONS_MAX / 2);
    assert_serves(&server);
}

#[test]
fn a_call_ends_at_its_deadline_and_the_late_answer_reaches_nobody() {
    let (_directory, server) = started();
    let client = ChunkClient(Pool::new(server.path.clone()));
    let request = v1::ReadRequest {
        offset: SLOW_AT,
        length: 3,
        ..Default::default()
    };
    let start = Instant::now();
    let late = client.read(&mut Options::within(Duration::from_millis(100)), &request);
    assert!(matches!(late, Err(Failure::Deadline(_))), "{late:?}");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    let request = v1::ReadRequest {
        length: 5,
        ..Default::default()
    };
    let reply = client
        .read(&mut Options::default(), &request)
        .expect("an answer");
    assert_eq!(reply.data.len(), 5, "the answer is this call's");
}

#[test]
fn no_time_at_all_is_a_deadline_passed() {
    let (_directory, server) = started();
    let client = ChunkClient(Pool::new(server.path.clone()));
    let late = client.hello(&mut Options::within(Duration::ZERO), &v1::Empty {});
    assert!(matches!(late, Err(Failure::Deadline(_))), "{late:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever bytes arrive, the server ends that connection or answers, and serves the next.
    #[test]
    fn random_bytes_do_no_harm(
        preface in prop::bool::weighted(0.8),
        pieces in prop::collection::vec(piece(), 0..8),
    ) {
        thread_local! {
            static SERVER: (tempfile::TempDir, Server) = started();
        }
        SERVER.with(|(_directory, server)| {
            let stream = UnixStream::connect(&server.path).expect("a connection");
            stream.set_write_timeout(Some(Duration::from_secs(10))).expect("a timeout");
            if preface {
                (&stream).write_all(b"WDF1\x01\0\0\0").expect("sent");
            }
            for piece in &pieces {
                if (&stream).write_all(piece).is_err() {
                    break;
                }
            }
            let _ = stream.shutdown(std::net::Shutdown::Write);
            assert_closed(&stream);
            assert_serves(server);
        });
    }
}

/// Noise, or a frame whose fields are nearly right.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    let near = (
        0..4_u8,
        0..16_u8,
        0..6_u8,
        prop::collection::vec(any::<u8>(), 0..64),
        -2..3_i64,
    )
        .prop_map(|(kind, number, fds, body, off)| {
            let mut bytes = frame(kind, number, fds, &body);
            let length = (bytes.len() as i64 - 4 + off).max(0) as u32;
            if let Some(room) = bytes.first_chunk_mut() {
                *room = length.to_le_bytes();
            }
            bytes
        });
    prop_oneof![noise, near]
}
