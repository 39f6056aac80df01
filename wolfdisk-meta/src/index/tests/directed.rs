//! Promises that random steps would seldom reach.

use bytes::Bytes;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_common::ids::{Ino, NodeNumber, PutEpoch, Sequence, SessionId};
use wolfdisk_common::time::Timestamp;

use super::harness::{World, create, name, receipt, truncate, unlink, write};
use crate::index::acl;
use crate::index::op::{Effect, Kind, LockMode, Op, Origin, Receipt, SetTime, WriteSource};
use crate::index::record::Access;

#[test]
fn huge_maps_are_deleted_in_steps() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "huge", Kind::File);
    for at in 0..2500u64 {
        world.own(write(
            ino,
            at * 8192,
            WriteSource::Data(vec![1; 600].into()),
            600,
        ));
    }
    let kept = world.content(ino)[..9000].to_vec();
    assert_eq!(world.run(truncate(ino, 9000)).answer.errno, 0);
    assert_eq!(world.index.reaping(9).expect("queue"), vec![ino]);
    world.check();
    world.own(Op::Reap { ino, extents: 100 });
    world.check();
    assert_eq!(
        world.run(truncate(ino, 100_000)).answer.errno,
        0,
        "the tail is wanted again"
    );
    let content = world.content(ino);
    assert_eq!(content[..9000], kept);
    assert!(content[9000..].iter().all(|byte| *byte == 0));
    assert!(world.index.reaping(9).expect("queue").is_empty());
    for at in 0..2500u64 {
        world.own(write(
            ino,
            at * 8192,
            WriteSource::Data(vec![1; 600].into()),
            600,
        ));
    }
    let outcome = world.run(unlink(Ino::ROOT, "huge", false));
    assert!(outcome.answer.removed);
    assert!(outcome.effects.contains(&Effect::Gone { ino }));
    assert_eq!(world.write(ino, 0, b"late").answer.errno, libc::ESTALE);
    while !world.index.reaping(1).expect("queue").is_empty() {
        world.check();
        world.own(Op::Reap { ino, extents: 700 });
    }
    assert_eq!(world.index.inode(ino).expect("read"), None);
    assert_eq!(world.index.usage(0).expect("usage").bytes, 0);
    world.check();
}

#[test]
fn a_chunk_that_may_be_freed_is_not_referred_to_without_a_new_receipt() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let data = vec![9u8; 4000];
    let id = chunk_id(&data);
    let by = |epoch| WriteSource::Chunk {
        id,
        chunk_length: 4000,
        offset: 0,
        receipts: vec![Receipt {
            epoch: PutEpoch(epoch),
            ..receipt()
        }],
    };
    assert_eq!(world.run(write(ino, 0, by(1), 4000)).answer.errno, 0);
    world.own(Op::Sweep {
        node: NodeNumber(1),
        swept: PutEpoch(5),
    });
    assert!(
        !world.run(write(ino, 4000, by(5), 4000)).answer.retry_put,
        "it has a reference"
    );
    assert_eq!(
        world
            .index
            .chunk(id)
            .expect("read")
            .expect("a chunk")
            .references,
        2
    );
    world.run(truncate(ino, 0));
    assert_eq!(world.index.garbage(None, 9).expect("garbage"), vec![id]);
    let version = world.index.version();
    assert!(world.run(write(ino, 0, by(5), 4000)).answer.retry_put);
    assert_eq!(world.index.version(), version, "nothing was done");
    assert!(!world.run(write(ino, 0, by(6), 4000)).answer.retry_put);
    world.own(Op::DropChunks {
        node: NodeNumber(1),
        ids: vec![id],
    });
    assert!(
        world.index.chunk(id).expect("read").is_some(),
        "a late report frees nothing in use"
    );
    world.run(truncate(ino, 0));
    world.own(Op::DropChunks {
        node: NodeNumber(1),
        ids: vec![id],
    });
    assert!(world.index.chunk(id).expect("read").is_none());
    world.check();
}

