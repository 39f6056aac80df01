//! Locks: what a holder may still see of what was there before, and what may not happen under its hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::{Invalidation, Right};

use super::fake::{Fake, Kernel, content, open};
use crate::{HandleId, LockKind, LockRequest, LockWait, Volume};

const FILE: u64 = 5;
const OWNER: u64 = 7;
const GET_ATTR: u8 = 5;
const MUTATE: u8 = 13;

fn lock(volume: &Volume, handle: HandleId, kind: LockKind) {
    let lock = LockRequest {
        owner: OWNER,
        kind,
        start: 0,
        end: u64::MAX,
        pid: 1,
    };
    let done = volume.set_lock(handle, lock, LockWait::No, &|| false);
    done.expect("the lock is free");
}

/// No right to content is granted.
fn uncached() -> (Fake, Arc<Volume>, Arc<Kernel>) {
    let fake = Fake::new();
    fake.with(|world| world.rights = Right::Attr as u32);
    let (volume, kernel) = (fake.volume(), Arc::new(Kernel::default()));
    volume.set_listener(kernel.clone()).expect("threads");
    (fake, volume, kernel)
}

#[test]
fn a_lock_is_granted_when_what_was_read_without_a_right_is_gone() {
    let (fake, volume, kernel) = uncached();
    fake.change(FILE, b"old");
    let handle = open(&volume, FILE);
    kernel.stick(true);
    assert_eq!(content(&volume, handle), b"old");
    kernel.wait_told(FILE);
    // By now there are rights, but the kernel still holds a page from before.
    fake.change(FILE, b"new");
    fake.with(|world| world.rights |= Right::Data as u32);
    let let_go = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            lock(&volume, handle, LockKind::Read);
            assert!(
                let_go.load(Ordering::SeqCst),
                "the kernel may show what it holds"
            );
        });
        fake.wait("the lock is granted by the daemon", |world| {
            world.asked.contains_key(&MUTATE)
        });
        let_go.store(true, Ordering::SeqCst);
        kernel.stick(false);
    });
    assert_eq!(content(&volume, handle), b"new");
}

#[test]
fn under_a_lock_the_kernel_is_told_nothing_without_need() {
    let (fake, volume, kernel) = uncached();
    fake.change(FILE, b"one");
    let handle = open(&volume, FILE);
    lock(&volume, handle, LockKind::Read);
    for _ in 0..10 {
        assert_eq!(content(&volume, handle), b"one");
    }
    lock(&volume, handle, LockKind::Unlock);
    assert_eq!(kernel.told(FILE), 0);
    // The next lock sees to what was read under the last.
    fake.change(FILE, b"two");
    lock(&volume, handle, LockKind::Read);
    assert_eq!(kernel.told(FILE), 1);
    assert_eq!(content(&volume, handle), b"two");
    // And so does the end of the locks.
    volume.flush(handle, Some(OWNER)).expect("unlocked");
    fake.wait("told", |_| kernel.told(FILE) == 2);
}

#[test]
fn a_map_that_was_asked_for_before_a_lock_was_granted_is_not_used() {
    let (fake, volume, _) = uncached();
    fake.change(FILE, b"old");
    let handle = open(&volume, FILE);
    fake.with(|world| world.held_map = Some(FILE));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| content(&volume, handle));
        fake.wait("the map is kept back", |world| world.holding == 1);
        fake.change(FILE, b"newer");
        lock(&volume, handle, LockKind::Read);
        fake.with(|world| world.held_map = None);
        assert_eq!(late.join().expect("joined"), b"newer");
    });
}

#[test]
fn a_lock_given_up_for_a_shared_one_shows_what_was_written_under_it() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    lock(&volume, handle, LockKind::Write);
    volume.write(handle, 0, b"mine", false).expect("buffered");
    lock(&volume, handle, LockKind::Read);
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored, b"mine");
}

#[test]
fn of_an_access_time_the_kernel_is_not_told() {
    let fake = Fake::new();
    let (volume, kernel) = (fake.volume(), Arc::new(Kernel::default()));
    volume.set_listener(kernel.clone()).expect("threads");
    volume.getattr(Ino(FILE)).expect("cached");
    let before = fake.asked(GET_ATTR);
    let version = fake.change(FILE, b"");
    fake.send(Invalidation {
        number: 1,
        version,
        kind: Kind::Attr.into(),
        ino: FILE,
        runs_out: true,
        ..Invalidation::default()
    });
    fake.wait("confirmed", |world| world.confirmed == 1);
    assert_eq!(kernel.told(FILE), 0);
    volume.getattr(Ino(FILE)).expect("asked");
    assert_eq!(fake.asked(GET_ATTR), before + 1, "but we know better");
}

#[test]
fn locks_that_a_close_could_not_release_are_released_later() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    lock(&volume, handle, LockKind::Write);
    fake.with(|world| world.lost_locks = 1);
    volume.release(handle).expect_err("the daemon is silent");
    fake.wait("released", |world| world.unlocked == [OWNER]);
    let again = open(&volume, FILE);
    lock(&volume, again, LockKind::Write);
    volume.flush(again, Some(OWNER)).expect("released");
    assert_eq!(fake.with(|world| world.unlocked.clone()), [OWNER, OWNER]);
}
