//! Objects by their keys: what is written before, forgotten after, and told of who has them open.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::object_key::ObjectKey;
use wolfdisk_proto::v1::{KeyEntry, ListKeysReply};

use super::fake::{CHUNK, Fake, content};
use crate::{Content, Error, Expected, ListKeys, Lookup, NewObject, Volume};

const ROOT: Ino = Ino(1);
const LOOKUP: u8 = 4;

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text.as_bytes()).expect("a key")
}

fn new() -> NewObject {
    NewObject {
        mode: 0o644,
        directory_mode: 0o755,
        uid: 0,
        gid: 0,
        s3: Bytes::from_static(b"given"),
        mtime: None,
    }
}

fn put(volume: &Volume, text: &str, bytes: &'static [u8]) -> crate::Result<crate::Object> {
    let content = Content::Bytes(Bytes::from_static(bytes));
    volume.publish(ROOT, &key(text), content, new(), Expected::Anything)
}

fn is_told(fake: &Fake, ino: Ino) -> bool {
    fake.with(|world| world.released.iter().any(|(of, _)| *of == ino.0))
}

#[test]
fn a_staged_file_gets_its_name_when_all_of_it_is_there() {
    let fake = Fake::new();
    let volume = fake.volume();
    let handle = volume.stage(ROOT, 0o600, 0, 0).expect("staged");
    let bytes: Vec<u8> = (0..2 * CHUNK + 100).map(|at| at as u8).collect();
    volume.write(handle, 0, &bytes, false).expect("buffered");
    let staged = Content::Staged(handle);
    let object = volume
        .publish(ROOT, &key("a/b"), staged, new(), Expected::Absent)
        .expect("published");
    let published = fake.with(|world| world.objects.published.clone());
    assert!(published == [(Bytes::from_static(b"a/b"), bytes.clone())]);
    assert_eq!(object.attr.size, bytes.len() as u64);
    assert_eq!(object.s3_version, object.attr.content_version);
    let ino = object.attr.ino;
    assert!(content(&volume, handle) == bytes);
    volume.release(handle).expect("closed");
    // One that is not published is told when it is closed; by then the other would have been.
    let other = volume.stage(ROOT, 0o600, 0, 0).expect("staged");
    volume.write(other, 0, b"lost", false).expect("buffered");
    volume.release(other).expect("closed");
    fake.wait("told", |world| !world.released.is_empty());
    assert!(!is_told(&fake, ino));
}

#[test]
fn an_object_that_is_not_as_expected_is_an_error_of_its_own() {
    let fake = Fake::new();
    let volume = fake.volume();
    fake.with(|world| world.objects.errno = libc::ECANCELED);
    assert_eq!(put(&volume, "k", b"1"), Err(Error::Changed));
    fake.with(|world| world.objects.errno = libc::EISDIR);
    assert_eq!(put(&volume, "k", b"1"), Err(Error::Refused(libc::EISDIR)));
    let marker = volume.publish(ROOT, &key("k"), Content::Marker, new(), Expected::Anything);
    assert_eq!(marker, Err(Error::Refused(libc::EINVAL)));
    let large = Content::Bytes(Bytes::from(vec![0; CHUNK + 1]));
    let large = volume.publish(ROOT, &key("k"), large, new(), Expected::Anything);
    assert_eq!(large, Err(Error::Refused(libc::EFBIG)));
}

#[test]
fn what_was_replaced_before_it_was_answered_for_is_told_as_it_was() {
    let fake = Fake::new();
    let volume = fake.volume();
    fake.with(|world| world.objects.gone = true);
    let object = put(&volume, "k", b"four").expect("published");
    let version = Version(fake.with(|world| world.version));
    assert_eq!((object.attr.size, object.attr.nlink), (4, 0));
    assert_eq!(
        (object.attr.content_version, object.s3_version),
        (version, version)
    );
    assert_eq!(object.s3.as_deref(), Some(&b"given"[..]));
}

