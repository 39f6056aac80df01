//! Confirmations: what waits for what, and what happens to caches when nobody answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;
use wolfdisk_proto::v1::invalidation::Kind;

use super::fake::{DEADLINE, Fake, Kernel, content, open};

const FILE: u64 = 5;
const OTHER: u64 = 6;
const GET_ATTR: u8 = 5;

#[test]
fn a_write_back_that_waits_for_another_session_does_not_keep_this_one_from_confirming() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    volume.write(handle, 0, b"mine", false).expect("buffered");
    // The write is answered when the other has dropped something, and that session, which writes back
    // too, waits for us to drop OTHER.
    fake.with(|world| world.barrier = 2);
    let (begun, version) = (Instant::now(), fake.with(|world| world.version));
    fake.notify(1, version, Kind::WriteBack, FILE);
    fake.wait("the write", |world| world.files.contains_key(&FILE));
    assert_eq!(fake.with(|world| world.confirmed), 0);
    fake.notify(2, version + 1, Kind::Data, OTHER);
    fake.wait("dropped", |world| world.told == 2);
    fake.wait("written back", |world| world.confirmed == 2);
    assert!(
        begun.elapsed() < Duration::from_millis(LEASE_MS / 2),
        "no lease is waited for"
    );
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored, b"mine");
}

#[test]
fn writing_back_is_confirmed_only_when_it_is_done() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    volume.write(handle, 0, b"mine", false).expect("buffered");
    let version = fake.with(|world| {
        world.held = Some(FILE);
        world.version
    });
    fake.notify(1, version, Kind::WriteBack, FILE);
    fake.wait("the write", |world| world.holding == 1);
    let feeds = fake.asked(3);
    fake.wait("some feeds", |world| world.asked[&3] > feeds + 3);
    assert_eq!(fake.with(|world| (world.confirmed, world.told)), (0, 1));
    fake.with(|world| world.held = None);
    fake.wait("confirmed", |world| world.confirmed == 1);
}

#[test]
fn a_stuck_kernel_confirms_nothing_and_the_lease_runs_out() {
    let fake = Fake::new();
    fake.with(|world| world.lease_ms = LEASE_MS as u32);
    let (volume, kernel) = (fake.volume(), Arc::new(Kernel::default()));
    volume.set_listener(kernel.clone()).expect("threads");
    volume.getattr(Ino(OTHER)).expect("cached");
    kernel.stick(true);
    let version = fake.change(FILE, b"new");
    fake.notify(1, version, Kind::Attr, FILE);
    kernel.wait_told(FILE);
    let until = Instant::now() + DEADLINE;
    while volume.session.lease.is_live() {
        assert!(Instant::now() < until, "the lease must run out");
        std::thread::yield_now();
    }
    assert_eq!(fake.with(|world| (world.confirmed, world.told)), (0, 0));
    let asked = fake.asked(GET_ATTR);
    volume.getattr(Ino(OTHER)).expect("asked");
    assert_eq!(fake.asked(GET_ATTR), asked + 1, "nothing cached is used");
    kernel.stick(false);
    fake.wait("confirmed", |world| world.confirmed == 1);
}

#[test]
fn names_that_the_kernel_may_know_and_we_do_not_must_run_out() {
    let fake = Fake::new();
    let volume = fake.volume();
    let (begun, version) = (Instant::now(), fake.with(|world| world.version));
    fake.notify(1, version, Kind::Directory, 77);
    fake.notify(2, version, Kind::Attr, FILE);
    fake.wait("dropped", |world| world.told == 2);
    assert_eq!(fake.with(|world| world.confirmed), 0);
    fake.wait("confirmed", |world| world.confirmed == 2);
    assert!(begun.elapsed() >= Duration::from_millis(LEASE_MS));
    drop(volume);
}

#[test]
fn after_a_roll_back_nothing_is_used_and_the_kernel_is_told() {
    let fake = Fake::new();
    let (volume, kernel) = (fake.volume(), Arc::new(Kernel::default()));
    volume.set_listener(kernel.clone()).expect("threads");
    fake.change(FILE, b"kept");
    let handle = open(&volume, FILE);
    assert_eq!(content(&volume, handle), b"kept");
    let asked = fake.asked(GET_ATTR);
    fake.with(|world| world.rolled_back = true);
    kernel.wait_told(FILE);
    volume.getattr(Ino(FILE)).expect("asked");
    assert_eq!(fake.asked(GET_ATTR), asked + 1);
}

#[test]
fn an_answer_asked_for_before_a_roll_back_is_not_kept() {
    let fake = Fake::new();
    let (volume, kernel) = (fake.volume(), Arc::new(Kernel::default()));
    volume.set_listener(kernel.clone()).expect("threads");
    fake.with(|world| world.held = Some(FILE));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| volume.getattr(Ino(FILE)).expect("an answer"));
        fake.wait("the answer is kept back", |world| world.holding == 1);
        let epoch = volume.session.lease.epoch();
        fake.with(|world| world.rolled_back = true);
        let until = Instant::now() + DEADLINE;
        while volume.session.lease.epoch() == epoch {
            assert!(Instant::now() < until, "a new epoch begins");
            std::thread::yield_now();
        }
        fake.with(|world| world.held = None);
        assert!(late.join().expect("joined").1.is_zero());
    });
    let asked = fake.asked(GET_ATTR);
    volume.getattr(Ino(FILE)).expect("asked");
    assert_eq!(fake.asked(GET_ATTR), asked + 1);
}

#[test]
fn a_commit_that_takes_long_delays_no_other_file() {
    let fake = Fake::new();
    let volume = fake.volume();
    let (slow, quick) = (open(&volume, FILE), open(&volume, OTHER));
    fake.with(|world| world.held = Some(FILE));
    volume.write(slow, 0, b"slow", false).expect("buffered");
    fake.wait("the slow commit", |world| world.holding == 1);
    volume.write(slow, 4, b"more", false).expect("buffered");
    volume.write(quick, 0, b"quick", false).expect("buffered");
    fake.wait("the other file", |world| world.files.contains_key(&OTHER));
    fake.with(|world| world.held = None);
    volume.flush(slow, None).expect("committed");
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored, b"slowmore");
}
