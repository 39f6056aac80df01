//! stress-ng: every stressor of its class "filesystem", verifying, on the mount. Each does some work and
//! finds nothing wrong, but for those listed here.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use wolfdisk_tests::{Node, is_long_run, run, run_within};

/// Stressors that can do nothing on a mount of FUSE, each with the reason.
const NOT_ON_FUSE: [(&str, &str); 3] = [
    (
        "fiemap",
        "asks by an ioctl where on the disk a file lies; FUSE does not pass it on",
    ),
    (
        "inode-flags",
        "sets the flags of chattr by ioctls; FUSE does not pass them on",
    ),
    ("verity", "seals files by an ioctl of ext4, btrfs and f2fs"),
];

/// Stressors that do nothing on the file system that they are given, each with the reason.
const ELSEWHERE: [(&str, &str); 2] = [
    (
        "bind-mount",
        "mounts / on itself again and again; stress-ng calls it pathological",
    ),
    (
        "binderfs",
        "mounts the file system of Android's binder, which few kernels have",
    ),
];

/// Stressors at the same time.
const AT_ONCE: usize = 3;
/// Beyond the time that a stressor is given, for what it cleans up.
const PATIENCE: Duration = Duration::from_secs(240);

/// Seconds that a stressor is given; the next number if it had done nothing by then.
fn seconds() -> [u64; 3] {
    if is_long_run() {
        [30, 60, 120]
    } else {
        [1, 5, 30]
    }
}

/// The names of the class, as stress-ng tells them.
fn stressors() -> Vec<String> {
    let outcome = run(Command::new("stress-ng").args(["--class", "filesystem?"]));
    let said = outcome.stdout + &outcome.stderr;
    let (_, names) = said.split_once("stressors:").expect("the list");
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    assert!(names.len() > 40, "{names:?}");
    names
}

fn is_listed(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(listed, _)| *listed == name)
}

/// Operations that it counted.
fn operations(metrics: &str, name: &str) -> u64 {
    let numbers = metrics.lines().find_map(|line| {
        let (_, rest) = line.split_once("] ")?;
        rest.trim_start().strip_prefix(name)?.strip_prefix(' ')
    });
    let first = numbers.and_then(|numbers| numbers.split_whitespace().next());
    first.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// What a stressor did and said.
struct Done {
    operations: u64,
    said: String,
}

fn stress(directory: &Path, name: &str, seconds: u64) -> Result<Done, String> {
    let outcome = run_within(
        PATIENCE + Duration::from_secs(seconds),
        Command::new("stress-ng")
            .args([&format!("--{name}"), "2", "--verify", "--metrics-brief"])
            .args(["--timeout", &seconds.to_string()])
            .arg("--temp-path")
            .arg(directory),
    );
    let said = outcome.stdout + &outcome.stderr;
    if outcome.code != Some(0) {
        return Err(format!("{name}: it failed ({:?})\n{said}", outcome.code));
    }
    let operations = operations(&said, name);
    Ok(Done { operations, said })
}

fn check(node: &Node, name: &str) -> Result<(), String> {
    let directory = node.path(name);
    std::fs::create_dir(&directory).expect("made");
    let listed = is_listed(&NOT_ON_FUSE, name);
    for seconds in seconds() {
        let done = stress(&directory, name, seconds)?;
        let left = std::fs::read_dir(&directory)
            .expect("its directory")
            .count();
        if left != 0 {
            return Err(format!("{name}: {left} files are left\n{}", done.said));
        }
        match (listed, done.operations) {
            (false, 0) => println!("{name} did nothing in {seconds} s"),
            (true, 1..) => return Err(format!("{name} is listed and works\n{}", done.said)),
            _ => return Ok(()),
        }
    }
    Err(format!("{name} does nothing"))
}

#[test]
fn every_stressor_of_file_systems_verifies() {
    let node = Node::start();
    let names = stressors();
    let wanted = names
        .into_iter()
        .filter(|name| !is_listed(&ELSEWHERE, name));
    let queue = Mutex::new(wanted.collect::<VecDeque<String>>());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no panic").pop_front();
                    let Some(name) = next else { break };
                    if let Err(failure) = check(&node, &name) {
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
