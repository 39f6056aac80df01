//! A machine that holds nothing joins by a token, mounts over the network, and is shut out.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use wolfdisk_tests::{Cluster, Daemon, Node, ctl, wait_until};

const USAGE: i32 = 2;
const LARGE_BYTES: usize = 9_000_000;

#[test]
fn what_one_machine_closed_the_other_opens() {
    let cluster = Cluster::start();
    let mut desk = cluster.up(cluster.joined("desk", &["--no-squash-root"]));
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| ((at * 7) >> 3) as u8).collect();
    fs::write(desk.path("there"), "from afar").expect("written");
    fs::write(desk.path("large"), &large).expect("written");
    fs::write(cluster.node().path("here"), "from the node").expect("written");
    fs::write(cluster.node().path("large too"), &large).expect("written");
    let read = |node: &Node, name: &str| fs::read(node.path(name)).expect(name);
    assert_eq!(read(cluster.node(), "there"), b"from afar");
    assert_eq!(read(&desk, "here"), b"from the node");
    assert!(read(cluster.node(), "large") == large, "it went over whole");
    assert!(read(&desk, "large too") == large, "it came over whole");

    let status = ctl(desk.data(), &["status", "--json"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(
        status.stdout.contains("\"state\": \"connected\""),
        "{status:?}"
    );
    // The daemons of the node end and come back: calls wait.
    cluster.node().kill(Daemon::Meta);
    fs::write(desk.path("there"), "again").expect("written");
    assert_eq!(read(cluster.node(), "there"), b"again");
    // It stores nothing.
    let kept: Vec<String> = fs::read_dir(desk.data())
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert!(
        !kept
            .iter()
            .any(|name| ["format", "meta", "chunks", "cluster.key"].contains(&name.as_str())),
        "{kept:?}"
    );
    desk.stop();
}

#[test]
fn a_token_is_for_one_machine() {
    let cluster = Cluster::start();
    let token = cluster.token(&[]);
    let (first, second) = (
        cluster.elsewhere().join("first"),
        cluster.elsewhere().join("second"),
    );
    let join = |data: &Path| ctl(data, &["init", "--join", &token, "--id", "desk"]);
    assert_eq!(join(&first).code, Some(0));
    // An attempt that was cut short before its end is made again.
    fs::remove_file(first.join("member.toml")).expect("removed");
    assert_eq!(join(&first).code, Some(0));
    let again = join(&first);
    assert_eq!(again.code, Some(USAGE), "{again:?}");
    assert!(
        again.stderr.contains("has joined a cluster already"),
        "{again:?}"
    );
    let other = join(&second);
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(!second.join("member.toml").exists());
    let cut = ctl(&second, &["init", "--join", &token[..token.len() - 1]]);
    assert_eq!(cut.code, Some(USAGE), "{cut:?}");
    assert!(cut.stderr.contains("incomplete"), "{cut:?}");
}

#[test]
fn root_of_a_client_is_nobody_unless_it_was_said() {
    let cluster = Cluster::start();
    let desk = cluster.up(cluster.joined("desk", &[]));
    fs::write(cluster.node().path("of root"), "x").expect("written");
    let refused = fs::write(desk.path("of root"), "y").expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        fs::read(desk.path("of root")).expect("others may read"),
        b"x"
    );
}

#[test]
fn who_is_removed_is_shut_out() {
    let cluster = Cluster::start();
    let desk = cluster.up(cluster.joined("desk", &["--no-squash-root"]));
    fs::write(desk.path("file"), "x").expect("written");
    let list = cluster.ask(&["node", "list"]);
    let row = list.stdout.lines().find(|line| line.contains("desk"));
    assert!(
        row.is_some_and(|row| row.contains("client") && row.contains("connected")),
        "{list:?}"
    );
    let here = list.stdout.lines().filter(|line| line.contains(" here "));
    assert!(
        here.clone().count() == 1 && here.clone().all(|line| line.contains(" node ")),
        "{list:?}"
    );
    assert_eq!(
        cluster.ask(&["node", "rename", "desk", "table"]).code,
        Some(0)
    );
    assert_eq!(
        cluster.ask(&["node", "remove", "desk"]).code,
        Some(USAGE),
        "it has another name"
    );
    let removed = cluster.ask(&["node", "remove", "table"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    wait_until("it is shut out", || {
        fs::write(desk.path("file"), "y").is_err()
    });
    assert_eq!(fs::read(cluster.node().path("file")).expect("read"), b"x");
    let status = ctl(desk.data(), &["status"]);
    assert_ne!(status.code, Some(0), "{status:?}");
}

/// Name and state of each member.
fn members(cluster: &Cluster) -> Vec<(String, String)> {
    let list = cluster.ask(&["node", "list", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&list.stdout).expect("JSON");
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().expect(name).to_owned();
    let rows = rows.as_array().expect("members").iter();
    rows.map(|row| (text(row, "name"), text(row, "state")))
        .collect()
}

#[test]
fn the_node_that_answers_is_marked_whatever_it_and_others_are_called() {
    let mut cluster = Cluster::start();
    let desk = cluster.up(cluster.joined("desk", &[]));
    let before = members(&cluster);
    let [(founder, here), (client, connected)] = before.as_slice() else {
        panic!("{before:?}");
    };
    assert_eq!(
        (here.as_str(), client.as_str(), connected.as_str()),
        ("here", "desk", "connected")
    );
    let rename = |from: &str, to: &str| {
        let renamed = cluster.ask(&["node", "rename", from, to]);
        assert_eq!(renamed.code, Some(0), "{renamed:?}");
    };
    let expected = |node: &str, client: &str| {
        [(node, "here"), (client, "connected")]
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
    };
    rename(founder, "harbour");
    assert_eq!(members(&cluster), expected("harbour", "desk"));
    // The name that was given up is another's.
    rename("desk", founder);
    assert_eq!(members(&cluster), expected("harbour", founder));
    cluster.node_mut().restart();
    wait_until("the client is there again", || {
        members(&cluster) == expected("harbour", founder)
    });
    drop(desk);
}
