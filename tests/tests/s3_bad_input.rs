//! What nobody should send to the S3 gateway: the exact error, nothing stored, and it goes on. `s3_bad_input.py` says
//! what is sent.

use std::process::Command;

use wolfdisk_tests::{Gateway, Node, program, repository, run};

fn section(name: &str) {
    let node = Node::start();
    let gateway = Gateway::with_key(&node);
    gateway.must_refuse(name);
    gateway.stop();
    node.must_be_whole();
}

#[test]
fn no_operation_takes_a_forged_signature() {
    section("forged");
}

#[test]
fn no_operation_does_more_than_its_key_may() {
    let node = Node::start();
    let gateway = Gateway::with_key(&node);
    let key = |arguments: &[&str]| {
        let mut command = Command::new(program("wolfdiskctl"));
        command.arg("--data-dir").arg(node.data());
        let made = run(command
            .args(["--json", "s3", "key", "create"])
            .args(arguments));
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made.stdout
    };
    let (reader, stranger) = (key(&["--read-only"]), key(&["--bucket", "elsewhere"]));
    gateway.must_refuse_with("limited", &[&reader, &stranger]);
    gateway.stop();
    node.must_be_whole();
}

/// One without a row would not be asked whether it takes forgeries.
#[test]
fn every_operation_of_the_table_has_a_row() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).expect("a source");
    let (table, rows) = (
        read("wolfdisk-s3/src/ops/mod.rs"),
        read("tests/src/s3_bad_input.py"),
    );
    let operations: Vec<&str> = table
        .lines()
        .filter_map(|line| Some(line.split_once("Input) ->")?.0.split_once('(')?.1))
        .collect();
    assert!(operations.len() > 20, "the table is found: {operations:?}");
    for operation in operations {
        assert!(rows.contains(&format!("\"{operation}\": (")), "{operation}");
    }
}

#[test]
fn malformed_requests_get_the_exact_error() {
    section("malformed");
}

#[test]
fn bytes_that_are_no_request_do_no_harm() {
    section("wire");
}

#[test]
fn no_address_has_all_connections() {
    section("crowded");
}

#[test]
fn an_interrupted_upload_leaves_nothing() {
    let node = Node::start();
    let gateway = Gateway::with_key(&node);
    gateway.must_pass("interrupted");
    gateway.kill();
    let names = std::fs::read_dir(node.path("bucket"))
        .expect("a directory")
        .count();
    assert_eq!(names, 0);
    node.must_be_whole();
}
