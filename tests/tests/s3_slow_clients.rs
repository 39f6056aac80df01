//! Clients that send next to nothing cost the others nothing, and not for ever: `tests/s3/slow_clients.py`.

use std::process::Command;

use wolfdisk_tests::{as_client, node_with_s3, suite};

#[test]
fn a_thousand_slow_clients_are_cut_off_and_hold_up_nobody() {
    let node = node_with_s3();
    let script = suite("s3/slow_clients.py");
    let outcome = as_client(Command::new("python").arg("-B").arg(script), &node);
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
    node.must_be_whole();
}