#[test]
fn strangers_and_numbers_out_of_the_window_are_refused() {
    let mut world = World::new();
    let op = || create(Ino::ROOT, "x", Kind::File);
    let mut ask = |session, sequence, acknowledged| {
        let (sequence, acknowledged) = (Sequence(sequence), Sequence(acknowledged));
        world
            .submit(
                Some(Origin {
                    session,
                    sequence,
                    acknowledged,
                }),
                op(),
            )
            .answer
            .errno
    };
    assert_eq!(ask(SessionId(99), 1, 0), libc::ESTALE);
    assert_eq!(ask(SessionId(2), 0, 0), libc::EINVAL);
    assert_eq!(ask(SessionId(2), 1025, 0), libc::EINVAL);
    assert_eq!(ask(SessionId(2), 1024, 0), 0);
    assert_eq!(ask(SessionId(2), 2048, 1024), libc::EEXIST);
    assert_eq!(
        ask(SessionId(2), 1024, 0),
        libc::EINVAL,
        "its answer is gone"
    );
}

#[test]
fn an_orphan_lives_until_its_last_holder_is_gone() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let openers = vec![world.other, SessionId(77)];
    let (parent, directory, keep_open) = (Ino::ROOT, false, true);
    let op = Op::Unlink {
        parent,
        name: name("f"),
        directory,
        keep_open,
        openers,
    };
    assert!(world.run(op).answer.removed);
    assert_eq!(world.write(ino, 0, b"still there").answer.errno, 0);
    world.check();
    let session = world.session;
    world.run(Op::Release {
        session,
        inos: vec![ino],
    });
    assert_eq!(
        world.index.orphans_of(world.other).expect("read"),
        vec![ino]
    );
    let (session, expired) = (world.other, true);
    world.own(Op::CloseSession { session, expired });
    assert_eq!(world.index.inode(ino).expect("read"), None);
    world.check();
}

#[test]
fn locks_bar_others_and_go_with_their_session() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let lock = |owner, mode, start, end| Op::SetLock {
        ino,
        owner,
        mode,
        start,
        end,
        pid: 7,
    };
    assert_eq!(world.run(lock(1, LockMode::Write, 0, 9)).answer.errno, 0);
    assert_eq!(
        world.run(lock(2, LockMode::Read, 5, 20)).answer.errno,
        libc::EAGAIN
    );
    assert_eq!(
        world.run(lock(1, LockMode::Unlock, 4, 9)).effects,
        vec![Effect::Lock { ino }]
    );
    assert_eq!(world.run(lock(2, LockMode::Read, 5, 20)).answer.errno, 0);
    let conflict = world
        .index
        .lock_conflict(ino, world.session, 3, LockMode::Write, 0, u64::MAX);
    assert_eq!(
        conflict.expect("read").map(|lock| (lock.start, lock.end)),
        Some((0, 3))
    );
    world.check();
    let (session, expired) = (world.session, false);
    let outcome = world.own(Op::CloseSession { session, expired });
    assert!(outcome.effects.contains(&Effect::Lock { ino }));
    assert!(world.index.locks(ino).expect("read").is_empty());
    world.check();
}

