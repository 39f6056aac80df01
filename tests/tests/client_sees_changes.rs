//! Two members without state, each with a mount of its own over the network, see each other's changes at once.

use wolfdisk_tests::{Joined, Node, TwoViews};

fn start() -> ((Joined, Joined, Node), TwoViews) {
    let node = Node::start_as(wolfdisk_tests::Plan::on_the_network());
    let member = |name| Joined::mounted(&node, &["--no-squash-root"], name, None);
    let (one, two) = (member("one"), member("two"));
    let views = TwoViews {
        first: one.mount(),
        second: two.mount(),
    };
    ((one, two, node), views)
}

wolfdisk_tests::two_views!(start);
