//! fsx, an independent exerciser of one file: reads, writes, mappings, truncation, holes, allocation and
//! copies at random, each read compared with what must be there.

use std::path::Path;
use std::thread;
use std::time::Duration;

use wolfdisk_tests::{Node, Random, fsx, is_long_run, run_within};

/// Files at the same time, each with a seed of its own.
const SEEDS: usize = 5;

/// How often fsx closes the file, by its weights.
const CLOSES: u32 = 1;

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
    let file = directory.join(format!("fsx-{seed}"));
    let mut command = fsx(node.scratch(), &file, seed, operations, CLOSES);
    let outcome = run_within(deadline, &mut command);
    assert_eq!(outcome.code, Some(0), "seed {seed}: {outcome:#?}");
    assert!(outcome.stdout.contains("A-OK"), "seed {seed}: {outcome:#?}");
}

#[test]
fn a_file_holds_what_was_written() {
    let node = Node::start();
    let mut random = Random::new();
    thread::scope(|scope| {
        for _ in 0..SEEDS {
            let (node, seed) = (&node, random.below(1 << 32) as u32);
            scope.spawn(move || exercise(node, node.mount(), seed));
        }
    });
}
