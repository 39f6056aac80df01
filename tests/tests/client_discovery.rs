//! Machines on one network find each other: nobody is told where another is.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Cluster, GatewayHost, Lan, Wires, boto3_on, cluster_key, forget_nodes, is_long_run, program,
    run, wait_within,
};

/// From the moment when the last machine that was waited for is ready until all work.
const WORKING_WITHIN: Duration = Duration::from_secs(5);
const SNOOPING: Wires = Wires {
    snooping: true,
    only_v6: false,
};
/// A call goes on so soon after an address has changed: it takes a second to see that, and two to hear that it is so.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);
const FULL: &[&str] = &["--no-squash-root"];
/// The number of an address where nobody ever was who is known.
const ELSEWHERE: u8 = 200;
const PUT: &str = "
import sys, boto3
s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1')
s3.put_object(Bucket='bucket', Key='object', Body=b'of the gateway')
";

fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

fn all_find_each_other(wires: Wires) {
    let lan = Lan::of(4, wires);
    let hosts = lan.hosts();
    let mut cluster = Cluster::start_on(&hosts[0]);
    let key = cluster_key(&cluster);
    fs::create_dir(cluster.node().path("bucket")).expect("made");
    let one = cluster.joined_on(&hosts[1], "one", FULL);
    let two = cluster.joined_on(&hosts[2], "two", FULL);
    let web = cluster.joined_on(&hosts[3], "web", &["--role", "gateway"]);
    // The tokens named the address that the node had.
    cluster.node_mut().stop();
    hosts[0].set_address(wires.address(ELSEWHERE));
    for data in [&one, &two, &web] {
        forget_nodes(data);
    }

    let mut one = cluster.listening_on(&hosts[1], one);
    let mut two = cluster.listening_on(&hosts[2], two);
    cluster.node_mut().up();
    one.launch();
    two.launch();
    let mut web = GatewayHost::launch(&cluster, &hosts[3], web);
    wait_within(WORKING_WITHIN, "all are ready", || {
        one.is_ready() && two.is_ready() && web.is_ready()
    });
    let took = wait_within(WORKING_WITHIN, "all work", || {
        fs::write(one.path("file"), "of one").expect("written");
        assert!(holds(&two.path("file"), "of one"));
        let put = boto3_on(&hosts[3], &key, PUT, &[&web.url()]);
        assert_eq!(put.code, Some(0), "{put:?}");
        holds(&one.path("bucket/object"), "of the gateway")
    });
    // Calls wait for what is not there yet, so that the first look may be the last, and late.
    assert!(took < WORKING_WITHIN, "all work after {took:?} only");
    assert!(holds(&two.path("bucket/object"), "of the gateway"));
    let status = run(hosts[1]
        .command(&program("wolfdiskctl"))
        .args(["status", "--json", "--data-dir"])
        .arg(one.data()));
    assert_eq!(status.code, Some(0), "{status:?}");
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(
        status["mounts"][0]["path"],
        one.mount().to_str().expect("UTF-8")
    );
    assert_eq!(status["mounts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn all_find_each_other_where_multicast_goes_everywhere() {
    all_find_each_other(Wires::default());
}

#[test]
fn all_find_each_other_where_multicast_goes_to_members_only() {
    all_find_each_other(SNOOPING);
}

#[test]
fn all_find_each_other_where_there_is_no_ipv4() {
    all_find_each_other(Wires {
        only_v6: true,
        ..SNOOPING
    });
}

/// A client on the second host uses the node on the first while the addresses of one of both change.
fn goes_on_when_addresses_change_of(number: usize) {
    let lan = Lan::of(2, SNOOPING);
    let (moves, desk) = (&lan.hosts()[number], &lan.hosts()[1]);
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let mut mount = cluster.listening_on(desk, cluster.joined_on(desk, "desk", FULL));
    mount.up();
    let works = |what: &str| {
        // A call waits while nobody is reached; it does not fail.
        let asked = Instant::now();
        fs::write(mount.path("file"), what).expect(what);
        let took = asked.elapsed();
        assert!(took < FOLLOWED_WITHIN, "{what}: {took:?}");
        assert!(holds(&cluster.node().path("file"), what), "{what}");
    };
    works("at first");
    moves.set_address(moves.address());
    works("after an address was lost and came back");
    moves.set_address(SNOOPING.address(ELSEWHERE));
    works("after it changed");
    if is_long_run() {
        moves.set_address(moves.address());
        works("after it was the first one again");
        moves.unplug();
        moves.set_address(SNOOPING.address(ELSEWHERE));
        moves.plug();
        works("after it changed while nobody could hear of it");
    }
    mount.stop();
}

#[test]
fn a_client_goes_on_when_its_address_changes() {
    goes_on_when_addresses_change_of(1);
}

#[test]
fn a_client_goes_on_when_the_address_of_its_node_changes() {
    goes_on_when_addresses_change_of(0);
}
