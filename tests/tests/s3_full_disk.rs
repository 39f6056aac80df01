//! A full disk is a code that S3 clients understand, costs nothing that was acknowledged, and heals by deleting.

use wolfdisk_tests::{Gateway, Node, Plan, SmallDisk};

const DISK_BYTES: u64 = 512 << 20;

#[test]
fn a_full_disk_is_said_and_heals() {
    let disk = SmallDisk::new(DISK_BYTES);
    let node = Node::start_as(Plan {
        data: Some(disk.data()),
        ..Plan::default()
    });
    let gateway = Gateway::with_key(&node);
    gateway.must_pass("full_disk");
    gateway.stop();
    node.must_be_whole();
}
