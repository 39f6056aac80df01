//! What goes wrong with several machines is found out, and named with what to do about it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Cluster, Host, Lan, Node, Outcome, Plan, Wires, program, run, sh, wait_until,
};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NOT_RUNNING: i32 = 3;
const DEGRADED: i32 = 4;
/// How long a token lives that is to expire.
const SHORT: Duration = Duration::from_secs(1);

/// Runs `wolfdiskctl` on a host, to its end.
fn ctl_on(host: &Host, data: &Path, arguments: &[&str]) -> Outcome {
    let mut control = host.command(&program("wolfdiskctl"));
    run(control.args(arguments).arg("--data-dir").arg(data))
}

#[test]
fn an_empty_machine_founds_no_second_cluster() {
    let lan = Lan::of(2, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let data = cluster.elsewhere().join("new");
    let mount = cluster.elsewhere().join("mount");
    let mount = mount.to_str().expect("a plain path");
    let out = ctl_on(&lan.hosts()[1], &data, &["up", "--s3", "off", "-m", mount]);
    assert_eq!(out.code, Some(USAGE), "{out:?}");
    let join = format!("wolfdiskctl init --join TOKEN -d {}", data.display());
    let place = format!("node alpha at {}:9500", lan.hosts()[0].address());
    for part in ["wolfdiskctl join-token", &join, &place] {
        assert!(out.stderr.contains(part), "no {part}: {out:?}");
    }
    assert!(!data.exists(), "it left something behind");
    // On purpose it founds one.
    let founded = ctl_on(&lan.hosts()[1], &data, &["init"]);
    assert_eq!(founded.code, Some(0), "{founded:?}");
    assert!(fs::exists(data.join("format")).expect("it can be looked at"));
}

#[test]
fn a_machine_with_the_key_waits_for_a_node_and_founds_nothing() {
    let lan = Lan::of(2, Wires::default());
    let mut cluster = Cluster::start_on(&lan.hosts()[0]);
    fs::write(cluster.node().path("file"), "of alpha").expect("written");
    let key = cluster.node().data().join("cluster.key");
    cluster.node_mut().stop();
    let data = cluster.elsewhere().join("beta");
    fs::create_dir(&data).expect("a directory");
    // A key that was put there is not replaced: it says how to use it.
    fs::copy(&key, data.join("cluster.key")).expect("copied");
    let alone = ctl_on(&lan.hosts()[1], &data, &["up", "--s3", "off"]);
    assert_eq!(alone.code, Some(USAGE), "{alone:?}");
    let key = data.join("cluster.key");
    let command = format!("wolfdiskctl init --key-file {}", key.display());
    assert!(alone.stderr.contains(&command), "{alone:?}");
    let join = [
        "init",
        "--key-file",
        key.to_str().expect("a path"),
        "--id",
        "beta",
    ];
    let joined = ctl_on(&lan.hosts()[1], &data, &join);
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let mut beta = cluster.listening_on(&lan.hosts()[1], data.clone());
    beta.launch();
    wait_until("it says that it waits", || {
        beta.log().contains("no node answers yet")
    });
    cluster.node_mut().up();
    wait_until("it is ready", || beta.is_ready());
    assert_eq!(fs::read(beta.path("file")).expect("read"), b"of alpha");
    assert!(!data.join("format").exists(), "it founded a cluster");
    wait_until("it is a member", || {
        cluster.ask(&["node", "list"]).stdout.contains("beta")
    });
}

#[test]
fn once_a_node_was_removed_the_key_alone_lets_nobody_in() {
    let lan = Lan::of(2, Wires::default());
    let [node, host] = lan.hosts() else {
        panic!("two hosts")
    };
    let cluster = Cluster::start_on(node);
    let key = cluster.node().data().join("cluster.key");
    let by_key = |name: &str| {
        let data = cluster.elsewhere().join(name);
        let key = key.to_str().expect("a path");
        let joined = ctl_on(host, &data, &["init", "--key-file", key, "--id", name]);
        assert_eq!(joined.code, Some(0), "{joined:?}");
        data
    };
    let comes_in = |data| {
        let mut mount = cluster.listening_on(host, data);
        mount.up();
        mount.stop();
    };
    comes_in(by_key("beta"));
    let said = || {
        let list = cluster.ask(&["node", "list"]);
        let status = cluster.ask(&["status"]);
        assert_eq!((list.code, status.code), (Some(0), Some(0)), "{status:?}");
        [list.stderr, status.stdout].map(|said| said.contains("lets no new machine in"))
    };
    assert_eq!(said(), [false; 2]);
    let removed = cluster.ask(&["node", "remove", "beta"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert_eq!(said(), [true; 2]);

    // With a new static key.
    let gamma = by_key("gamma");
    let refused = ctl_on(host, &gamma, &["up", "--s3", "off"]);
    assert_eq!(refused.code, Some(FAILED), "{refused:?}");
    for part in [
        "lets no new machine in",
        "wolfdiskctl join-token --role node",
        "wolfdiskctl init --join TOKEN",
    ] {
        assert!(refused.stderr.contains(part), "no {part}: {refused:?}");
    }
    let members = cluster.ask(&["node", "list"]);
    assert!(!members.stdout.contains("gamma"), "{members:?}");
    comes_in(cluster.joined_on(host, "delta", &["--role", "node"]));

    let forgotten = cluster.ask(&["node", "forget", "beta"]);
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    assert_eq!(said(), [false; 2]);
    comes_in(gamma);
}

#[test]
fn where_peers_are_named_no_cluster_is_founded_beside_theirs() {
    let lan = Lan::of(2, Wires::default());
    let [node, desk] = lan.hosts() else {
        panic!("two hosts")
    };
    let mut cluster = Cluster::start_on(node);
    let data = cluster.elsewhere().join("desk");
    let config = cluster.elsewhere().join("desk.toml");
    // Nobody has the first address, and nobody is listened for.
    let text = format!(
        "[cluster]\ndiscovery = \"none\"\npeers = [\"10.77.0.9:9500\", \"{}:9500\"]\n",
        node.address()
    );
    fs::write(&config, text).expect("written");
    let named = config.to_str().expect("a path");
    let up = || {
        let out = ctl_on(desk, &data, &["up", "--s3", "off", "--config", named]);
        assert_eq!(out.code, Some(USAGE), "{out:?}");
        assert!(!data.join("format").exists(), "it founded one: {out:?}");
        out.stderr
    };
    let told = up();
    for part in ["node alpha", "join-token", "wolfdiskctl init --join TOKEN"] {
        assert!(told.contains(part), "no {part}: {told}");
    }
    cluster.node_mut().stop();
    let told = up();
    for part in ["10.77.0.9:9500", "cluster.peers", "wolfdiskctl init -d"] {
        assert!(told.contains(part), "no {part}: {told}");
    }
    let founded = ctl_on(desk, &data, &["init", "--config", named]);
    assert_eq!(founded.code, Some(0), "on purpose: {founded:?}");
}

#[test]
fn two_machines_of_one_name_are_named() {
    let lan = Lan::of(2, Wires::default());
    let mut cluster = Cluster::start_on(&lan.hosts()[0]);
    cluster.node_mut().stop();
    sh(cluster.elsewhere(), "cp -r data copied");
    cluster.node_mut().up();
    let config = cluster.elsewhere().join("config.toml");
    let _twin = Node::start_as(Plan {
        data: Some(cluster.elsewhere().join("copied")),
        arguments: vec!["--config".into(), config.into()],
        prefix: lan.hosts()[1].prefix(),
        ..Plan::default()
    });
    let named = format!(
        "another machine, {}, also runs as node alpha",
        lan.hosts()[1].address()
    );
    wait_until("the other one is named", || {
        let status = cluster.ask(&["status"]);
        status.code == Some(DEGRADED)
            && status.stdout.contains(&named)
            && status.stdout.contains("wolfdiskctl init --id NAME")
    });
}

#[test]
fn another_cluster_on_the_network_is_named() {
    let lan = Lan::of(2, Wires::default());
    let [one, other] = [0, 1].map(|host| Cluster::start_on(&lan.hosts()[host]));
    for cluster in [&one, &other] {
        wait_until("the other cluster is named", || {
            let status = cluster.ask(&["status"]);
            assert_eq!(status.code, Some(0), "nothing is wrong: {status:?}");
            status.stdout.contains("another cluster is on this network")
                && status.stdout.contains("another cluster.discovery group")
        });
    }
}

#[test]
fn tokens_that_were_used_or_have_expired_are_refused() {
    let lan = Lan::of(3, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let join = |host: usize, name: &str, token: &str| {
        let data = cluster.elsewhere().join(name);
        ctl_on(
            &lan.hosts()[host],
            &data,
            &["init", "--join", token, "--id", name],
        )
    };
    let refused = |out: &Outcome, why: &str| {
        assert_eq!(out.code, Some(FAILED), "{out:?}");
        assert!(out.stderr.contains(why), "{out:?}");
        assert!(out.stderr.contains("wolfdiskctl join-token"), "{out:?}");
    };
    let token = cluster.token(&[]);
    assert_eq!(join(1, "first", &token).code, Some(0));
    refused(
        &join(2, "second", &token),
        "another machine has used this token",
    );
    let token = cluster.token(&["--ttl", "1s"]);
    let made = Instant::now();
    wait_until("the token has expired", || made.elapsed() > SHORT);
    refused(&join(2, "second", &token), "this token has expired");
}

#[test]
fn a_way_that_loses_large_packets_is_named() {
    let lan = Lan::of(2, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let desk = &lan.hosts()[1];
    let data = cluster.joined_on(desk, "desk", &[]);
    let well = ctl_on(desk, &data, &["status"]);
    assert_eq!(well.code, Some(0), "{well:?}");
    lan.narrow(desk, 1280);
    let told = ctl_on(desk, &data, &["status"]);
    assert_eq!(told.code, Some(DEGRADED), "{told:?}");
    for part in ["large packets", "node alpha", "MTU", "ip link set"] {
        assert!(told.stdout.contains(part), "no {part}: {told:?}");
    }
}

#[test]
fn a_group_that_is_none_and_peers_that_cannot_be_reached_are_named() {
    let lan = Lan::of(2, Wires::default());
    let mut cluster = Cluster::start_on(&lan.hosts()[0]);
    let desk = &lan.hosts()[1];
    let data = cluster.joined_on(desk, "desk", &[]);
    let config = cluster.elsewhere().join("desk.toml");
    let named = config.to_str().expect("a path");
    fs::write(&config, "[cluster]\ndiscovery = \"udp://10.0.0.1:9501\"\n").expect("written");
    for command in ["up", "status"] {
        let out = ctl_on(desk, &data, &[command, "--config", named]);
        assert_eq!(out.code, Some(USAGE), "{out:?}");
        assert!(
            out.stderr.contains("cluster.discovery") && out.stderr.contains("multicast"),
            "{out:?}"
        );
    }
    // Nobody has this address.
    fs::write(&config, "[cluster]\npeers = [\"10.77.0.9:9500\"]\n").expect("written");
    let reached = ctl_on(desk, &data, &["status", "--config", named]);
    assert_eq!(reached.code, Some(0), "the node is heard: {reached:?}");
    let node_data = cluster.node().data();
    let noted = ctl_on(&lan.hosts()[0], node_data, &["status", "--config", named]);
    assert_eq!(noted.code, Some(0), "the node itself works: {noted:?}");
    let silent = "10.77.0.9:9500 of cluster.peers does not answer";
    assert!(noted.stdout.contains(silent), "{noted:?}");
    cluster.node_mut().stop();
    let lost = ctl_on(desk, &data, &["status", "--config", named]);
    assert_eq!(lost.code, Some(NOT_RUNNING), "{lost:?}");
    let node = format!("{}:9500", lan.hosts()[0].address());
    for part in ["none answers at", "10.77.0.9:9500", &node, "cluster.peers"] {
        assert!(lost.stdout.contains(part), "no {part}: {lost:?}");
    }
}
