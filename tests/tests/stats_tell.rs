//! `wolfdiskctl stats` shows what the mounts of the machine do.

use std::fs;

use wolfdisk_tests::{Daemon, Node, Stopped, wait_until};

fn told(node: &Node, name: &str) -> u64 {
    let outcome = node.control(&["stats", "--once", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let all: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("one object");
    all[name].as_u64().unwrap_or_default()
}

#[test]
fn mounts_tell_what_they_count() {
    let node = Node::start();
    assert_eq!(told(&node, "mounts.count"), 1);
    let written = told(&node, "mounts.bytes_written");
    fs::write(node.path("a"), [7; 100_000]).expect("a write");
    assert!(told(&node, "mounts.bytes_written") >= written + 100_000);

    let created = told(&node, "mounts.call_create");
    for number in 0..500 {
        fs::File::create_new(node.path(&format!("created {number}"))).expect("a new file");
    }
    assert_eq!(told(&node, "mounts.call_create"), created + 500);
    assert!(told(&node, "mounts.call_create_ns") > 0);

    let second = node.second_mount();
    assert_eq!(told(&node, "mounts.count"), 2);
    let read = || fs::read(second.mount().join("a")).expect("a read");
    let before = told(&node, "mounts.bytes_read");
    assert_eq!(read().len(), 100_000);
    assert!(told(&node, "mounts.bytes_read") >= before + 100_000);
    let hits = told(&node, "mounts.open_hits");
    assert_eq!(read().len(), 100_000);
    assert!(told(&node, "mounts.open_hits") > hits);
    drop(second);
    assert_eq!(told(&node, "mounts.count"), 1);

    let stopped = Stopped::stop(node.pid(Daemon::Fuse));
    let outcome = node.control(&["stats", "--once"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stderr.contains("does not tell its counters"),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("meta.inodes"), "{outcome:?}");
    drop(stopped);

    node.kill(Daemon::Fuse);
    wait_until("the mount tells again", || told(&node, "mounts.count") == 1);
}
