//! Random calls on a mount give what they give on ext4: by one process, by several of different users in
//! turn, through two mounts, by several at once, and while daemons are killed.

use wolfdisk_tests::{Daemon, Exerciser, Node, Random, Role};

const ROOT: Role = Role::ROOT;
const ANN: Role = Role::ANN;
const BOB: Role = Role {
    user: 1002,
    groups: &[1002, 1001],
};

fn kill(node: &Node, random: &mut Random) {
    node.kill([Daemon::Meta, Daemon::Chunkd][random.below(2) as usize]);
}

#[test]
fn one_process() {
    let node = Node::start();
    Exerciser::new(vec![node.mount().to_owned()], &[ROOT]).in_turn(|_| ());
}

#[test]
fn processes_of_three_users_in_turn() {
    let node = Node::start();
    let roles = [ROOT, ANN, BOB, ANN];
    Exerciser::new(vec![node.mount().to_owned()], &roles).in_turn(|_| ());
}

#[test]
fn two_mounts_in_turn() {
    let node = Node::start();
    let second = node.second_mount();
    let mounts = vec![node.mount().to_owned(), second.mount().to_owned()];
    // Of root, who needs to own nothing: see the limit of who came to own a file by another mount.
    Exerciser::new(mounts, &[ROOT, ROOT, ROOT, ROOT]).in_turn(|_| ());
}

#[test]
fn processes_at_once() {
    let node = Node::start();
    let roles = [ROOT, ROOT, ANN, BOB];
    Exerciser::new(vec![node.mount().to_owned()], &roles).at_once(|_| ());
}

#[test]
fn daemons_are_killed() {
    let node = Node::start();
    let mounts = vec![node.mount().to_owned()];
    Exerciser::new(mounts.clone(), &[ROOT, ANN]).in_turn(|random| kill(&node, random));
    Exerciser::new(mounts, &[ROOT, ROOT, ANN]).at_once(|random| kill(&node, random));
}
