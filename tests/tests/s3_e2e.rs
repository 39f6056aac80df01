//! s3s-e2e, an independent suite of what S3 answers to the SDK for Rust: no case fails but those listed here.

use std::collections::BTreeSet;
use std::process::Command;

use wolfdisk_tests::{as_client, node_with_s3, tool};

/// Cases of 0.14.1. Fewer mean that some were not run.
const CASES: usize = 18;
/// Cases that cannot pass, and why.
const CANNOT: [(&str, &str); 1] = [(
    "Advanced/STS/test_assume_role",
    "asks for credentials that expire, which another service of AWS hands out; access keys are made by `wolfdiskctl`",
)];

/// The cases of which the suite says `verdict`: each is in brackets at the end of a line, with its suite and fixture.
fn cases(said: &str, verdict: &str) -> BTreeSet<String> {
    let lines = said.lines().filter(|line| line.starts_with(verdict));
    let names = lines.filter_map(|line| line.split_once('[')?.1.strip_suffix(']'));
    names
        .filter(|name| name.matches('/').count() == 2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_sdk_for_rust_is_answered_as_s3_would() {
    let node = node_with_s3();
    let outcome = as_client(Command::new(tool("s3s-e2e")).env("NO_COLOR", "1"), &node);
    let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
    let (passed, failed) = (
        cases(&outcome.stdout, "PASSED"),
        cases(&outcome.stdout, "FAILED"),
    );
    let cannot: BTreeSet<String> = CANNOT.iter().map(|(case, _)| (*case).to_owned()).collect();
    assert_eq!(failed, cannot, "{said}");
    assert_eq!(passed.len() + failed.len(), CASES, "{said}");
    node.must_be_whole();
}
