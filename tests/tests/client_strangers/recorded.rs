//! Beacons of a node of the cluster: said a second time by a machine that recorded them, and from one whose clock is wrong.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_discovery::{About, Beacon, BeaconKey, Presence};
use wolfdisk_proto::PROTOCOL_VERSION;
use wolfdisk_tests::{Cluster, DEADLINE, Host, Lan, Wires, wait_until};

use crate::raw::{counter, credentials};

const DEGRADED: i32 = 4;
const THREE_HOURS: Duration = Duration::from_secs(3 * 60 * 60);
/// Says what it hears of the group, a datagram a line, and sends to the group what it is told.
const EAR_AND_MOUTH: &str = "
import socket, sys, threading
own, group = sys.argv[1], ('239.255.0.1', 9501)
speaking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
speaking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
speaking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
hearing.bind(group)
membership = socket.inet_aton(group[0]) + socket.inet_aton(own)
hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
def hear():
    while True:
        print(hearing.recv(2048).hex(), flush=True)
threading.Thread(target=hear, daemon=True).start()
for line in sys.stdin:
    speaking.sendto(bytes.fromhex(line), group)
";

/// A machine that hears and speaks as the test wants. Ends with the value.
struct Puppet {
    python: Child,
    mouth: ChildStdin,
    ear: Receiver<Vec<u8>>,
}

impl Puppet {
    fn on(host: &Host) -> Puppet {
        let mut python = host.command(Path::new("python3"));
        let python = python.args(["-c", EAR_AND_MOUTH, &host.address().to_string()]);
        let python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut python = python.expect("python3");
        let mouth = python.stdin.take().expect("a pipe");
        let lines = BufReader::new(python.stdout.take().expect("a pipe")).lines();
        let (heard, ear) = channel();
        // Ends with the process that writes the lines.
        std::thread::spawn(move || {
            for line in lines {
                // Whoever listened may have gone.
                let _ = heard.send(bytes(&line.expect("read")));
            }
        });
        Puppet { python, mouth, ear }
    }

    fn say(&mut self, datagram: &[u8]) {
        let hex: String = datagram.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.mouth, "{hex}").expect("it listens");
    }

    /// What is heard next that is wanted.
    fn hears<T>(&self, wanted: impl Fn(Beacon) -> Option<T>) -> (T, Vec<u8>) {
        loop {
            let datagram = self.ear.recv_timeout(DEADLINE).expect("something is heard");
            let beacon = Beacon::decode(&datagram).expect("a beacon");
            if let Some(found) = wanted(beacon) {
                return (found, datagram);
            }
        }
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.python.kill().expect("killed");
        self.python.wait().expect("it ends");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16);
    digits.map(|pair| byte(pair).expect("a byte")).collect()
}

/// What a second node of a cluster says.
struct Beta {
    cluster: Uuid,
    key: BeaconKey,
    counter: u64,
}

impl Beta {
    fn of(cluster: &Cluster, host: &Host) -> Beta {
        let data = cluster.node().data().to_owned();
        let key = ClusterKey::load(&Paths::new(data)).expect("a key");
        let joined = cluster.joined_on(host, "beta", &["--role", "node"]);
        Beta {
            cluster: credentials(&joined).cluster.expect("a cluster"),
            key: BeaconKey::of(&key),
            counter: 0,
        }
    }

    fn says(&mut self, answers: Option<u64>, clock: SystemTime) -> Vec<u8> {
        self.counter += 1;
        let wall = clock.duration_since(UNIX_EPOCH).expect("after 1970");
        Presence {
            cluster: self.cluster,
            node: NodeId::parse("beta").expect("an id"),
            start: 7,
            counter: self.counter,
            answers,
            about: About {
                incarnation: 1,
                wall_ms: wall.as_millis() as u64,
                protocol: PROTOCOL_VERSION,
                // Nobody listens there.
                meta_port: 9,
                chunk_port: 9,
                ..About::default()
            },
        }
        .encode(&self.key)
    }
}

/// The nonce of a question.
fn question(beacon: Beacon) -> Option<u64> {
    match beacon {
        Beacon::Question(question) => Some(question.nonce),
        Beacon::Presence(_) => None,
    }
}

#[test]
fn what_was_recorded_of_a_node_is_counted_and_says_nothing_a_second_time() {
    let lan = Lan::of(2, Wires::default());
    let mut cluster = Cluster::start_on(&lan.hosts()[0]);
    let mut beta = Beta::of(&cluster, &lan.hosts()[1]);
    let mut puppet = Puppet::on(&lan.hosts()[1]);
    let own = |beacon| match beacon {
        Beacon::Presence(presence) => (presence.node.as_str() == "alpha").then_some(presence),
        Beacon::Question(_) => None,
    };
    let (first_life, recorded) = puppet.hears(own);

    let said = beta.says(None, SystemTime::now());
    puppet.say(&said);
    let counted = |name: &str| counter(&cluster, &format!("meta.discovery_{name}"));
    wait_until("it is heard", || counted("accepted") > 0);
    let before = counted("replayed");
    puppet.say(&said);
    wait_until("the second time is counted", || {
        counted("replayed") > before
    });

    // An answer to a question that nobody asked (any more).
    let before = counted("replayed");
    let answer = beta.says(Some(1), SystemTime::now());
    puppet.say(&answer);
    wait_until("it is counted", || counted("replayed") > before);

    // Of its own former life.
    cluster.node_mut().stop();
    cluster.node_mut().up();
    let (_, _) = puppet.hears(|beacon| own(beacon).filter(|life| life.start != first_life.start));
    puppet.say(&recorded);
    let list = cluster.ask(&["list", "servers"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    let status = cluster.ask(&["status"]);
    assert_eq!(status.code, Some(0), "nothing is wrong: {status:?}");
}

#[test]
fn a_node_whose_clock_is_hours_off_is_named() {
    let lan = Lan::of(2, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let mut beta = Beta::of(&cluster, &lan.hosts()[1]);
    let mut puppet = Puppet::on(&lan.hosts()[1]);
    let clock = || SystemTime::now() + THREE_HOURS;
    let said = beta.says(None, clock());
    puppet.say(&said);
    // Only an answer tells how late it is there; what is announced may be a recording.
    let (nonce, _) = puppet.hears(question);
    let answer = beta.says(Some(nonce), clock());
    puppet.say(&answer);
    wait_until("it is named, with what to do", || {
        let status = cluster.ask(&["status"]);
        status.code == Some(DEGRADED)
            && status.stdout.contains("the clock of node beta is 10")
            && status
                .stdout
                .contains("ahead of this machine's: let both keep time (NTP)")
    });
}
