//! A machine on the network that floods everybody with beacons: malformed ones, those of another cluster or release,
//! forged and repeated ones, and questions.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use uuid::Uuid;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_discovery::{About, BeaconKey, Presence, Question};
use wolfdisk_tests::{Cluster, Host, Lan, Wires, forget_nodes, run, wait_until, wait_within};

use crate::raw::{counter, credentials};

/// As without a flood.
const WORKING_WITHIN: Duration = Duration::from_secs(5);
const FULL: &[&str] = &["--no-squash-root"];
/// Sends the datagrams of a file in turn, and what it heard of the node itself, until it is killed.
const FLOOD: &str = "
import socket, struct, sys, time
own, path = sys.argv[1:]
group = ('239.255.0.1', 9501)
hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
hearing.bind(group)
membership = socket.inet_aton(group[0]) + socket.inet_aton(own)
hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
heard = hearing.recv(2048)
while heard[:6] != b'WDBC\\x01\\x01':
    heard = hearing.recv(2048)
datagrams = [bytes.fromhex(line) for line in open(path)] + [heard]
sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
while True:
    for _ in range(10):
        for datagram in datagrams:
            sending.sendto(datagram, group)
    time.sleep(0.01)
";
/// Asks so often at once, and says how many bytes that were, how many answers came, and of how many bytes.
const QUESTIONS: &str = "
import socket, sys
own, question = sys.argv[1], bytes.fromhex(sys.argv[2])
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.bind((own, 0))
asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
for _ in range(200):
    asking.sendto(question, ('239.255.0.1', 9501))
asking.settimeout(1)
answers = []
try:
    while True:
        answers.append(len(asking.recv(2048)))
except TimeoutError:
    print(200 * len(question), len(answers), sum(answers), max(answers, default=0))
";

/// Ends with the value.
struct Flood(Child);

impl Flood {
    fn from(host: &Host, directory: &Path, datagrams: &[Vec<u8>]) -> Flood {
        let file = directory.join("datagrams");
        let lines: String = datagrams.iter().map(|one| hex(one) + "\n").collect();
        fs::write(&file, lines).expect("written");
        let mut python = host.command(Path::new("python3"));
        python
            .args(["-c", FLOOD, &host.address().to_string()])
            .arg(file);
        Flood(python.stdin(Stdio::null()).spawn().expect("python3"))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let ended = self.0.try_wait().expect("a child");
        self.0.kill().expect("killed");
        self.0.wait().expect("it ends");
        assert!(
            ended.is_none() || std::thread::panicking(),
            "it ended itself: {ended:?}"
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What somebody without the key can send.
fn datagrams(cluster: Uuid) -> Vec<Vec<u8>> {
    let stolen = BeaconKey::from_bytes([7; 32]);
    let presence = |cluster, node: &str, answers| {
        Presence {
            cluster,
            node: NodeId::parse(node).expect("an id"),
            start: 7,
            counter: u64::MAX / 2,
            answers,
            about: About {
                incarnation: u64::MAX / 2,
                protocol: 1,
                // Nobody listens there.
                meta_port: 9,
                chunk_port: 9,
                ..About::default()
            },
        }
        .encode(&stolen)
    };
    let foreign = presence(Uuid::from_bytes([5; 16]), "beta", None);
    let forged = presence(cluster, "alpha", None);
    let answer = presence(cluster, "alpha", Some(1));
    let mut other_version = forged.clone();
    other_version[4] = 200;
    let cut = forged[..forged.len() - 1].to_vec();
    vec![
        foreign,
        forged,
        answer,
        other_version,
        cut,
        vec![9; 1400],
        Vec::new(),
    ]
}

#[test]
fn a_flood_of_beacons_is_counted_and_keeps_nobody_from_finding_the_node() {
    let lan = Lan::of(3, Wires::default());
    let [node, desk, stranger] = lan.hosts() else {
        panic!("three hosts")
    };
    let cluster = Cluster::start_on(node);
    let data = cluster.joined_on(desk, "desk", FULL);
    let id = credentials(&data).cluster.expect("a cluster");
    forget_nodes(&data);
    let counted = |name: &str| counter(&cluster, &format!("meta.discovery_{name}"));
    let _flood = Flood::from(stranger, cluster.elsewhere(), &datagrams(id));
    for name in ["foreign", "forged", "malformed", "other_version", "flooded"] {
        wait_until(name, || counted(name) > 0);
    }
    let mut mount = cluster.listening_on(desk, data);
    mount.launch();
    wait_within(WORKING_WITHIN, "the client finds the node", || {
        mount.is_ready()
    });
    for round in 0..50 {
        let text = format!("{round}");
        fs::write(mount.path("file"), &text).expect("written");
        let read = fs::read(cluster.node().path("file")).expect("read");
        assert_eq!(read, text.as_bytes());
    }
    let before = counted("flooded");
    wait_until("it goes on", || counted("flooded") > before);
    let status = cluster.ask(&["status"]);
    assert_eq!(status.code, Some(0), "nothing is wrong: {status:?}");
    // Its own words come back to it.
    assert!(
        !status.stdout.contains("also runs as node alpha"),
        "{status:?}"
    );
    mount.stop();
}

#[test]
fn questions_get_fewer_bytes_than_they_are() {
    let lan = Lan::of(2, Wires::default());
    let [node, stranger] = lan.hosts() else {
        panic!("two hosts")
    };
    let cluster = Cluster::start_on(node);
    let question = Question {
        cluster: Uuid::nil(),
        nonce: 7,
    };
    let question = question.encode();
    let own = stranger.address().to_string();
    let mut python = stranger.command(Path::new("python3"));
    let said = run(python.args(["-c", QUESTIONS, &own, &hex(&question)]));
    assert_eq!(said.code, Some(0), "{said:?}");
    let numbers: Vec<usize> = (said.stdout.split_whitespace())
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [asked, answers, bytes, longest] = numbers[..] else {
        panic!("{said:?}")
    };
    assert!(answers > 0, "anybody may ask: {said:?}");
    assert!(bytes <= asked && longest <= question.len(), "{said:?}");
    assert!(counter(&cluster, "meta.discovery_questions") >= answers as u64);
    let flooded = || counter(&cluster, "meta.discovery_flooded");
    wait_until("those that were too many are counted", || flooded() > 0);
}
