//! A daemon's restart is a wait and not an error: calls in flight and calls made meanwhile go on when
//! it is back, and end with a clear failure when it does not come back in time.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{SLOW_AT, Server, wait_until};
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient};

#[test]
fn calls_wait_for_a_restart_and_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("chunkd.sock");
    let mut server = Server::start(&path);
    let pool = Arc::new(Pool::new(path.clone()));
    let (stop, calls) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop) = (ChunkClient(pool.clone()), stop.clone());
            let calls = calls.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let mut options = Options::within(Duration::from_secs(30));
                    client
                        .hello(&mut options, &v1::Empty {})
                        .expect("an answer in the end");
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let before = calls.load(Ordering::SeqCst);
        wait_until("calls go on", || {
            calls.load(Ordering::SeqCst) > before + 100
        });
        drop(server);
        server = Server::start(&path);
    }
    let before = calls.load(Ordering::SeqCst);
    wait_until("calls go on", || {
        calls.load(Ordering::SeqCst) > before + 100
    });
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.join().expect("no call failed");
    }
    drop(server);
}

#[test]
fn a_call_in_flight_is_asked_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("chunkd.sock");
    let server = Server::start(&path);
    let client = ChunkClient(Pool::new(path.clone()));
    let call = std::thread::spawn(move || {
        let request = v1::ReadRequest {
            offset: SLOW_AT,
            length: 3,
            ..Default::default()
        };
        client.read(&mut Options::within(Duration::from_secs(30)), &request)
    });
    drop(server);
    let server = Server::start(&path);
    assert_eq!(
        call.join()
            .expect("no panic")
            .expect("an answer")
            .data
            .len(),
        3
    );
    drop(server);
}

#[test]
fn without_a_daemon_a_call_ends_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let client = ChunkClient(Pool::new(directory.path().join("nobody.sock")));
    let start = Instant::now();
    let mut options = Options::within(Duration::from_millis(300));
    let lost = client.hello(&mut options, &v1::Empty {});
    assert!(matches!(lost, Err(Failure::Disconnected(_))), "{lost:?}");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        options.deadline,
        Duration::from_millis(300),
        "the wish is left as it was"
    );

    let mut options = Options {
        retry: false,
        ..Options::default()
    };
    let start = Instant::now();
    let lost = client.hello(&mut options, &v1::Empty {});
    assert!(matches!(lost, Err(Failure::Disconnected(_))), "{lost:?}");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_busy_answer_is_asked_again_until_the_deadline() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("chunkd.sock"));
    let client = ChunkClient(Pool::new(server.path.clone()));
    let start = Instant::now();
    let busy = client.status(
        &mut Options::within(Duration::from_millis(200)),
        &v1::Empty {},
    );
    assert_eq!(busy, Err(Failure::Unavailable("still starting".into())));
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_millis(50) && elapsed < Duration::from_secs(3),
        "{elapsed:?}"
    );
}