#[test]
fn a_session_that_is_taken_over_hands_on_locks_and_open_inodes() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let lock = Op::SetLock {
        ino,
        owner: 1,
        mode: LockMode::Write,
        start: 3,
        end: 9,
        pid: 7,
    };
    assert_eq!(world.run(lock).answer.errno, 0);
    let removal = Op::Unlink {
        parent: Ino::ROOT,
        name: name("f"),
        directory: false,
        keep_open: true,
        openers: Vec::new(),
    };
    assert!(world.run(removal).answer.removed);
    let old = world.session;
    let taken = world.own(Op::TakeOver {
        session: old,
        pid: 8,
    });
    let heir = taken.answer.session.expect("a session");
    assert_eq!(taken.effects, vec![], "nobody who waits can go on");
    world.check();
    let locks = world.index.locks(ino).expect("read");
    let held: Vec<_> = locks
        .iter()
        .map(|lock| (lock.session, lock.owner, lock.start, lock.end))
        .collect();
    assert_eq!(held, vec![(heir, 1, 3, 9)]);
    assert_eq!(world.index.orphans_of(heir).expect("read"), vec![ino]);
    // What the old front-end sent and arrives late is refused with its session.
    let sessions = world.index.sessions().expect("read");
    assert!(sessions.iter().all(|(session, _)| *session != old));
    let again = world.own(Op::TakeOver {
        session: old,
        pid: 9,
    });
    assert_eq!(again.answer.errno, libc::ESTALE);
    let (session, expired) = (heir, false);
    world.own(Op::CloseSession { session, expired });
    assert_eq!(world.index.inode(ino).expect("read"), None);
    world.check();
}

#[test]
fn an_exclusive_session_is_the_only_one() {
    let mut world = World::new();
    let all = [Access::Shared, Access::ReadOnly, Access::Exclusive];
    let close = |world: &mut World, session| {
        let expired = false;
        let closed = world.own(Op::CloseSession { session, expired });
        assert_eq!(closed.answer.errno, 0);
    };
    for session in [world.session, world.other] {
        let refused = world.open_for(Access::Exclusive).answer;
        assert_eq!((refused.errno, refused.session), (libc::EBUSY, None));
        close(&mut world, session);
    }
    let alone = world.open_for(Access::Exclusive).answer.session;
    let alone = alone.expect("nobody else is there");
    for access in all {
        assert_eq!(world.open_for(access).answer.errno, libc::EBUSY);
    }
    let taken = world.own(Op::TakeOver {
        session: alone,
        pid: 8,
    });
    for access in all {
        assert_eq!(world.open_for(access).answer.errno, libc::EBUSY, "its heir");
    }
    close(&mut world, taken.answer.session.expect("a session"));
    for access in [Access::ReadOnly, Access::Shared] {
        assert_eq!(world.open_for(access).answer.errno, 0);
    }
    world.check();
}

#[test]
fn a_default_acl_is_inherited_instead_of_the_umask() {
    let mut world = World::new();
    let dir = world.create(Ino::ROOT, "d", Kind::Directory);
    let entry = |tag: u16, perm: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &perm.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let value: Bytes = [
        2u32.to_le_bytes().to_vec(),
        entry(1, 7, u32::MAX),
        entry(2, 7, 42),
        entry(4, 5, u32::MAX),
        entry(0x10, 7, u32::MAX),
        entry(0x20, 0, u32::MAX),
    ]
    .concat()
    .into();
    let set = |name: &'static [u8], ino| Op::SetXattr {
        ino,
        name: Bytes::from_static(name),
        value: value.clone(),
        create: false,
        replace: false,
        keep_setgid: true,
    };
    assert_eq!(world.run(set(acl::DEFAULT, dir)).answer.errno, 0);
    let file = world.create(dir, "f", Kind::File);
    let inode = world.index.inode(file).expect("read").expect("an inode");
    assert_eq!(
        inode.permissions, 0o750,
        "no umask, but what the ACL allows others"
    );
    assert!(inode.acl_access && inode.has_xattr());
    let sub = world.create(dir, "s", Kind::Directory);
    assert_eq!(
        world.index.xattr(sub, acl::DEFAULT).expect("read"),
        Some(value.clone())
    );
    assert_eq!(
        world.run(set(acl::DEFAULT, file)).answer.errno,
        libc::EACCES
    );
    world.run(unlink(dir, "f", false));
    world.check();
}

