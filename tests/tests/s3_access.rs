//! A key in the index is a key: what goes without one ends when it is made, and begins again when the last is deleted,
//! but never on an address that others reach. `tests/s3/test_keys.py` says what keys may do.

use std::net::Ipv4Addr;
use std::process::Command;

use wolfdisk_tests::{Gateway, Node, Outcome, free_port, program, run, wait_until};

/// What `wolfdiskctl s3 ..` said of a node.
fn control(node: &Node, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program("wolfdiskctl"));
    run(command
        .arg("--data-dir")
        .arg(node.data())
        .arg("s3")
        .args(arguments))
}

/// Makes a key; gives its id.
fn make_key(node: &Node) -> String {
    let made = control(node, &["key", "create"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let mut lines = made.stdout.lines();
    let id = lines
        .next()
        .and_then(|line| line.strip_prefix("export AWS_ACCESS_KEY_ID="));
    let id = id.expect("the first line").to_owned();
    let secret = lines.next().expect("the second line");
    assert!(secret.starts_with("export AWS_SECRET_ACCESS_KEY="));
    assert_eq!(lines.next(), None);
    id
}

/// The status of a request without a signature.
fn unsigned(gateway: &Gateway) -> String {
    let arguments = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
    let asked = run(Command::new("curl").args(arguments).arg(gateway.address()));
    assert_eq!(asked.code, Some(0), "{}", asked.stderr);
    asked.stdout
}

#[test]
fn a_key_that_is_made_ends_what_goes_without_one() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    assert_eq!(unsigned(&gateway), "200");
    let (first, second) = (make_key(&node), make_key(&node));
    wait_until("nothing goes without a key", || unsigned(&gateway) == "403");
    assert_eq!(control(&node, &["key", "delete", &first]).code, Some(0));
    // Well beyond what is remembered: a gateway that starts now has remembered nothing.
    let fresh = Gateway::start(&node, "");
    assert_eq!(unsigned(&fresh), "403");
    assert!(
        !fresh.log().contains("there is no access key"),
        "{}",
        fresh.log()
    );
    assert_eq!(control(&node, &["key", "delete", &second]).code, Some(0));
    wait_until("without any it is as before", || {
        unsigned(&gateway) == "200"
    });
    fresh.stop();
    gateway.stop();
    node.must_be_whole();
}

#[test]
fn an_address_that_others_reach_needs_a_key_and_never_goes_without() {
    let node = Node::start();
    let refused = run(Command::new(program("wolfdisk-s3"))
        .arg("--data-dir")
        .arg(node.data())
        .args(["--bind", &format!("0.0.0.0:{}", free_port())]));
    assert_eq!(refused.code, Some(1));
    let says = "is open to other machines, and there is no access key; make one: wolfdiskctl s3 key create";
    assert!(refused.stderr.contains(says), "{}", refused.stderr);
    let id = make_key(&node);
    let gateway = Gateway::start_bound(&node, "", Ipv4Addr::UNSPECIFIED);
    assert_eq!(unsigned(&gateway), "403");
    assert_eq!(control(&node, &["key", "delete", &id]).code, Some(0));
    // Whoever starts now is told so by the index, and nothing is remembered.
    let local = Gateway::start(&node, "");
    assert_eq!(unsigned(&local), "200");
    wait_until("the gateway forgets the key", || {
        let signed = run(Command::new("curl")
            .args(["-sS", "--user", &format!("{id}:wrong")])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .arg(gateway.address()));
        signed.stdout.contains("InvalidAccessKeyId")
    });
    assert_eq!(unsigned(&gateway), "403");
    local.stop();
    gateway.stop();
}

#[test]
fn the_tool_says_what_to_do_when_it_cannot() {
    let mut node = Node::start();
    let commands: [&[&str]; 4] = [
        &["key", "create"],
        &["key", "list"],
        &["key", "delete", "ABCDEFGHIJKLMNOP2345"],
        &["bucket", "list"],
    ];
    let unknown = control(&node, commands[2]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("see: wolfdiskctl s3 key list"),
        "{}",
        unknown.stderr
    );
    node.stop();
    for arguments in commands {
        let outcome = control(&node, arguments);
        assert_eq!(outcome.code, Some(3), "{arguments:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("start it: wolfdiskctl up -d"),
            "{}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "");
    }
}
