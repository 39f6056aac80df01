//! What nobody should send to the S3 gateway: the exact error, nothing stored, and it goes on. `s3_bad_input.py` says
//! what is sent.

use wolfdisk_tests::{Gateway, Node};

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
fn malformed_requests_get_the_exact_error() {
    section("malformed");
}

#[test]
fn bytes_that_are_no_request_do_no_harm() {
    section("wire");
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
