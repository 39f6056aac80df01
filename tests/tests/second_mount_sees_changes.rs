//! Two mounts of one node see each other's changes at once.

use wolfdisk_tests::{Node, SecondMount, TwoViews};

fn start() -> ((SecondMount, Node), TwoViews) {
    let node = Node::start();
    let second = node.second_mount();
    let views = TwoViews {
        first: node.mount().to_owned(),
        second: second.mount().to_owned(),
    };
    ((second, node), views)
}

wolfdisk_tests::two_views!(start);
