//! One file, open on two mounts of a node at once: each sees at once what the other did.

use wolfdisk_tests::{Node, both_see_every_change};

#[test]
fn both_see_every_change_at_once() {
    let node = Node::start();
    let second = node.second_mount();
    both_see_every_change(node.mount(), second.mount());
}
