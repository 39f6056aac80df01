//! No peer makes a daemon keep a descriptor that it did not ask for.
//!
//! Descriptors are counted for the whole process, so these tests run one after the other.

mod common;

use std::io::{IoSlice, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{Server, assert_closed, frame, holding, wait_until};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use parking_lot::Mutex;
use wolfdisk_common::limits;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient};

static ALONE: Mutex<()> = Mutex::new(());
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

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

fn send_with(stream: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) {
    let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&raw)];
    let slices = [IoSlice::new(bytes)];
    sendmsg::<()>(
        stream.as_raw_fd(),
        &slices,
        &control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .expect("sent");
}

#[test]
fn descriptors_that_were_not_announced_are_closed() {
    let _alone = ALONE.lock();
    let (_directory, server) = started();
    assert_serves(&server);
    let before = open_descriptors();
    for count in [1, limits::FRAME_FDS_MAX, limits::FRAME_FDS_MAX + 1, 20] {
        let stream = server.raw();
        let fds: Vec<OwnedFd> = (0..count).map(|_| holding("x")).collect();
        send_with(&stream, &frame(CHUNK_SERVICE, 1, 0, b""), &fds);
        assert_closed(&stream);
    }
    let mut stream = server.raw();
    stream
        .write_all(&frame(CHUNK_SERVICE, 4, 1, b""))
        .expect("sent");
    assert_closed(&stream);
    drop(stream);
    wait_until("descriptors are closed", || open_descriptors() <= before);
}

#[test]
fn descriptors_scattered_over_a_large_body_are_closed() {
    let _alone = ALONE.lock();
    let (_directory, server) = started();
    assert_serves(&server);
    let before = open_descriptors();
    let stream = server.raw();
    let whole = frame(CHUNK_SERVICE, 2, 0, &vec![0; 200_000]);
    let sender = stream.try_clone().expect("a descriptor");
    let mut pieces = whole.chunks(20_000);
    sender
        .set_write_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let fds: Vec<OwnedFd> = (0..limits::FRAME_FDS_MAX).map(|_| holding("x")).collect();
    let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    // The server may close in the middle: sending then fails, which is as good.
    for piece in pieces.by_ref() {
        let control = [ControlMessage::ScmRights(&raw)];
        let slices = [IoSlice::new(piece)];
        if sendmsg::<()>(
            sender.as_raw_fd(),
            &slices,
            &control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .is_err()
        {
            break;
        }
    }
    assert_closed(&stream);
    drop((stream, sender, fds));
    wait_until("descriptors are closed", || open_descriptors() <= before);
    assert_serves(&server);
}
