//! What is promised of objects, one by one.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};

use super::harness::{World, create, name, unlink};
use super::keys::{data, key, publish, removal, stage};
use crate::index::acl;
use crate::index::invariants::check;
use crate::index::op::{
    Effect, Expected, Kind, Op, Openers, Outcome, Publish, PublishContent, RemoveObject,
};
use crate::index::record::Inode;

impl World {
    fn publish(&mut self, publish: Publish) -> Outcome {
        self.run(Op::Publish { publish })
    }

    fn put(&mut self, text: &str, bytes: &[u8]) -> Ino {
        let outcome = self.publish(publish(Ino::ROOT, text, data(bytes)));
        assert_eq!(outcome.answer.errno, 0);
        outcome.answer.inodes[0]
    }

    fn remove(&mut self, remove: RemoveObject) -> i32 {
        self.run(Op::RemoveObject { remove }).answer.errno
    }

    fn at(&self, text: &str) -> Option<(Ino, Inode)> {
        self.index.object(Ino::ROOT, &key(text)).expect("read")
    }
}

#[test]
fn who_has_open_what_is_replaced_or_removed_keeps_it() {
    let mut world = World::new();
    let other = world.other;
    let ino = world.put("a/file", b"old");
    let mut replacing = publish(Ino::ROOT, "a/file", data(b"new"));
    let sessions = vec![other];
    replacing.openers = vec![Openers { ino, sessions }];
    let outcome = world.publish(replacing);
    assert!(outcome.answer.removed);
    assert!(outcome.effects.contains(&Effect::Data { ino }));
    assert_eq!(world.content(ino), b"old");
    let (newer, _) = world.at("a/file").expect("an object");
    assert_eq!(world.content(newer), b"new");
    world.check();
    let mut removing = removal(Ino::ROOT, "a/file");
    let (directory, _) = world
        .index
        .lookup(Ino::ROOT, b"a")
        .expect("read")
        .expect("there");
    let sessions = vec![other];
    let openers = [newer, directory].map(|ino| Openers {
        ino,
        sessions: sessions.clone(),
    });
    removing.openers = openers.to_vec();
    assert_eq!(world.remove(removing), 0);
    assert_eq!(world.index.lookup(Ino::ROOT, b"a").expect("read"), None);
    assert_eq!(world.content(newer), b"new");
    let kept = world.index.inode(directory).expect("read").expect("held");
    assert_eq!(kept.nlink, 0);
    world.check();
    let release = Op::Release {
        session: other,
        inos: vec![ino, newer, directory],
    };
    world.own(release);
    for ino in [ino, newer, directory] {
        assert_eq!(world.index.inode(ino).expect("read"), None);
    }
    world.check();
}

#[test]
fn a_staged_file_goes_with_its_session_unless_it_is_published() {
    let mut world = World::new();
    let usage = world.index.usage(0).expect("usage");
    let staged = [0; 3].map(|_| world.run(stage(Ino::ROOT)).answer.inodes[0]);
    for ino in staged {
        world.write(
            ino,
            0,
            b"content that is not in the inode alone, being long enough for it",
        );
    }
    world.check();
    let [kept, released, left] = staged;
    let outcome = world.publish(publish(
        Ino::ROOT,
        "kept",
        PublishContent::Staged { ino: kept },
    ));
    assert_eq!(outcome.answer.inodes[0], kept);
    assert!(outcome.effects.contains(&Effect::Attr { ino: kept }));
    let session = world.session;
    let inos = vec![kept, released];
    world.run(Op::Release { session, inos });
    world.check();
    let content = |ino| PublishContent::Staged { ino };
    let gone = world.publish(publish(Ino::ROOT, "gone", content(released)));
    assert_eq!(gone.answer.errno, libc::ENOENT);
    let twice = world.publish(publish(Ino::ROOT, "twice", content(kept)));
    assert_eq!(twice.answer.errno, libc::ENOENT, "it has a name");
    let expired = true;
    world.own(Op::CloseSession { session, expired });
    world.session = world.other;
    assert_eq!(world.index.inode(left).expect("read"), None);
    let (ino, inode) = world.at("kept").expect("an object");
    assert_eq!((ino, inode.nlink), (kept, 1));
    world.check();
    let now = world.index.usage(0).expect("usage");
    assert_eq!(now.inodes, usage.inodes + 1);
    let removed = world.own(unlink(Ino::ROOT, "kept", false));
    assert_eq!(removed.answer.errno, 0);
    let now = world.index.usage(0).expect("usage");
    assert_eq!((now.bytes, now.inodes), (usage.bytes, usage.inodes));
    world.check();
}

