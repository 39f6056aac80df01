//! fsx, an independent exerciser of one file: reads, writes, mappings, truncation, holes, allocation and
//! copies at random, each read compared with what must be there.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use wolfdisk_tests::{Node, Random, is_long_run, run_within, tool};

/// Files at the same time, each with a seed of its own.
const SEEDS: usize = 5;

/// What is done how often; the rest of the suite's settings is left alone.
const CONFIGURATION: &str = "
[weights]
close_open = 1
invalidate = 1
mapread = 10
mapwrite = 10
read = 10
write = 10
truncate = 5
fsync = 0.2
fdatasync = 0.2
posix_fallocate = 3
punch_hole = 5
sendfile = 5
posix_fadvise = 2
copy_file_range = 5
";

/// Operations on each file, and for how long they may go on: one takes about 1 ms on a busy machine.
fn plan() -> (u32, Duration) {
    if is_long_run() {
        (100_000, Duration::from_secs(3600))
    } else {
        (10_000, Duration::from_secs(300))
    }
}

fn exercise(node: &Node, directory: &Path, seed: u32) {
    let (operations, deadline) = plan();
    let outcome = run_within(
        deadline,
        Command::new(tool("fsx"))
            .arg("-f")
            .arg(node.scratch().path().join("fsx.toml"))
            .args(["-S", &seed.to_string(), "-N", &operations.to_string()])
            .arg("-P")
            .arg(node.scratch().path())
            .arg(directory.join(format!("fsx-{seed}"))),
    );
    assert_eq!(outcome.code, Some(0), "seed {seed}: {outcome:#?}");
    assert!(outcome.stdout.contains("A-OK"), "seed {seed}: {outcome:#?}");
}

#[test]
fn a_file_holds_what_was_written() {
    let node = Node::start();
    let configuration = node.scratch().path().join("fsx.toml");
    std::fs::write(configuration, CONFIGURATION).expect("written");
    let mut random = Random::new();
    thread::scope(|scope| {
        for _ in 0..SEEDS {
            let (node, seed) = (&node, random.below(1 << 32) as u32);
            scope.spawn(move || exercise(node, node.mount(), seed));
        }
    });
}
