//! Answers that come late, and writes whose place the daemon chooses.

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1::Right;
use wolfdisk_proto::v1::invalidation::Kind;

use super::fake::{Fake, content, open};

const FILE: u64 = 5;
const GET_ATTR: u8 = 5;

#[test]
fn an_answer_older_than_an_invalidation_is_not_kept() {
    let fake = Fake::new();
    let volume = fake.volume();
    fake.change(FILE, b"old");
    fake.with(|world| world.held = Some(FILE));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| volume.getattr(Ino(FILE)).expect("an answer"));
        fake.wait("the answer is kept back", |world| world.holding == 1);
        let version = fake.change(FILE, b"newer");
        fake.notify(1, version, Kind::Attr, FILE);
        fake.wait("confirmed", |world| world.confirmed == 1);
        fake.with(|world| world.held = None);
        let (attr, valid) = late.join().expect("joined");
        assert_eq!((attr.size, valid.is_zero()), (3, true));
    });
    assert_eq!(volume.getattr(Ino(FILE)).expect("attributes").0.size, 5);
    let asked = fake.asked(GET_ATTR);
    volume.getattr(Ino(FILE)).expect("attributes");
    assert_eq!(fake.asked(GET_ATTR), asked, "a fresh answer is kept");
}

#[test]
fn an_own_write_answered_late_does_not_bring_back_what_it_wrote() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    volume.write(handle, 0, b"mine", false).expect("buffered");
    fake.with(|world| world.held = Some(FILE));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| volume.flush(handle, None));
        fake.wait("the write is applied", |world| world.holding == 1);
        let version = fake.change(FILE, b"theirs");
        fake.notify(1, version, Kind::Data, FILE);
        fake.wait("confirmed", |world| world.confirmed == 1);
        // The newer content is learned while the older write is still unanswered.
        volume
            .open(Ino(FILE), crate::OpenFlags::from_raw(libc::O_RDONLY))
            .expect("open");
        content(&volume, handle);
        fake.with(|world| world.held = None);
        late.join().expect("joined").expect("written");
    });
    assert_eq!(content(&volume, handle), b"theirs");
}

#[test]
fn without_the_right_to_buffer_the_daemon_says_where_an_append_goes() {
    let fake = Fake::new();
    let volume = fake.volume();
    fake.with(|world| world.rights &= !(Right::Write as u32));
    fake.change(FILE, b"one.");
    let handle = open(&volume, FILE);
    // Somebody else appends, and we are not told yet.
    fake.change(FILE, b"one.two.");
    assert_eq!(volume.write(handle, 0, b"three.", true), Ok(6));
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored, b"one.two.three.");
    assert_eq!(content(&volume, handle), b"one.two.three.");
}

#[test]
fn what_was_appended_under_a_right_that_ran_out_goes_to_where_the_end_is_now() {
    let fake = Fake::new();
    let volume = fake.volume();
    fake.change(FILE, b"one.");
    let handle = open(&volume, FILE);
    volume.write(handle, 0, b"ONE", false).expect("buffered");
    volume.write(handle, 0, b"mine.", true).expect("buffered");
    volume.write(handle, 0, b"more.", true).expect("buffered");
    fake.with(|world| {
        let file = world.files.get_mut(&FILE).expect("the file");
        file.content.extend_from_slice(b"theirs.");
        world.rolled_back = true;
    });
    fake.wait("written back", |world| {
        world.files[&FILE].content.len() == 21
    });
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored, b"ONE.theirs.mine.more.");
    volume.flush(handle, None).expect("nothing is left");
    assert_eq!(content(&volume, handle), stored);
    assert_eq!(volume.write(handle, 0, b"last.", true), Ok(5));
    volume.flush(handle, None).expect("committed");
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored, b"ONE.theirs.mine.more.last.");
}

#[test]
fn what_was_written_far_beyond_an_append_keeps_its_place() {
    let far = 1 << 20;
    let fake = Fake::new();
    let volume = fake.volume();
    fake.change(FILE, b"one.");
    let handle = open(&volume, FILE);
    volume.write(handle, 0, b"mine.", true).expect("buffered");
    volume.write(handle, far, b"far", false).expect("buffered");
    fake.with(|world| world.rolled_back = true);
    fake.wait("appended", |world| world.appended == 5);
    fake.wait("written", |world| {
        world.files[&FILE].content.len() as u64 == far + 3 + 5
    });
    let stored = fake.with(|world| world.files[&FILE].content.clone());
    assert_eq!(stored[far as usize..], *b"farmine.");
}
