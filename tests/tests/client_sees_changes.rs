//! Two members that hold nothing, each with a mount over the network, see each other's changes at once.

use wolfdisk_tests::{Cluster, Node, TwoViews};

fn start() -> ((Node, Node, Cluster), TwoViews) {
    let cluster = Cluster::start();
    let mounted = |name| cluster.up(cluster.joined(name, &["--no-squash-root"]));
    let (one, two) = (mounted("one"), mounted("two"));
    let views = TwoViews {
        first: one.mount().to_owned(),
        second: two.mount().to_owned(),
    };
    ((one, two, cluster), views)
}

wolfdisk_tests::two_views!(start);
