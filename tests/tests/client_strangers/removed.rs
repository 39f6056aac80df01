//! A member that was removed while it worked.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use wolfdisk_proto::Failure;
use wolfdisk_tests::{Cluster, ctl, wait_until, wait_within};

use crate::raw::{Listener, Raw, credentials, shake};

/// How long a removed member may go on.
const SHUT_OUT_WITHIN: Duration = Duration::from_secs(2);
const LARGE_BYTES: usize = 5_000_000;

#[test]
fn a_removed_client_is_cut_off_from_both_daemons_and_stays_out() {
    let cluster = Cluster::start();
    let data = cluster.joined("desk", &["--no-squash-root"]);
    let other = cluster.up(cluster.joined("table", &["--no-squash-root"]));
    let own = credentials(&data);
    let mut desk = cluster.up(data.clone());
    fs::write(desk.path("large"), vec![9; LARGE_BYTES]).expect("written");
    fs::write(desk.path("kept"), "before").expect("written");
    let mut open = fs::File::options()
        .read(true)
        .write(true)
        .open(desk.path("kept"))
        .expect("opened");
    let raw = Raw::of(&data);
    let large = raw
        .look_up(raw.root, "large")
        .expect("asked")
        .expect("there");
    let span = raw.map(large).expect("mapped");
    assert_eq!(raw.read(&span).expect("read").len(), span.length as usize);

    let asked = Instant::now();
    let removed = cluster.ask(&["node", "remove", "desk"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let left = || SHUT_OUT_WITHIN.saturating_sub(asked.elapsed());
    wait_within(left(), "both daemons cut its calls", || {
        raw.status().is_err() && raw.read(&span).is_err() && raw.put(b"more").is_err()
    });
    wait_within(left(), "its mount is cut", || {
        fs::write(desk.path("new"), "x").is_err()
            && open
                .write_all(b"after!")
                .and_then(|()| open.sync_all())
                .is_err()
            && fs::metadata(desk.path("missing"))
                .is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
    });

    // With all that it kept it does not come in again.
    for daemon in Listener::both(&credentials(other.data())) {
        let denied = || daemon.counter(&cluster, "handshakes_denied");
        let before = denied();
        let again = shake(&daemon, &own);
        assert!(
            matches!(again, Err(Failure::Denied(_))),
            "{daemon:?}: {again:?}"
        );
        wait_until("it is counted", || denied() > before);
    }
    let status = ctl(&data, &["status"]);
    assert_ne!(status.code, Some(0), "{status:?}");
    let said = status.stdout + &status.stderr;
    assert!(said.contains("removed"), "{said}");
    drop(open);
    desk.crash();
    desk.launch();
    wait_until("it gives up", || desk.up_ended().is_some());
    assert!(!desk.is_ready(), "it was let in again");

    // Nobody else noticed, and nothing of it arrived.
    assert_eq!(fs::read(other.path("kept")).expect("read"), b"before");
    assert!(!cluster.node().path("new").exists());
    let mut large = fs::File::open(other.path("large")).expect("opened");
    large
        .seek(SeekFrom::Start(LARGE_BYTES as u64 - 1))
        .expect("there");
    let mut last = Vec::new();
    large.read_to_end(&mut last).expect("read");
    assert_eq!(last, [9]);
}
