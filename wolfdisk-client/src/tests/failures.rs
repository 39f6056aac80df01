//! What a program is told when a write, a lock or a chunk is lost.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_proto::Failure;

use super::fake::{CHUNK, DEADLINE, Fake, content, open};
use crate::Error;
use crate::lock::{LockKind, LockRequest, LockWait};

const FILE: u64 = 5;

fn errno(result: crate::Result<()>) -> i32 {
    result.err().map_or(0, |error| error.errno())
}

#[test]
fn no_room_is_told_at_every_close_and_once_at_fsync_for_each_handle() {
    let fake = Fake::new();
    let volume = fake.volume();
    let (writer, other) = (open(&volume, FILE), open(&volume, FILE));
    volume.write(writer, 0, b"lost", false).expect("buffered");
    fake.with(|world| world.refusal = Some(Ok(libc::ENOSPC)));
    for handle in [writer, other] {
        // Perhaps by a program that was started and does not look.
        assert_eq!(errno(volume.flush(handle, None)), libc::ENOSPC);
        assert_eq!(errno(volume.flush(handle, None)), libc::ENOSPC);
        assert_eq!(errno(volume.fsync(handle, false)), libc::ENOSPC);
        assert_eq!(errno(volume.fsync(handle, false)), 0, "told once");
        assert_eq!(errno(volume.flush(handle, None)), 0);
    }
    let later = open(&volume, FILE);
    assert_eq!(errno(volume.flush(later, None)), 0, "it was not there");
    assert_eq!(volume.counters()["write_errors"], 1);
    assert_eq!(volume.counters()["dirty_bytes"], 0);
}

#[test]
fn what_is_lost_for_want_of_a_daemon_is_told_at_close_and_fsync() {
    let fake = Fake::new();
    let volume = fake.volume();
    let (writer, other) = (open(&volume, FILE), open(&volume, FILE));
    volume.write(writer, 0, b"lost", false).expect("buffered");
    // What the pool of connections says when the deadline has passed.
    let gone = Failure::Deadline("no daemon".to_owned());
    fake.with(|world| world.refusal = Some(Err(gone)));
    // Nobody waits for it: the second after which it is written back in the background passes.
    fake.wait("written back", |world| world.asked.contains_key(&13));
    assert_eq!(errno(volume.flush(writer, None)), libc::EIO);
    for handle in [writer, other] {
        assert_eq!(errno(volume.fsync(handle, false)), libc::EIO);
        assert_eq!(errno(volume.fsync(handle, false)), 0, "told once");
    }
    assert_eq!(volume.counters()["write_errors"], 1, "and logged once");
    fake.with(|world| world.refusal = None);
    volume.write(writer, 0, b"kept", false).expect("buffered");
    assert_eq!(errno(volume.flush(writer, None)), 0);
    assert_eq!(
        fake.with(|world| world.files[&FILE].content.clone()),
        b"kept"
    );
}

#[test]
fn what_another_store_answers_for_is_put_again() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    let bytes: Vec<u8> = (0..CHUNK).map(|at| at as u8).collect();
    fake.with(|world| world.other_stores = 2);
    volume.write(handle, 0, &bytes, false).expect("buffered");
    assert_eq!(errno(volume.fsync(handle, false)), 0);
    let puts = fake.with(|world| world.puts.clone());
    assert_eq!(puts.len(), 3);
    assert!(puts.iter().all(|put| *put == bytes));
}

#[test]
fn a_chunk_that_is_refused_is_put_again_from_the_same_bytes() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    let bytes: Vec<u8> = (0..CHUNK).map(|at| at as u8).collect();
    fake.with(|world| world.retry_puts = 2);
    volume.write(handle, 0, &bytes, false).expect("buffered");
    volume.fsync(handle, false).expect("durable");
    let (puts, stored) = fake.with(|world| (world.puts.clone(), world.files[&FILE].clone()));
    assert_eq!(puts, vec![Bytes::from(bytes.clone()); 3]);
    assert!(stored.content == bytes);
}

#[test]
fn a_handle_whose_locks_are_lost_fails_and_others_go_on() {
    let fake = Fake::new();
    let volume = fake.volume();
    fake.change(FILE, b"content");
    let (holder, other) = (open(&volume, FILE), open(&volume, FILE));
    let lock = LockRequest {
        owner: 1,
        kind: LockKind::Write,
        start: 0,
        end: u64::MAX,
        pid: 1,
    };
    volume
        .set_lock(holder, lock, LockWait::No, &|| false)
        .expect("locked");
    assert_eq!(content(&volume, holder), b"content");
    fake.with(|world| world.session += 1);
    let until = std::time::Instant::now() + DEADLINE;
    while volume.session.identity().session != 2 {
        assert!(std::time::Instant::now() < until, "the session is replaced");
        std::thread::yield_now();
    }
    assert_eq!(
        volume.read(holder, 0, 10).err().map(|e| e.errno()),
        Some(libc::EIO)
    );
    assert_eq!(
        volume
            .write(holder, 0, b"x", false)
            .err()
            .map(|e| e.errno()),
        Some(libc::EIO)
    );
    assert_eq!(errno(volume.flush(holder, None)), libc::EIO);
    assert_eq!(content(&volume, other), b"content");
    volume.write(other, 0, b"C", false).expect("written");
    assert_eq!(errno(volume.flush(other, None)), 0);
}

#[test]
fn an_exclusive_session_that_is_lost_is_not_opened_anew() {
    let fake = Fake::new();
    let volume = fake.volume_that(|config| config.exclusive = true);
    fake.with(|world| world.session += 1);
    for _ in 0..2 {
        assert_eq!(volume.getattr(Ino(FILE)).err(), Some(Error::ShutDown));
    }
    assert_eq!(fake.asked(1), 1, "others may have changed what it knows");
}
