//! The S3 endpoint of a node, and how clients are told of it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::command::{Outcome, run_within};
use crate::node::{Node, Plan};
use crate::programs::{client, program};

/// What the tests allow for one client's work.
const CLIENT_DEADLINE: Duration = Duration::from_secs(240);

/// A node that answers S3.
pub fn node_with_s3() -> Node {
    Node::start_as(Plan {
        s3: true,
        ..Plan::default()
    })
}

/// Runs `script` in bash, in the node's scratch directory: `$URL`, `$HOST` and the usual variables of AWS name the endpoint,
/// `$MOUNT` the same files, `$PROGRAMS`, `$DATA` and `$LOG` the node itself. Everything in it must succeed; gives what it said.
pub fn with_client(node: &Node, script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]);
    let said = as_client(&mut command, node);
    assert_eq!(
        said.code,
        Some(0),
        "--- standard output\n{}\n--- standard error\n{}",
        said.stdout,
        said.stderr
    );
    said.stdout
}

/// Runs a program that finds the endpoint in its environment.
pub fn as_client(command: &mut Command, node: &Node) -> Outcome {
    let (s3, scratch) = (node.s3(), node.scratch().path());
    let python = client("python/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .current_dir(scratch)
        .env("HOME", scratch)
        .env("PATH", format!("{}:{path}", python.display()))
        .env("NODE_PATH", client("node/node_modules"))
        .env("HOST", s3.url.trim_start_matches("http://"))
        .env("URL", &s3.url)
        .env("MOUNT", node.mount())
        .env("DATA", node.data())
        .env("LOG", node.log_path())
        .env(
            "PROGRAMS",
            program("wolfdiskctl").parent().expect("a folder"),
        )
        .env("AWS_ACCESS_KEY_ID", &s3.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &s3.secret_key)
        .env("AWS_ENDPOINT_URL", &s3.url)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // For other servers of whoever runs the tests; rclone refuses to start with it.
        .env_remove("AWS_CA_BUNDLE");
    let outcome = run_within(CLIENT_DEADLINE, command);
    assert!(!node.log().contains(&s3.secret_key), "a secret was logged");
    outcome
}

/// The folder of a suite below `tests/`.
pub fn suite(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
