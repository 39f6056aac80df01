//! A node and members on hosts of a network of their own: links that break, nodes that restart, machines that die.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Cluster, Daemon, Exerciser, Lan, Node, Random, Role, Wires, python, wait_until,
};

/// How long a cut may last without a call that fails.
const CUT: Duration = Duration::from_secs(4);
/// Appends 200 lines, each opened for itself and synced.
const APPENDS: &str = "
import os, sys
for line in range(200):
    with open(sys.argv[1], 'a') as file:
        file.write(f'{line}\\n')
        file.flush()
        os.fsync(file.fileno())
";
const FULL: &[&str] = &["--no-squash-root"];

struct Office {
    // In this order they end.
    members: Vec<Node>,
    cluster: Cluster,
    lan: Lan,
}

impl Office {
    /// A node on the first host, a member on each other.
    fn of(hosts: u8) -> Office {
        let lan = Lan::of(hosts, Wires::default());
        let cluster = Cluster::start_on(&lan.hosts()[0]);
        let members = lan
            .hosts()
            .iter()
            .enumerate()
            .skip(1)
            .map(|(number, host)| {
                let data = cluster.joined_on(host, &format!("desk-{number}"), FULL);
                cluster.up_on(host, data)
            });
        Office {
            members: members.collect(),
            cluster,
            lan,
        }
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn calls_wait_for_a_link_that_comes_back_and_nothing_is_done_twice() {
    let office = Office::of(2);
    let (desk, host) = (&office.members[0], &office.lan.hosts()[1]);
    let log = desk.path("log");
    fs::write(&log, "").expect("written");
    // In a process of its own: what this one starts would close its files, and wait for the mount.
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || python(Path::new("/"), APPENDS, &[log.as_os_str()]))
    };
    wait_until("it writes", || {
        !text(&office.cluster.node().path("log")).is_empty()
    });
    host.unplug();
    let cut = Instant::now();
    wait_until("a while is over", || cut.elapsed() > CUT);
    host.plug();
    wolfdisk_tests::joined("the writer", writer);
    let expected: String = (0..200).map(|line| format!("{line}\n")).collect();
    assert_eq!(text(&office.cluster.node().path("log")), expected);
    assert_eq!(text(&log), expected);
}

#[test]
fn nobody_reads_what_is_old_after_a_cut() {
    let office = Office::of(3);
    let (one, two) = (&office.members[0], &office.members[1]);
    fs::write(one.path("file"), "before").expect("written");
    assert_eq!(text(&two.path("file")), "before");
    office.lan.hosts()[2].unplug();
    // Its lease runs out first.
    fs::write(one.path("file"), "after").expect("written");
    office.lan.hosts()[2].plug();
    assert_eq!(text(&two.path("file")), "after");
}

#[test]
fn locks_of_a_machine_that_died_go() {
    let mut office = Office::of(3);
    fs::write(office.members[0].path("lock"), "x").expect("written");
    let held = office.members[0].path("lock");
    // Held by a process of its own: a lock of this one would keep the mount.
    let mut holder = std::process::Command::new("flock")
        .arg("--no-fork")
        .arg(&held)
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock");
    let mut said = String::new();
    let out = holder.stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut said).expect("it says so");
    let other = fs::File::open(office.members[1].path("lock")).expect("opened");
    assert!(other.try_lock().is_err(), "two hold it");
    office.members[0].crash();
    holder.kill().expect("killed");
    holder.wait().expect("it ends");
    wait_until("the lock is free", || other.try_lock().is_ok());
}

#[test]
fn random_calls_over_the_network() {
    let office = Office::of(2);
    Exerciser::new(
        vec![office.members[0].mount().to_owned()],
        &[Role::ROOT, Role::ANN],
    )
    .in_turn(|_| ());
}

#[test]
fn random_calls_of_two_members_while_daemons_of_the_node_are_killed() {
    let office = Office::of(3);
    let mounts = office
        .members
        .iter()
        .map(|node| node.mount().to_owned())
        .collect();
    let kill = |random: &mut Random| {
        let victim = [Daemon::Meta, Daemon::Chunkd][random.below(2) as usize];
        office.cluster.node().kill(victim);
    };
    Exerciser::new(mounts, &[Role::ROOT, Role::ROOT]).in_turn(kill);
    office.cluster.node().must_be_whole();
}
