//! What the daemons tell for Prometheus: each number against another count of the same, and the text against its rules
//! and its documentation.

mod calls;
mod chunks;
mod full;
mod index;
mod limits;
mod log;
mod mounts;
mod network;
mod objects;
mod pages;
mod relay;
mod state;
mod volumes;

use std::fs::File;

use wolfdisk_tests::{Daemon, Node, Numbers};

fn meta(node: &Node) -> Numbers {
    Numbers::at(&node.admin(Daemon::Meta))
}

fn chunkd(node: &Node) -> Numbers {
    Numbers::at(&node.admin(Daemon::Chunkd))
}

fn mount(node: &Node) -> Numbers {
    Numbers::at(&node.admin(Daemon::Fuse))
}

/// By how much a number has grown, all labels together.
fn grown(before: &Numbers, after: &Numbers, name: &str) -> f64 {
    after.sum(name) - before.sum(name)
}

/// By how much one of them has, named with its labels.
fn grown_of(before: &Numbers, after: &Numbers, name: &str) -> f64 {
    after.of(name) - before.of(name)
}

/// By how much an event of the chunk store has.
fn events(before: &Numbers, after: &Numbers, event: &str) -> f64 {
    let name = format!("wolfdisk_chunk_events_total{{event=\"{event}\"}}");
    grown_of(before, after, &name)
}

fn is_same(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 0.5
}

#[track_caller]
fn same(found: f64, expected: impl TryInto<u32>, what: &str) {
    let expected = f64::from(expected.try_into().ok().expect("a small number"));
    assert!(is_same(found, expected), "{what}: {found}, not {expected}");
}

/// Both were counted.
#[track_caller]
fn equal(one: f64, other: f64, what: &str) {
    assert!(is_same(one, other), "{what}: {one} and {other}");
}

/// What was made in the root of the mount, and closed, is on the disk.
fn sync(node: &Node) {
    let root = File::open(node.mount()).expect("there");
    root.sync_all().expect("synced");
}
