//! Clients that send next to nothing cost the others nothing, and not for ever: `tests/s3/slow_clients.py`.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use wolfdisk_tests::{Gateway, Node, Numbers, as_client, node_with_s3, suite, wait_until};

/// Half of its thousand clients send no head, half no body.
const HALF: f64 = 500.0;
/// Clients that take nothing of what they asked for.
const DEAF: usize = 3;
/// More than the kernel holds for a connection.
const OBJECT_BYTES: usize = 24 << 20;

/// Connections that the gateway ended.
fn ended(numbers: &Numbers, reason: &str) -> f64 {
    let name = format!("wolfdisk_s3_connections_ended_total{{reason=\"{reason}\"}}");
    numbers.of(&name)
}

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
    let told = Numbers::at(&node.s3_admin());
    for reason in ["no_head", "slow_body"] {
        let count = ended(&told, reason);
        assert!((count - HALF).abs() < 0.5, "{reason}: {count}");
    }
    node.must_be_whole();
}

#[test]
fn clients_that_take_nothing_are_cut_off_and_counted() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "anonymous = \"read-write\"");
    std::fs::create_dir(node.path("bucket")).expect("made");
    std::fs::write(node.path("bucket/large"), vec![7; OBJECT_BYTES]).expect("written");
    let address = gateway.address();
    let place = address.trim_start_matches("http://");
    let deaf: Vec<TcpStream> = (0..DEAF)
        .map(|_| {
            let mut stream = TcpStream::connect(place).expect("connected");
            write!(
                stream,
                "GET /bucket/large HTTP/1.1\r\nHost: {place}\r\n\r\n"
            )
            .expect("sent");
            stream
        })
        .collect();
    let look = || Numbers::at(&gateway.admin());
    wait_until("all are cut off", || {
        (ended(&look(), "slow_answer") - DEAF as f64).abs() < 0.5
    });
    wait_until("none is open", || {
        look().of("wolfdisk_s3_connections_open") < 0.5
    });
    drop(deaf);
    gateway.stop();
}
