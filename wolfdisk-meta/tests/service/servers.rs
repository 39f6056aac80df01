//! Nodes and members find each other, and say whom they see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wolfdisk_discovery::{Discovery, Finder};
use wolfdisk_meta::service::{self, Service};
use wolfdisk_proto::blocking;
use wolfdisk_proto::framed::Dispatch;
use wolfdisk_proto::noise::Pool;
use wolfdisk_proto::v1::{self, MetaClient, MetaFramed};

use crate::daemon::{DEADLINE, Daemon, Node, options};
use crate::lan::{joined, member};

fn discover(node: &Node, daemon: &Daemon, group: &str) -> Discovery {
    let config = node.config_in(group);
    service::discover(&daemon.service(), &config.paths(), &config).expect("it listens")
}

fn servers(meta: &MetaClient<Arc<blocking::Pool>>) -> Vec<v1::Server> {
    let answer = meta.servers(&mut options(), &v1::Empty {});
    answer.expect("an answer").servers
}

fn until(mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !what() {
        assert!(Instant::now() < deadline, "it does not come to be");
        std::thread::yield_now();
    }
}

#[test]
fn a_node_of_another_cluster_is_listed_as_a_stranger_and_nothing_is_wrong() {
    let group = "udp://239.255.77.3:39521";
    let (one, two) = (Node::new(), Node::new());
    let (first, second) = (one.start(), two.start());
    let (at_first, at_second) = (first.session("ctl").meta, second.session("ctl").meta);
    let alone = servers(&at_first);
    assert!(alone.len() == 1 && alone[0].own, "{alone:?}");
    let before = first.status().reasons;
    let (_one, _two) = (
        discover(&one, &first, group),
        discover(&two, &second, group),
    );
    let found = |meta| {
        servers(meta)
            .get(1)
            .is_some_and(|other| !other.addresses.is_empty())
    };
    until(|| found(&at_first) && found(&at_second));
    let seen = servers(&at_first);
    assert_eq!((seen[1].state.as_str(), seen[1].own), ("stranger", false));
    assert_eq!(seen[1].volume_id, second.status().volume_id);
    assert_eq!(seen[1].addresses, second.status().listens);
    let status = first.status();
    assert_eq!(status.reasons, before);
    assert!(status.notes.len() == 1 && status.notes[0].contains("another cluster"));
    assert!(status.counters["discovery_foreign"] > 0 && status.counters["discovery_forged"] == 0);
}

#[test]
fn a_member_finds_its_node_with_nothing_but_its_key() {
    let group = "udp://239.255.77.3:39522";
    let node = Node::new();
    let daemon = node.start();
    let (_, reply) = joined(&daemon, 7);
    let mut own = member(&reply, 7);
    let cluster = daemon.status().volume_id;
    own.cluster = Some(uuid::Uuid::from_slice(&cluster).expect("an id"));
    // Its data directory is its own.
    let desk = Node::new();
    let config = desk.config_in(group);
    let finder = Arc::new(Finder::new(&config, &own));
    assert!(!finder.wait_until_found(Duration::ZERO));
    let _announcing = discover(&node, &daemon, group);
    assert!(finder.wait_until_found(DEADLINE));
    let number = <MetaFramed<Service> as Dispatch>::SERVICE;
    let pool = Pool::new(Arc::new(own.clone()), number, finder.clone());
    let status = MetaClient(Arc::new(pool)).status(&mut options(), &v1::Empty {});
    assert_eq!(status.expect("a status").volume_id, cluster);
    // It is remembered, also where nothing is heard.
    let text = std::fs::read_to_string(config.paths().seen_nodes()).expect("kept");
    assert!(text.contains(&daemon.status().listens[0]), "{text}");
    let later = Finder::new(&desk.config_in("none"), &own);
    assert!(later.wait_until_found(Duration::ZERO));
}