#[test]
fn listings_go_on_where_they_stopped_while_names_come_and_go() {
    let mut world = World::new();
    for at in 0..20 {
        world.create(Ino::ROOT, &format!("n{at}"), Kind::File);
    }
    let first = world.index.readdir(Ino::ROOT, 0, 10).expect("listing");
    assert!(!first.end);
    for at in 5..10 {
        world.run(unlink(Ino::ROOT, &format!("n{at}"), false));
    }
    world.create(Ino::ROOT, "late", Kind::File);
    let rest = world
        .index
        .readdir(Ino::ROOT, first.entries[9].cookie, 100)
        .expect("listing");
    let names: Vec<_> = rest
        .entries
        .iter()
        .map(|entry| entry.name.to_string())
        .collect();
    assert_eq!(names.len(), 11);
    assert_eq!(names.last().map(String::as_str), Some("late"));
    assert!(rest.end);
}

#[test]
fn files_reach_as_far_as_off_t_does() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let last = i64::MAX as u64;
    assert_eq!(world.write(ino, last - 1, b"x").answer.errno, 0);
    assert_eq!(world.write(ino, last, b"x").answer.errno, libc::EFBIG);
    assert_eq!(world.run(truncate(ino, last + 1)).answer.errno, libc::EFBIG);
    let map = world
        .index
        .map(ino, last - 1, 10, 9)
        .expect("map")
        .expect("an inode");
    assert_eq!(
        (map.size, map.covered_to, map.pieces.len()),
        (last, last, 1)
    );
    world.check();
}

#[test]
fn set_id_bits_go_where_linux_clears_them() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let set = |permissions, uid, kill_suid| Op::SetAttr {
        ino,
        permissions,
        uid,
        gid: None,
        size: None,
        atime: None,
        mtime: None,
        ctime: None,
        kill_suid,
    };
    let permissions = |world: &World| {
        world
            .index
            .inode(ino)
            .expect("read")
            .expect("an inode")
            .permissions
    };
    world.run(set(Some(0o6755), None, false));
    world.run(set(None, Some(5), false));
    assert_eq!(permissions(&world), 0o755, "chown");
    world.run(set(Some(0o6745), None, false));
    world.run(set(None, None, true));
    assert_eq!(
        permissions(&world),
        0o2745,
        "without group execution the bit means locking"
    );
    let dir = world.create(Ino::ROOT, "d", Kind::Directory);
    world.run(Op::SetAttr {
        ino: dir,
        permissions: Some(0o2775),
        uid: None,
        gid: Some(77),
        size: None,
        atime: None,
        mtime: None,
        ctime: None,
        kill_suid: false,
    });
    for (text, kind, expected) in [("s", Kind::Directory, 0o2755), ("g", Kind::File, 0o755)] {
        let child = world.create(dir, text, kind);
        let child = world.index.inode(child).expect("read").expect("an inode");
        assert_eq!((child.gid, child.permissions), (77, expected));
    }
}

#[test]
fn extended_attributes_keep_to_their_limits() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let set = |name: String, length: usize, create, replace| Op::SetXattr {
        ino,
        name: name.into(),
        value: vec![0; length].into(),
        create,
        replace,
        keep_setgid: false,
    };
    let mut errno = |op| world.run(op).answer.errno;
    assert_eq!(
        errno(set("user.a".into(), 65_537, false, false)),
        libc::E2BIG
    );
    assert_eq!(errno(set("x".repeat(256), 1, false, false)), libc::ERANGE);
    assert_eq!(errno(set("user.a".into(), 1, false, true)), libc::ENODATA);
    assert_eq!(errno(set("user.a".into(), 1, true, false)), 0);
    assert_eq!(errno(set("user.a".into(), 1, true, false)), libc::EEXIST);
    let full = (0..99).map(|at| errno(set(format!("user.big{at}"), 65_536, false, false)));
    assert_eq!(full.filter(|errno| *errno == libc::ENOSPC).count(), 99 - 15);
    assert_eq!(
        errno(Op::RemoveXattr {
            ino,
            name: "user.none".into()
        }),
        libc::ENODATA
    );
    world.check();
    world.run(unlink(Ino::ROOT, "f", false));
    world.check();
}

