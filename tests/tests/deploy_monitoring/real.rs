//! Rules and dashboard over real daemons, read by a real Prometheus: what is named is told, what is asked is answered, a
//! node that is well raises no alert and one whose chunk store stands still does.

use std::collections::BTreeSet;
use std::fs::{self, File};

use wolfdisk_tests::{Daemon, Gateway, Node, Stopped, told, wait_until};

use crate::prometheus::Prometheus;
use crate::{dashboard, deployed, metrics_in};

/// What is told only when something rare has happened: a call that failed, an S3 client that was cut off, a whole pass of
/// scrubbing. Expressions with it give nothing on a new node.
const RARE: [&str; 3] = [
    "outcome!=\"ok\"",
    "wolfdisk_s3_connections_ended_total",
    "wolfdisk_chunk_scrub_ended_timestamp_seconds",
];
/// Alerts that hold of a machine of tests, not of the node: its disk may be short, or slow.
const MACHINE: &str = "WolfDisk(Disk.+|.+Slow)";

fn work(node: &Node, gateway: &Gateway) {
    for number in 0..20 {
        fs::write(node.path(number.to_string()), "content").expect("written");
    }
    fs::write(node.path("large"), vec![7; 8 << 20]).expect("written");
    let large = File::open(node.path("large")).expect("there");
    large.sync_all().expect("synced");
    assert_eq!(told(&gateway.address(), "").1, "200");
}

#[test]
fn what_is_asked_is_answered_and_alerts_follow_the_node() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    work(&node, &gateway);
    let prometheus = Prometheus::start(
        node.scratch().path(),
        &[
            (":9510", node.admin(Daemon::Meta)),
            (":9511", node.admin(Daemon::Chunkd)),
            (":9513", gateway.admin()),
        ],
    );
    let up = "up{instance=\"127.0.0.1\", job=~\"wolfdisk-(meta|chunkd|s3)\"} == 1";
    wait_until("all daemons are read", || prometheus.ask(up).len() == 3);
    every_metric_is_told(&prometheus);
    for (panel, expression) in dashboard::queries() {
        let is_rare = RARE.iter().any(|rare| expression.contains(rare));
        wait_until(&format!("{panel} shows {expression}"), || {
            !prometheus.ask(&expression).is_empty() || is_rare
        });
    }
    wait_until("rules are followed", || {
        prometheus.ask("wolfdisk:calls:rate5m").len() == 2
    });
    let alerts = format!("ALERTS{{alertname!~\"{MACHINE}\"}}");
    wait_until("nobody is called", || prometheus.ask(&alerts).is_empty());

    let stopped = Stopped::stop(node.pid(Daemon::Chunkd));
    let alert = "ALERTS{alertname=\"WolfDiskChunkStoreUnreachable\", instance=\"127.0.0.1\"}";
    wait_until("a chunk store that stands still is noticed", || {
        !prometheus.ask(alert).is_empty()
    });
    drop(stopped);
    wait_until("it is over", || prometheus.ask(&alerts).is_empty());
    let log = prometheus.log();
    assert!(!log.contains("Evaluating rule failed"), "{log}");
    gateway.stop();
}

fn every_metric_is_told(prometheus: &Prometheus) {
    let names = "count by (__name__) ({__name__=~\"up|(wolfdisk|process)_.+\"})";
    let series = prometheus.ask(names);
    let told = series.iter().map(|one| one["metric"]["__name__"].as_str());
    let told: BTreeSet<&str> = told.map(|name| name.expect("a name")).collect();
    let rules = deployed("prometheus/wolfdisk.rules.yml");
    let queries = dashboard::queries();
    let asked = queries.iter().map(|(_, expression)| expression.as_str());
    let asked = asked.chain([rules.as_str()]);
    let asked = asked.flat_map(metrics_in);
    for name in asked.filter(|name| !RARE.contains(name)) {
        assert!(told.contains(name), "no daemon tells {name}");
    }
}
