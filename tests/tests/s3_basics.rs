//! The S3 gateway as boto3 sees it, on the files that a mount shows: `s3_basics.py` says what is asked.

use std::process::Command;

use wolfdisk_tests::{
    Daemon, Gateway, Node, descendants, kill_hard, node_with_s3, run, wait_until,
};

fn section(name: &str) {
    let node = Node::start();
    let gateway = Gateway::with_key(&node);
    gateway.must_pass(name);
    gateway.stop();
    node.must_be_whole();
}

#[test]
fn buckets_are_top_level_directories() {
    section("buckets");
}

#[test]
fn objects_are_files() {
    section("objects");
}

#[test]
fn ranges_are_exact() {
    section("ranges");
}

#[test]
fn conditions_are_compared_in_the_index() {
    section("conditions");
}

#[test]
fn keys_are_listed_in_order_and_once() {
    section("listing");
}

#[test]
fn mounts_and_clients_have_the_same_data() {
    section("same_data");
}

#[test]
fn markers_are_directories() {
    section("markers");
}

#[test]
fn keys_that_no_file_can_have_are_refused() {
    section("odd_keys");
}

#[test]
fn copies_keep_everything() {
    section("copies");
}

#[test]
fn tags_are_kept() {
    section("tagging");
}

#[test]
fn checksums_are_verified_and_given_back() {
    section("checksums");
}

#[test]
fn parts_become_one_object() {
    section("multipart");
}

#[test]
fn below_a_domain_each_bucket_has_a_host_of_its_own() {
    let node = Node::start();
    let gateway = Gateway::with_key_and(&node, "domains = [\"s3.example.com\", \"s3.local\"]");
    gateway.must_pass("virtual_hosts");
    gateway.stop();
    node.must_be_whole();
}

#[test]
fn nobody_gets_in_without_the_key() {
    section("access");
}

#[test]
fn up_answers_s3_with_a_key_of_its_own_and_starts_the_gateway_again() {
    let mut node = node_with_s3();
    let (s3, up) = (node.s3(), node.up_pid());
    let refused = curl(&[&s3.url]);
    assert!(refused.ends_with(" 403"), "{refused}");
    let gateway = || {
        descendants(up)
            .into_iter()
            .find(|(_, name)| name == "wolfdisk-s3")
    };
    let (killed, _) = gateway().expect("it runs");
    kill_hard(killed);
    wait_until("the gateway answers again", || {
        let asked = run(Command::new("curl").args(["-sS", &s3.url]));
        asked.stdout.contains("AccessDenied")
    });
    node.restart();
    let again = node.s3();
    assert_eq!(
        (again.access_key, again.secret_key),
        (s3.access_key, s3.secret_key)
    );
}

#[test]
fn clients_wait_while_a_daemon_is_started_again() {
    let node = Node::start();
    let gateway = Gateway::with_key(&node);
    gateway.must_pass("before_a_kill");
    for daemon in [Daemon::Meta, Daemon::Chunkd] {
        node.kill(daemon);
        gateway.must_pass("after_a_kill");
    }
    gateway.stop();
    node.must_be_whole();
}

/// The status and the body of what curl is told.
fn curl(arguments: &[&str]) -> String {
    let outcome = run(Command::new("curl")
        .args(["-sS", "-w", " %{http_code}"])
        .args(arguments));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

#[test]
fn without_a_key_this_machine_is_served_under_a_local_name_only() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    let address = gateway.address();
    assert_eq!(curl(&["-X", "PUT", &format!("{address}/bucket")]), " 200");
    let key = format!("{address}/bucket/key");
    assert_eq!(curl(&["-X", "PUT", "--data-binary", "hello", &key]), " 200");
    assert_eq!(curl(&[&key]), "hello 200");
    assert_eq!(
        std::fs::read(node.path("bucket/key")).expect("a file"),
        b"hello"
    );
    let stranger = curl(&["-H", "Host: rebound.example", &key]);
    assert!(
        stranger.contains("AccessDenied") && stranger.ends_with(" 403"),
        "{stranger}"
    );
    let page = curl(&["-H", "Origin: https://page.example", "-X", "DELETE", &key]);
    assert!(page.ends_with(" 403"), "{page}");
    assert_eq!(curl(&[&format!("{}/healthz", gateway.admin())]), "ok\n 200");
    assert_eq!(
        curl(&[&format!("{}/readyz", gateway.admin())]),
        "ready\n 200"
    );
    assert!(
        gateway.log().contains("there is no access key"),
        "{}",
        gateway.log()
    );
    gateway.stop();
}

/// The value of a line of `/metrics`.
fn number(numbers: &str, name: &str) -> f64 {
    let line = numbers.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} is missing\n{numbers}"));
    value.trim().parse().expect("a number")
}

#[test]
fn what_is_counted_can_be_read_and_names_nobody() {
    let node = Node::start();
    let gateway = Gateway::with_key(&node);
    let address = gateway.address();
    let numbers = || curl(&[&format!("{}/metrics", gateway.admin())]);
    gateway.must_pass("objects");
    let before = numbers();
    for _ in 0..3 {
        assert!(curl(&[&format!("{address}/secret-bucket/secret-key")]).ends_with(" 403"));
    }
    let after = numbers();
    for line in after.trim_end_matches(" 200").lines() {
        let value = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
        let is_number = value.is_some_and(|value| value.is_ok());
        assert!(line.starts_with("# ") || is_number, "{line}");
    }
    assert!(after.ends_with("# EOF\n 200"), "{after}");
    let put = "wolfdisk_s3_requests_total{operation=\"put_object\",status=\"2xx\"}";
    assert!(number(&after, put) > 0.0);
    let refused = "wolfdisk_s3_requests_total{operation=\"none\",status=\"4xx\"}";
    let of = |numbers: &str| match numbers.contains(refused) {
        true => number(numbers, refused),
        false => 0.0,
    };
    assert!((of(&after) - of(&before) - 3.0).abs() < 0.1, "{after}");
    let puts = "wolfdisk_s3_request_duration_seconds_count{operation=\"put_object\"}";
    assert!(number(&after, puts) > 0.0);
    for name in [
        "wolfdisk_s3_received_bytes_total",
        "wolfdisk_s3_sent_bytes_total",
        "wolfdisk_s3_connections_total",
        "wolfdisk_volume_events_total{event=\"meta_mutate\"}",
        "process_resident_memory_bytes",
    ] {
        assert!(number(&after, name) > 0.0, "{name}");
    }
    assert!(number(&after, "wolfdisk_s3_requests_in_flight").abs() < 0.1);
    assert!(!after.contains("secret-") && !after.contains("test-access-key"));
    assert_eq!(
        curl(&[&format!("{address}/metrics")])
            .matches("wolfdisk_s3")
            .count(),
        0
    );
    gateway.stop();
}

#[test]
fn whoever_may_only_read_changes_nothing() {
    let node = Node::start();
    std::fs::create_dir(node.path("bucket")).expect("a directory");
    std::fs::write(node.path("bucket/key"), "hello").expect("a file");
    let gateway = Gateway::start(&node, "anonymous = \"read-only\"");
    let key = format!("{}/bucket/key", gateway.address());
    assert_eq!(curl(&[&key]), "hello 200");
    for method in ["PUT", "DELETE"] {
        assert!(curl(&["-X", method, &key]).ends_with(" 403"), "{method}");
    }
    assert_eq!(
        std::fs::read(node.path("bucket/key")).expect("a file"),
        b"hello"
    );
    gateway.stop();
}
