//! S3 over HTTPS: clients that trust its certificate get what they get without, and no others do. They send and check
//! otherwise there: bodies are not signed, and their checksums come after them.

use std::process::Command;

use wolfdisk_tests::{Gateway, Node, run};

fn section(name: &str) {
    let node = Node::start();
    let gateway = Gateway::with_https(&node);
    gateway.must_pass(name);
    gateway.stop();
    node.must_be_whole();
}

#[test]
fn objects_are_files() {
    section("objects");
}

#[test]
fn checksums_are_verified_and_kept() {
    section("checksums");
}

#[test]
fn uploads_in_parts_become_one_object() {
    section("multipart");
}

#[test]
fn only_who_has_a_key_is_served() {
    section("access");
}

#[test]
fn who_does_not_trust_it_or_speaks_in_the_clear_gets_nothing() {
    let node = Node::start();
    let gateway = Gateway::with_https(&node);
    let curl = |options: &[&str], address: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]);
        run(curl.args(options).arg(address))
    };
    let address = gateway.address();
    let stranger = curl(&[], &address);
    // "Peer certificate cannot be authenticated".
    assert_eq!(stranger.code, Some(60), "{stranger:?}");
    let plain = curl(&[], &address.replace("https:", "http:"));
    assert_ne!(plain.code, Some(0), "{plain:?}");
    // It is there all the same, and asks for a signature.
    let trusting = curl(&["--insecure"], &address);
    assert_eq!(trusting.stdout, "403", "{trusting:?}");
    gateway.stop();
    node.must_be_whole();
}
