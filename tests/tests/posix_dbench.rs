//! dbench replays what a file server of an office does, here from clients on two mounts at once: every
//! call gives what it must, and afterwards all of it can be removed.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use wolfdisk_tests::{Node, is_long_run, run_within};

/// Clients on each mount.
const CLIENTS: &str = "4";

/// dbench takes number 0, which the first semaphore since the machine's start has, for a failure: it gets a namespace in
/// which that number is taken.
const FIRST_SEMAPHORE: &str = r#"ipcmk --semaphore 1 > /dev/null && exec dbench "$@""#;

fn replay(directory: &Path, flags: &[&str]) {
    let seconds = if is_long_run() { 300 } else { 6 };
    std::fs::create_dir(directory).expect("made");
    let outcome = run_within(
        Duration::from_secs(seconds + 120),
        Command::new("unshare")
            .args(["--ipc", "sh", "-c", FIRST_SEMAPHORE, "dbench"])
            .args(["-t", &seconds.to_string()])
            .arg("-D")
            .arg(directory)
            .args(flags)
            .arg(CLIENTS),
    );
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    // It goes on after some errors, and tells of them in its lines.
    let wrong = outcome
        .stdout
        .lines()
        .find(|line| line.contains("failed") || line.contains("ERROR"));
    assert_eq!(wrong, None, "{outcome:#?}");
    assert!(outcome.stdout.contains("Throughput"), "{outcome:#?}");
    std::fs::remove_dir_all(directory).expect("all of it can be removed");
}

#[test]
fn a_file_server_works_on_two_mounts() {
    let node = Node::start();
    let second = node.second_mount();
    thread::scope(|scope| {
        scope.spawn(|| replay(&node.path("buffered"), &["-x"]));
        scope.spawn(|| replay(&second.path("synced"), &["-x", "-s", "-S"]));
    });
}
