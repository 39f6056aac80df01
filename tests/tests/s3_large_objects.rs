//! What a gateway holds in memory does not grow with the objects that pass through it: `tests/s3/large_object.py`.

use std::process::Command;

use wolfdisk_tests::{
    Memory, Node, as_client, descendants, is_long_run, memory_bytes, node_with_s3, suite,
};

/// What an object has; with `--long` as much as S3 takes in one Put.
const BYTES: u64 = 1 << 30;
const BYTES_LONG: u64 = 5 << 30;
/// What the gateway may have in memory.
const MEMORY_MAX_BYTES: u64 = 200_000_000;

/// Runs the script; what it printed.
fn script(node: &Node, bytes: u64, arguments: &[&str]) -> String {
    let mut python = Command::new("python");
    python.arg("-B").arg(suite("s3/large_object.py"));
    let outcome = as_client(python.arg(bytes.to_string()).args(arguments), node);
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    outcome.stdout.trim().to_owned()
}

#[test]
fn an_object_of_any_size_passes_through_a_bounded_memory() {
    let node = node_with_s3();
    let gateway = descendants(node.up_pid())
        .into_iter()
        .find(|(_, name)| name == "wolfdisk-s3");
    let (gateway, _) = gateway.expect("it runs");
    let bytes = if is_long_run() { BYTES_LONG } else { BYTES };
    let sum = script(&node, bytes, &["put"]);
    let most = memory_bytes(gateway, Memory::Peak);
    println!("{bytes} bytes came in through {most} bytes of memory");
    script(&node, bytes, &["get", &sum]);
    let most = memory_bytes(gateway, Memory::Peak);
    println!("and went out again: {most}");
    assert!(most < MEMORY_MAX_BYTES, "it had {most} bytes in memory");
    node.must_be_whole();
}