#[test]
fn a_file_of_another_session_is_not_published() {
    let mut world = World::new();
    let ino = world.run(stage(Ino::ROOT)).answer.inodes[0];
    let mine = world.session;
    world.session = world.other;
    let outcome = world.publish(publish(Ino::ROOT, "x", PublishContent::Staged { ino }));
    assert_eq!(outcome.answer.errno, libc::ENOENT);
    assert!(world.index.is_held(ino, mine).expect("read"));
    world.check();
}

#[test]
fn what_is_expected_is_compared() {
    let mut world = World::new();
    let ino = world.put("k", b"1");
    let stamp = world.index.inode(ino).expect("read").expect("there").stamp;
    let exactly = |stamp| Expected::Exactly { ino, stamp };
    let with = |expected| Publish {
        expected,
        ..publish(Ino::ROOT, "k", data(b"2"))
    };
    let version = world.index.version();
    for expected in [Expected::Absent, exactly(Version(stamp.0 - 1))] {
        assert_eq!(world.publish(with(expected)).answer.errno, libc::ECANCELED);
        let remove = RemoveObject {
            expected,
            ..removal(Ino::ROOT, "k")
        };
        assert_eq!(world.remove(remove), libc::ECANCELED);
    }
    assert_eq!(world.index.version(), version, "nothing was done");
    world.write(ino, 0, b"changed in place");
    assert_eq!(
        world.publish(with(exactly(stamp))).answer.errno,
        libc::ECANCELED
    );
    let stamp = world.index.inode(ino).expect("read").expect("there").stamp;
    assert_eq!(world.publish(with(exactly(stamp))).answer.errno, 0);
    assert_eq!(
        world.publish(with(exactly(stamp))).answer.errno,
        libc::ECANCELED
    );
    assert_eq!(world.remove(removal(Ino::ROOT, "k")), 0);
    assert_eq!(world.remove(removal(Ino::ROOT, "k")), libc::ENOENT);
    assert_eq!(world.publish(with(Expected::Absent)).answer.errno, 0);
    // A directory that other keys need is no object.
    world.put("d/x", b"1");
    let marker = Publish {
        expected: Expected::Absent,
        ..publish(Ino::ROOT, "d/", PublishContent::Directory)
    };
    assert_eq!(world.publish(marker.clone()).answer.errno, 0);
    assert_eq!(world.publish(marker).answer.errno, libc::ECANCELED);
    world.check();
}

/// Access lists of owner, group and others with a named user, as in `acl(5)`.
fn default_acl() -> Bytes {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, u32::MAX),
        (0x02, 7, 1234),
        (0x04, 5, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes.into()
}

