//! What the daemon is told of a file that is closed, and what that means for who opens it again.

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1::invalidation::Kind;

use super::fake::{Fake, open};

const FILE: u64 = 5;
const OPEN: u8 = 6;

#[test]
fn a_file_that_is_opened_while_the_daemon_hears_that_it_is_closed_is_asked_for() {
    let fake = Fake::new();
    let volume = fake.volume();
    let first = open(&volume, FILE);
    let version = fake.with(|world| world.version);
    // Another session wanted to write.
    fake.notify(1, version - 1, Kind::WriteBack, FILE);
    fake.wait("written back", |world| world.confirmed == 1);
    fake.with(|world| world.held_feed = true);
    volume.release(first).expect("closed");
    fake.wait("told", |world| world.released == [(FILE, 1)]);
    let second = open(&volume, FILE);
    volume.release(second).expect("closed");
    let third = open(&volume, FILE);
    assert_eq!(
        fake.with(|world| world.opens.clone()),
        [1, 2, 3],
        "each asks, and later than what was told"
    );
    fake.with(|world| world.held_feed = false);
    let feeds = fake.asked(3);
    fake.wait("answered", |world| world.asked[&3] > feeds + 1);
    open(&volume, FILE);
    assert_eq!(fake.asked(OPEN), 3, "the right is held again");
    let told = fake.with(|world| world.released.clone());
    assert_eq!(told, [(FILE, 1)], "it is open");
    volume.release(third).expect("closed");
}

#[test]
fn a_file_that_is_open_when_its_time_is_over_is_told_when_it_is_closed() {
    let fake = Fake::new();
    let volume = fake.volume();
    volume.getattr(Ino(FILE)).expect("known");
    let version = fake.with(|world| world.version);
    // Its last name has gone, as far as is known here.
    fake.notify(1, version, Kind::Attr, FILE);
    fake.wait("dropped", |world| world.confirmed == 1);
    let handle = open(&volume, FILE);
    // The time of another is over, so that of this one was.
    fake.notify(2, version, Kind::Attr, FILE + 1);
    fake.wait("the other", |world| {
        world.released.iter().any(|(ino, _)| *ino == FILE + 1)
    });
    assert!(fake.with(|world| world.released.iter().all(|(ino, _)| *ino != FILE)));
    volume.release(handle).expect("closed");
    fake.wait("told", |world| {
        world.released.iter().any(|(ino, _)| *ino == FILE)
    });
}
