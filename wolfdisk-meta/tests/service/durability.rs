//! What was acknowledged survives: restarts, kills, and the same mutation sent twice.

use crate::daemon::{Node, create, options, write};
use wolfdisk_proto::v1;

#[test]
fn a_killed_daemon_comes_back_with_everything_it_acknowledged() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let inos: Vec<_> = (0..50)
        .map(|number| session.create(&format!("f{number}")))
        .collect();
    for (number, ino) in inos.iter().enumerate() {
        let data = vec![number as u8; 100 * (number + 1)];
        assert_eq!(session.mutate(write(*ino, 3, &data)).errno, 0);
    }
    daemon.kill();
    let daemon = node.start();
    let session = daemon.session("b");
    for (number, ino) in inos.iter().enumerate() {
        assert_eq!(
            session
                .lookup(&format!("f{number}"))
                .attr
                .expect("found")
                .ino,
            *ino
        );
        let mut expected = vec![0; 3];
        expected.resize(3 + 100 * (number + 1), number as u8);
        assert_eq!(session.content(*ino), expected);
    }
    // A checkpoint changes nothing, and neither does a start without a log to replay.
    daemon.stop();
    let daemon = node.start();
    let session = daemon.session("c");
    assert_eq!(session.content(inos[49]).len(), 3 + 5000);
}

#[test]
fn a_repeated_mutation_is_done_once_and_answered_alike() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let request = session.request(create("once"));
    let first = session.send(&request);
    assert_eq!(first.errno, 0);
    let again = session.send(&request);
    assert_eq!(
        (again.version, again.errno, again.cookie),
        (first.version, 0, first.cookie)
    );
    daemon.kill();
    let _daemon = node.start();
    let after = session.send(&request);
    assert_eq!(
        (after.version, after.errno, after.cookie),
        (first.version, 0, first.cookie)
    );
    assert_eq!(session.mutate(create("once")).errno, libc::EEXIST as u32);
}

#[test]
fn a_durable_answer_means_that_the_watermark_has_passed() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let ino = session.create("file");
    let request = v1::MutateRequest {
        durable: true,
        ..session.request(write(ino, 0, b"data"))
    };
    let reply = session.send(&request);
    assert_eq!(reply.errno, 0);
    let status = session
        .meta
        .status(&mut options(), &v1::Empty {})
        .expect("a status");
    assert!(status.durable_version >= reply.version);
    let version = session.mutate(write(ino, 4, b"more")).version;
    let request = v1::SyncRequest {
        session: session.id,
        version,
    };
    let synced = session.meta.sync(&mut options(), &request).expect("synced");
    assert!(synced.durable >= version);
    let status = session
        .meta
        .status(&mut options(), &v1::Empty {})
        .expect("a status");
    assert!(status.durable_version >= version);
}