#[test]
fn objects_inherit_what_created_files_do() {
    let mut world = World::new();
    let parent = world.create(Ino::ROOT, "d", Kind::Directory);
    let chmod = Op::SetAttr {
        ino: parent,
        permissions: Some(0o2775),
        uid: None,
        gid: Some(77),
        size: None,
        atime: None,
        mtime: None,
        ctime: None,
        kill_suid: false,
    };
    world.run(chmod);
    for round in 0..2 {
        let umask = 0;
        let Op::Create { .. } = create(parent, "x", Kind::File) else {
            panic!("a creation");
        };
        let made = [(Kind::File, 0o644), (Kind::Directory, 0o755)].map(|(kind, permissions)| {
            let op = Op::Create {
                parent,
                name: name(&format!("made{round}{kind:?}")),
                kind,
                permissions,
                umask,
                uid: 1000,
                gid: 1000,
                rdev: 0,
                symlink: Bytes::new(),
            };
            world.run(op).answer.inodes[0]
        });
        let staged = world.run(stage(Ino::ROOT)).answer.inodes[0];
        let below = format!("d/implied{round}/f");
        world.put(&below, b"1");
        let (implied, _) = world
            .index
            .lookup(parent, format!("implied{round}").as_bytes())
            .expect("read")
            .expect("there");
        let put = world.put(&format!("d/put{round}"), b"1");
        let content = PublishContent::Staged { ino: staged };
        world.publish(publish(Ino::ROOT, &format!("d/staged{round}"), content));
        let look = |ino| {
            let inode = world.index.inode(ino).expect("read").expect("there");
            let lists = (inode.acl_access, inode.acl_default, inode.xattr_bytes);
            let xattrs = world.index.xattrs(ino).expect("read");
            (inode.permissions, inode.uid, inode.gid, lists, xattrs)
        };
        let [file, directory] = made.map(look);
        assert_eq!(look(put), file);
        assert_eq!(look(staged), file);
        assert_eq!(look(implied), directory);
        assert_eq!(file.2, 77);
        assert_eq!(file.4.is_empty(), round == 0);
        let set = Op::SetXattr {
            ino: parent,
            name: Bytes::from_static(acl::DEFAULT),
            value: default_acl(),
            create: false,
            replace: false,
            keep_setgid: false,
        };
        assert_eq!(world.run(set).answer.errno, 0);
    }
    world.check();
}

#[test]
fn the_system_tree_is_a_tree_of_its_own() {
    let mut world = World::new();
    let missing = world.publish(publish(Ino::SYSTEM_ROOT, "a/b", data(b"1")));
    assert_eq!(missing.answer.errno, libc::ENOENT);
    for _ in 0..2 {
        let made = world.run(Op::MakeSystemRoot);
        assert_eq!(made.answer.inodes, [Ino::SYSTEM_ROOT]);
    }
    let made = world.publish(publish(Ino::SYSTEM_ROOT, "a/b", data(b"1")));
    assert_eq!(made.answer.errno, 0);
    let directory = world.create(Ino::SYSTEM_ROOT, "d", Kind::Directory);
    let below = world.create(directory, "below", Kind::Directory);
    // Down, and into the other tree: both must find the top.
    for (from, old, to) in [
        (Ino::SYSTEM_ROOT, "a", below),
        (directory, "below", Ino::ROOT),
    ] {
        let rename = Op::Rename {
            parent: from,
            name: name(old),
            new_parent: to,
            new_name: name("moved"),
            no_replace: false,
            exchange: false,
            keep_open: false,
            openers: Vec::new(),
        };
        assert_eq!(world.run(rename).answer.errno, 0);
    }
    let root = world.index.readdir(Ino::ROOT, 0, 10).expect("listing");
    assert_eq!(root.entries.len(), 1);
    assert!(world.at("moved/moved/b").is_some());
    assert!(world.index.counters().next_ino < Ino::SYSTEM_ROOT);
    world.check();
}

#[test]
fn what_is_kept_of_an_object_is_checked() {
    let mut world = World::new();
    let ino = world.put("k", b"1");
    let mut records = world.index.records().clone();
    let (_, mut inode) = world.at("k").expect("an object");
    inode.s3 = Some(Bytes::from_static(b"\x02"));
    let key = crate::index::key::Key::Inode { ino }.encode();
    records.insert(key.to_vec(), crate::index::codec::encode(&inode));
    assert_eq!(check(&records).expect("readable").len(), 1);
}
