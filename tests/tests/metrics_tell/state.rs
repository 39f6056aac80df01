//! How the daemons stand: room, memory, connections, readiness.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use wolfdisk_common::limits::CONNECTIONS_MAX;
use wolfdisk_tests::{Daemon, Node, Stopped, told, vm_rss_bytes, wait_until};

use crate::{chunkd, grown, grown_of, is_same, meta, same};

/// Connections beyond those that there may be.
const TOO_MANY: u32 = 20;

#[test]
fn the_state_of_a_daemon_is_told_as_it_is() {
    let node = Node::start();
    // A moment after the mount is there the index has not heard of the chunk store yet.
    for daemon in [Daemon::Meta, Daemon::Chunkd] {
        wait_until("the daemons are ready", || {
            told(&node.admin(daemon), "readyz").1 == "200"
        });
    }
    let found = nix::sys::statvfs::statvfs(node.data()).expect("a file system");
    let size = (found.blocks() * found.fragment_size()) as f64;
    for (numbers, prefix, daemon) in [
        (meta(&node), "wolfdisk_meta", Daemon::Meta),
        (chunkd(&node), "wolfdisk_chunk", Daemon::Chunkd),
    ] {
        let told = |name: &str| numbers.of(&format!("{prefix}_{name}"));
        assert!((told("disk_size_bytes") - size).abs() < 1.0);
        assert!(told("disk_available_bytes") < size);
        let memory = numbers.of("process_resident_memory_bytes");
        let resident = vm_rss_bytes(node.pid(daemon)) as f64;
        assert!(
            (memory / resident - 1.0).abs() < 0.5,
            "{memory}, not {resident}"
        );
        let uptime = told("uptime_seconds");
        let runs = running_s(node.pid(daemon));
        assert!(
            runs - uptime > -0.1 && runs - uptime < 5.0,
            "{uptime} of {runs}"
        );
        same(told("problems"), 0_u32, "problems");
    }
    let open = || meta(&node).of("wolfdisk_meta_local_connections_open");
    let socket = node.data().join("run/meta.sock");
    wait_until("as many connections are open as the system knows", || {
        (open() - f64::from(connected(&socket))).abs() < 0.5
    });
    for daemon in [Daemon::Meta, Daemon::Chunkd] {
        assert_eq!(told(&node.admin(daemon), "healthz").1, "200");
    }
    let stopped = Stopped::stop(node.pid(Daemon::Chunkd));
    wait_until("it is seen that the chunk store does not answer", || {
        meta(&node).of("wolfdisk_meta_chunk_store_up") < 0.5
    });
    let (reason, status) = told(&node.admin(Daemon::Meta), "readyz");
    assert_eq!(
        (status.as_str(), reason.contains("wolfdisk-chunkd")),
        ("503", true),
        "{reason}"
    );
    assert!(meta(&node).of("wolfdisk_meta_problems") > 0.5);
    drop(stopped);
    wait_until("it is ready again", || {
        told(&node.admin(Daemon::Meta), "readyz").1 == "200"
    });
}

/// How long a process runs, as the system knows it.
fn running_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let ticks = after_name.split_whitespace().nth(19).expect("its start");
    let ticks: f64 = ticks.parse().expect("a number");
    let uptime = fs::read_to_string("/proc/uptime").expect("the system's");
    let uptime = uptime.split(' ').next().expect("a number");
    // Ticks of a hundredth, on every Linux.
    uptime.parse::<f64>().expect("a number") - ticks / 100.0
}

#[test]
fn a_pass_of_scrubbing_is_due_unless_there_is_none() {
    let mut node = Node::start();
    let due = |node: &Node| chunkd(node).of("wolfdisk_chunk_scrub_due_timestamp_seconds");
    assert!(due(&node) > 0.5, "{}", due(&node));
    node.stop();
    let config = node.scratch().path().join("config.toml");
    let text = fs::read_to_string(&config).expect("a file");
    fs::write(&config, text + "[scrub]\nenabled = false\n").expect("a file");
    node.up();
    same(due(&node), 0_u32, "the next pass");
}

/// Connections to a socket that are established, of all that the kernel knows.
fn connected(socket: &std::path::Path) -> u32 {
    let table = fs::read_to_string("/proc/net/unix").expect("the table");
    let path = socket.to_string_lossy();
    let of = table.lines().filter(|line| line.ends_with(&*path));
    // The sixth column: 03 is connected.
    let state = |line: &&str| line.split_whitespace().nth(5) == Some("03");
    u32::try_from(of.filter(state).count()).expect("few")
}

#[test]
fn connections_are_counted_one_by_one_and_so_are_those_that_are_too_many() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raised");
    let node = Node::start();
    let socket = node.data().join("run/meta.sock");
    let before = meta(&node);
    let open = before.of("wolfdisk_meta_local_connections_open");
    same(
        before.of("wolfdisk_meta_local_connections_limit"),
        CONNECTIONS_MAX as u32,
        "limit",
    );
    let wanted = CONNECTIONS_MAX as u32 - open as u32 + TOO_MANY;
    let mut streams: Vec<UnixStream> = (0..wanted)
        .map(|_| UnixStream::connect(&socket).expect("connected"))
        .collect();
    let refused = "wolfdisk_meta_local_connections_refused_total{reason=\"over_limit\"}";
    wait_until("those that are too many are turned away", || {
        is_same(
            grown_of(&before, &meta(&node), refused),
            f64::from(TOO_MANY),
        )
    });
    let after = meta(&node);
    let accepted = grown(&before, &after, "wolfdisk_meta_local_connections_total");
    same(accepted, wanted - TOO_MANY, "accepted");
    same(
        after.of("wolfdisk_meta_local_connections_open"),
        CONNECTIONS_MAX as u32,
        "open",
    );
    // The last are those that were, and hear of it.
    let mut heard = [0; 1];
    for stream in streams.iter_mut().rev().take(TOO_MANY as usize) {
        assert_eq!(stream.read(&mut heard).expect("an end"), 0);
    }
    drop(streams);
    wait_until("places are free again", || {
        is_same(meta(&node).of("wolfdisk_meta_local_connections_open"), open)
    });
}