#[test]
fn what_is_left_of_sparse_chunks_moves_and_nothing_else() {
    let mut world = World::new();
    let bytes = |salt: u8| -> Vec<u8> { (0..8000u32).map(|at| salt ^ (at / 7) as u8).collect() };
    let sparse = |world: &World| world.index.sparse(None, 9).expect("marks").len();
    let files = ["a", "b", "c"].map(|text| world.create(Ino::ROOT, text, Kind::File));
    for (salt, ino) in files.into_iter().enumerate() {
        world.write_chunk(ino, 0, &bytes(salt as u8));
    }
    let [a, b, c] = files;
    // A mark comes when less than seven eighths are left, and goes when they are back.
    world.write(a, 0, &[9; 1000]);
    assert_eq!(sparse(&world), 0);
    world.write(a, 1000, &[9; 600]);
    assert_eq!(sparse(&world), 1);
    world.run(Op::CopyRange {
        source: a,
        source_offset: 4000,
        target: c,
        target_offset: 20_000,
        length: 2000,
    });
    assert_eq!(sparse(&world), 0, "a shared byte counts each time");
    assert_eq!(world.run(truncate(c, 8000)).answer.errno, 0);
    world.write(b, 100, &[8; 7000]);
    assert_eq!(sparse(&world), 2);
    world.check();

    // Between the look and the swap: one range is written over, one file is gone, one is cut.
    let old = world.index.sparse(None, 9).expect("marks");
    let op = world.repack().expect("something to move");
    world.write(a, 3000, &[7; 100]);
    assert_eq!(world.run(truncate(b, 7500)).answer.errno, 0);
    let before = files.map(|ino| world.content(ino));
    let versions = files.map(|ino| {
        world
            .index
            .inode(ino)
            .expect("read")
            .expect("it")
            .content_version
    });
    assert_eq!(world.own(op.clone()).answer.errno, 0);
    assert_eq!(files.map(|ino| world.content(ino)), before);
    let after = files.map(|ino| {
        world
            .index
            .inode(ino)
            .expect("read")
            .expect("it")
            .content_version
    });
    assert_eq!(after, versions, "no cache has to hear of it");
    world.check();
    for (id, _) in &old {
        let chunk = world.index.chunk(*id).expect("read").expect("a chunk");
        assert_eq!(chunk.references, 0, "it can be given back");
    }
    world.drop_garbage();
    assert_eq!(files.map(|ino| world.content(ino)), before);

    // The same again finds nothing that it could move, and takes nothing that is not there any more.
    assert_eq!(world.own(op).answer.errno, 0);
    assert_eq!(files.map(|ino| world.content(ino)), before);
    world.check();
    world.check_replay(world.log.len() / 2);
}

#[test]
fn an_access_time_alone_is_told_apart_from_a_change_that_somebody_made() {
    let mut world = World::new();
    let ino = world.create(Ino::ROOT, "f", Kind::File);
    let ctime = world
        .index
        .inode(ino)
        .expect("read")
        .expect("an inode")
        .ctime;
    let set = |atime, ctime| Op::SetAttr {
        ino,
        permissions: None,
        uid: None,
        gid: None,
        size: None,
        atime: Some(atime),
        mtime: None,
        ctime,
        kill_suid: false,
    };
    let later = SetTime::At(Timestamp {
        seconds: ctime.seconds + 5,
        ..ctime
    });
    let kept = world.run(set(later, Some(SetTime::At(ctime))));
    assert_eq!(kept.effects, [Effect::AccessTime { ino }]);
    let made = world.run(set(SetTime::Now, None));
    assert_eq!(made.effects, [Effect::Attr { ino }]);
}
