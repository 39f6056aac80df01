//! What goes wrong where machines find each other is named, with what to do: by what refuses, or by `status`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Cluster, Host, Lan, Node, Outcome, Plan, Scratch, Wires, program, run, wait_until,
};

const USAGE: i32 = 2;
const NOT_RUNNING: i32 = 3;

/// `wolfdiskctl` on a host, without a configuration.
fn ctl_on(host: &Host, arguments: &[&str], data: &Path) -> Outcome {
    let mut command = host.command(&program("wolfdiskctl"));
    run(command.args(arguments).arg("--data-dir").arg(data))
}

fn says(outcome: &Outcome, code: i32, fragments: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    let line = fragments.iter().all(|it| outcome.stderr.contains(it));
    assert!(line, "nothing of {fragments:?}: {outcome:#?}");
}

/// Starts a node that was initialised, on a host, as people leave it.
fn node_on(host: &Host, data: PathBuf, name: &str, scratch: &Scratch) -> Node {
    let config = scratch.path().join(format!("{name}.toml"));
    fs::write(&config, format!("[node]\nid = \"{name}\"\n")).expect("written");
    Node::start_as(Plan {
        arguments: vec!["--config".into(), config.into()],
        data: Some(data),
        prefix: host.prefix(),
        ..Plan::default()
    })
}

fn status(node: &Node) -> String {
    node.control(&["status", "--json"]).stdout
}

#[test]
fn a_machine_that_has_nothing_stays_out_of_a_cluster_and_founds_another_only_on_purpose() {
    let lan = Lan::of(2, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let (host, scratch) = (&lan.hosts()[1], Scratch::new());
    let (data, mount) = (scratch.path().join("data"), scratch.path().join("mount"));
    let mount = mount.to_str().expect("a plain path");
    let join = format!("wolfdiskctl init --join TOKEN -d {}", data.display());
    let found = format!("wolfdiskctl init -d {}", data.display());
    let up = ctl_on(host, &["up", "--s3", "off", "-m", mount], &data);
    says(&up, USAGE, &["node alpha at 10.77.0.1:9500", &join, &found]);
    assert!(!data.exists(), "something was founded");

    assert_eq!(ctl_on(host, &["init", "--id", "beta"], &data).code, Some(0));
    let beta = node_on(host, data, "beta", &scratch);
    fs::write(beta.path("file"), "its own").expect("written");
    assert!(!cluster.node().path("file").exists());
    for node in [&beta, cluster.node()] {
        wait_until("the other cluster is named", || {
            status(node).contains("another cluster is on this network")
        });
    }
}

#[test]
fn two_machines_with_one_data_directory_are_named() {
    let (lan, scratch) = (Lan::of(2, Wires::default()), Scratch::new());
    let places = ["first", "second"].map(|name| scratch.path().join(name));
    assert_eq!(
        ctl_on(&lan.hosts()[0], &["init", "--id", "alpha"], &places[0]).code,
        Some(0)
    );
    let copied = run(std::process::Command::new("cp").arg("-a").args(&places));
    assert_eq!(copied.code, Some(0), "{copied:?}");
    let [first, second] = places;
    let one = node_on(&lan.hosts()[0], first, "alpha", &scratch);
    let two = node_on(&lan.hosts()[1], second, "alpha", &scratch);
    for (node, other) in [(&one, "10.77.0.2"), (&two, "10.77.0.1")] {
        wait_until("the other machine is named", || {
            let said = status(node);
            said.contains("another machine, ")
                && said.contains(other)
                && said.contains("wolfdiskctl init --id NAME")
        });
    }
}

#[test]
fn a_token_that_is_over_is_refused() {
    const TTL: Duration = Duration::from_secs(1);
    let (cluster, scratch) = (Cluster::start(), Scratch::new());
    let token = cluster.token(&["--ttl", "1s"]);
    let issued = Instant::now();
    wait_until("it is over", || issued.elapsed() > 2 * TTL);
    let mut join = std::process::Command::new(program("wolfdiskctl"));
    join.args(["init", "--join", &token, "--id", "late", "--data-dir"]);
    let outcome = run(join.arg(scratch.path().join("late")));
    says(&outcome, 1, &["expired", "join-token"]);
}

#[test]
fn who_reaches_no_node_says_so() {
    let lan = Lan::of(2, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let data = cluster.joined_on(&lan.hosts()[1], "desk", &[]);
    lan.hosts()[0].unplug();
    let outcome = ctl_on(&lan.hosts()[1], &["status"], &data);
    assert_eq!(outcome.code, Some(NOT_RUNNING), "{outcome:?}");
    assert!(outcome.stdout.contains("no node answers"), "{outcome:?}");
    lan.hosts()[0].plug();
    wait_until("it is reached again", || {
        ctl_on(&lan.hosts()[1], &["status"], &data).code == Some(0)
    });
}

#[test]
fn an_address_that_is_no_group_is_refused() {
    let scratch = Scratch::new();
    let config = scratch.path().join("config.toml");
    fs::write(&config, "[cluster]\ndiscovery = \"udp://10.77.0.1:9501\"\n").expect("written");
    let mut up = std::process::Command::new(program("wolfdiskctl"));
    up.arg("up").arg("--config").arg(&config);
    let outcome = run(up.arg("--data-dir").arg(scratch.path().join("data")));
    says(&outcome, USAGE, &["cluster.discovery", "udp://"]);
}
