//! `up` as a whole: an empty data directory is enough, both signals end it in order, its own death
//! ends everything, and a dead mount is no obstacle.

use std::time::Duration;

use nix::sys::signal::Signal;
use wolfdisk_tests::{
    Daemon, Node, Plan, descendants, is_alive, is_mounted, kill_hard, signal, wait_within,
};

const GONE_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn an_interrupt_ends_it_in_order() {
    for kind in [Signal::SIGINT, Signal::SIGTERM] {
        let mut node = Node::start();
        let below = descendants(node.up_pid());
        std::fs::write(node.path("file"), "content").expect("written");
        signal(node.up_pid(), kind);
        let mut status = None;
        wait_within(Duration::from_secs(20), "it ends", || {
            status = node.up_ended();
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{kind}");
        assert!(!is_mounted(node.mount()));
        assert!(below.iter().all(|(pid, _)| !is_alive(*pid)));
        node.up();
        let text = std::fs::read_to_string(node.path("file")).expect("there");
        assert_eq!(text, "content");
    }
}

#[test]
fn sigterm_to_everything_at_once_loses_no_write() {
    let mut node = Node::start();
    let below = descendants(node.up_pid());
    // Not closed: much of it is still in the mount's buffer.
    let content = vec![7u8; 3 << 20];
    let mut held = std::fs::File::create(node.path("held")).expect("created");
    std::io::Write::write_all(&mut held, &content).expect("written");
    // The daemons first: the mount must find them still there.
    for (pid, _) in below.iter().rev() {
        signal(*pid, Signal::SIGTERM);
    }
    signal(node.up_pid(), Signal::SIGTERM);
    let mut status = None;
    wait_within(Duration::from_secs(20), "it ends", || {
        status = node.up_ended();
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    drop(held);
    node.up();
    assert_eq!(std::fs::read(node.path("held")).expect("there"), content);
}

#[test]
fn its_death_ends_everything_within_two_seconds() {
    let mut node = Node::start();
    std::fs::write(node.path("file"), "content").expect("written");
    let below = descendants(node.up_pid());
    assert!(below.len() >= Daemon::ALL.len(), "{below:?}");
    kill_hard(node.up_pid());
    wait_within(GONE_WITHIN, "daemons and mount are gone", || {
        below.iter().all(|(pid, _)| !is_alive(*pid)) && !is_mounted(node.mount())
    });
    assert!(node.up_ended().is_some());
    node.up();
    let text = std::fs::read_to_string(node.path("file")).expect("there");
    assert_eq!(text, "content");
}

#[test]
fn its_death_in_the_middle_of_use_leaves_no_mount() {
    let mut node = Node::start();
    let held = std::fs::File::create(node.path("held")).expect("created");
    let below = descendants(node.up_pid());
    kill_hard(node.up_pid());
    wait_within(GONE_WITHIN, "the mount is gone", || {
        !is_mounted(node.mount())
    });
    wait_within(Duration::from_secs(10), "daemons are gone", || {
        below.iter().all(|(pid, _)| !is_alive(*pid))
    });
    drop(held);
    assert!(node.up_ended().is_some());
    node.up();
}

#[test]
fn a_dead_mount_of_ours_is_detached_at_start() {
    let mut node = Node::start();
    let pids: Vec<u32> = descendants(node.up_pid())
        .into_iter()
        .map(|(pid, _)| pid)
        .collect();
    // Frozen first, so that nobody can tidy up: all die at once with the mount in place.
    signal(node.up_pid(), Signal::SIGSTOP);
    pids.iter().for_each(|pid| kill_hard(*pid));
    kill_hard(node.up_pid());
    wait_within(Duration::from_secs(10), "all are dead", || {
        pids.iter().all(|pid| !is_alive(*pid)) && node.up_ended().is_some()
    });
    assert!(is_mounted(node.mount()), "the dead mount is still there");
    node.up();
    std::fs::write(node.path("file"), "x").expect("usable");
}

#[test]
fn a_data_directory_path_of_two_hundred_characters() {
    let root = wolfdisk_tests::Scratch::new();
    let data = root.path().join("d".repeat(200));
    let mut node = Node::start_as(Plan {
        data: Some(data),
        ..Plan::default()
    });
    std::fs::write(node.path("file"), "content").expect("written");
    node.restart();
    assert_eq!(
        std::fs::read_to_string(node.path("file")).expect("there"),
        "content"
    );
}

#[test]
fn nodes_side_by_side_do_not_mix() {
    let (one, two) = (Node::start(), Node::start());
    std::fs::write(one.path("file"), "one").expect("written");
    std::fs::write(two.path("file"), "two").expect("written");
    assert_eq!(
        std::fs::read_to_string(one.path("file")).expect("there"),
        "one"
    );
    assert_eq!(
        std::fs::read_to_string(two.path("file")).expect("there"),
        "two"
    );
}

#[test]
fn an_unmount_from_outside_ends_it() {
    let mut node = Node::start();
    let outcome = wolfdisk_tests::run(
        std::process::Command::new(wolfdisk_tests::program("wolfdiskctl"))
            .arg("unmount")
            .arg("-m")
            .arg(node.mount()),
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(!is_mounted(node.mount()));
    let mut status = None;
    wait_within(Duration::from_secs(20), "it ends", || {
        status = node.up_ended();
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}