#[test]
fn a_name_that_was_missing_is_asked_for_again_after_it_was_published() {
    let fake = Fake::new();
    let volume = fake.volume();
    for _ in 0..2 {
        let missing = volume.lookup(ROOT, b"k").expect("asked");
        assert!(matches!(missing, Lookup::Missing { .. }));
    }
    assert_eq!(fake.asked(LOOKUP), 1, "it is known to be missing");
    put(&volume, "other/x", b"1").expect("published");
    volume.lookup(ROOT, b"k").expect("asked");
    assert_eq!(fake.asked(LOOKUP), 1, "and that has not changed");
    put(&volume, "k", b"1").expect("published");
    volume.lookup(ROOT, b"k").expect("asked");
    assert_eq!(fake.asked(LOOKUP), 2);
}

#[test]
fn an_object_that_is_replaced_is_read_to_its_end_and_then_told() {
    let fake = Fake::new();
    let volume = fake.volume();
    let first = put(&volume, "k", b"first").expect("published").attr.ino;
    let opened = volume.open_object(ROOT, &key("k")).expect("asked");
    let (object, handle) = opened.expect("an object");
    assert_eq!(object.attr.ino, first);
    fake.with(|world| world.objects.holds = true);
    put(&volume, "k", b"second").expect("published");
    assert_eq!(content(&volume, handle), b"first");
    assert!(!is_told(&fake, first));
    volume.release(handle).expect("closed");
    fake.wait("told", |world| {
        world.released.iter().any(|(ino, _)| *ino == first.0)
    });
    assert_eq!(volume.open_object(ROOT, &key("x")).expect("asked"), None);
}

/// Has the daemon send what it keeps back, at the end.
struct LetsGo<'a>(&'a Fake);

impl Drop for LetsGo<'_> {
    fn drop(&mut self) {
        self.0.with(|world| world.objects.held = false);
    }
}

#[test]
fn nothing_is_told_closed_that_an_open_under_way_may_have_opened() {
    let fake = Fake::new();
    let volume = fake.volume();
    let first = put(&volume, "k", b"first").expect("published").attr.ino;
    fake.with(|world| (world.objects.held, world.objects.holds) = (true, true));
    std::thread::scope(|scope| {
        // Also when something fails: the scope waits for the one that opens.
        let let_go = LetsGo(&fake);
        let opens = scope.spawn(|| volume.open_object(ROOT, &key("k")));
        fake.wait("an open", |world| world.holding == 1);
        put(&volume, "k", b"second").expect("published");
        let feeds = fake.asked(3);
        fake.wait("feeds", |world| {
            world.asked.get(&3).copied().unwrap_or(0) > feeds + 2
        });
        assert!(!is_told(&fake, first), "it may be open");
        drop(let_go);
        let opened = opens.join().expect("joined").expect("asked");
        let (object, handle) = opened.expect("an object");
        let bytes = content(&volume, handle);
        let whole = if object.attr.ino == first {
            &b"first"[..]
        } else {
            b"second"
        };
        assert_eq!(bytes, whole);
        volume.release(handle).expect("closed");
    });
    fake.wait("told", |world| {
        world.released.iter().any(|(ino, _)| *ino == first.0)
    });
}

#[test]
fn a_listing_that_would_not_end_is_malformed() {
    let fake = Fake::new();
    let volume = fake.volume();
    let page = ListKeysReply {
        entries: vec![KeyEntry {
            key: Bytes::from_static(b"a/"),
            object: None,
        }],
        more: true,
        last: Bytes::from_static(b"a/"),
        ..ListKeysReply::default()
    };
    fake.with(|world| world.objects.page = page);
    let mut wanted = ListKeys {
        max: 10,
        ..ListKeys::default()
    };
    let page = volume.list_keys(ROOT, &wanted).expect("a page");
    assert!(page.more && page.entries.len() == 1);
    wanted.after = page.last;
    let again = volume.list_keys(ROOT, &wanted);
    assert!(matches!(again, Err(Error::Malformed(_))));
}
