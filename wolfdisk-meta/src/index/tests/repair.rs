//! Every kind of inconsistency that can be put into the records is found, and what can be put right without
//! guessing is, by mutations like any other.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, SessionId, Version};

use super::harness::{GENESIS, Plain, World, name, unlink};
use crate::index::Index;
use crate::index::codec::{Wire, decode, encode};
use crate::index::invariants::{Breach, Finding, Plan, Report, inspect};
use crate::index::key::{self, Key};
use crate::index::op::{Kind, LockMode, Op};
use crate::index::record::{
    Chunk, Cookie, Counters, Dirent, Inode, Link, Orphan, Undestaged, Usage,
};
use crate::index::records::{Read, Records};

struct All(Vec<Finding>);

impl Report for All {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    fn visited(&mut self) -> bool {
        true
    }
}

fn look(records: &Plain) -> (Vec<Finding>, Plan) {
    let mut all = All(Vec::new());
    let inspected = inspect(records, &mut all).expect("readable");
    (all.0, inspected.plan)
}

/// A volume with one of everything.
fn world() -> World {
    let mut world = World::new();
    let directory = world.create(Ino::ROOT, "directory", Kind::Directory);
    for number in 0..5 {
        let ino = world.create(directory, &format!("file{number}"), Kind::File);
        world.write(ino, 0, &[number as u8; 5000]);
        world.write_chunk(ino, 100_000, &[number as u8 + 1; 9000]);
    }
    world.create(directory, "below", Kind::Directory);
    let linked = world.create(Ino::ROOT, "linked", Kind::File);
    let link = Op::Link {
        ino: linked,
        parent: directory,
        name: name("other name"),
    };
    assert_eq!(world.run(link).answer.errno, 0);
    let set = Op::SetXattr {
        ino: linked,
        name: Bytes::from_static(b"user.x"),
        value: Bytes::from_static(b"value"),
        create: false,
        replace: false,
        keep_setgid: false,
    };
    assert_eq!(world.run(set).answer.errno, 0);
    let lock = Op::SetLock {
        ino: linked,
        owner: 1,
        mode: LockMode::Write,
        start: 0,
        end: 9,
        pid: 1,
    };
    assert_eq!(world.run(lock).answer.errno, 0);
    let gone = world.create(Ino::ROOT, "open", Kind::File);
    world.write(gone, 0, b"held");
    let Op::Unlink {
        parent,
        name,
        directory,
        openers,
        ..
    } = unlink(Ino::ROOT, "open", false)
    else {
        panic!("an unlink")
    };
    let keep_open = true;
    let removed = world.run(Op::Unlink {
        parent,
        name,
        directory,
        keep_open,
        openers,
    });
    assert_eq!(removed.answer.errno, 0);
    world.check();
    world
}

fn ino_of(world: &World, path: &str) -> Ino {
    let mut at = Ino::ROOT;
    for part in path.split('/') {
        let key = Key::Dirent {
            parent: at,
            name: Bytes::copy_from_slice(part.as_bytes()),
        };
        let dirent: Dirent = Read::load(world.index.records(), &key)
            .expect("read")
            .expect("a name");
        at = dirent.ino;
    }
    at
}

fn change<T: Wire>(records: &mut Plain, key: &Key, change: impl FnOnce(&mut T)) {
    let key = key.encode();
    let value = Records::get(records, &key)
        .expect("read")
        .expect("a record");
    let mut record: T = decode(value).expect("a record");
    change(&mut record);
    records.set(key, Some(encode(&record)));
}

fn first(records: &Plain, range: &key::KeyRange) -> Key {
    let keys = Read::keys(records, range, 1).expect("keys");
    keys.into_iter().next().expect("a key")
}

/// Changes the records behind the index's back.
fn tamper(world: &mut World, change: impl FnOnce(&World, &mut Plain)) {
    let mut records = world.index.records().clone();
    change(world, &mut records);
    assert_ne!(&records, world.index.records(), "nothing was changed");
    world.index = Index::open(records, &GENESIS).expect("an index");
}

type Tamper = fn(&World, &mut Plain);

/// What can be put right: a name, and how it is put wrong.
fn repairable() -> Vec<(&'static str, Tamper)> {
    vec![
        ("nlink", |world, records| {
            let ino = ino_of(world, "linked");
            change::<Inode>(records, &Key::Inode { ino }, |inode| inode.nlink = 5);
        }),
        ("nlink of a directory", |world, records| {
            let ino = ino_of(world, "directory");
            change::<Inode>(records, &Key::Inode { ino }, |inode| inode.nlink = 2);
        }),
        ("entries", |world, records| {
            let ino = ino_of(world, "directory");
            change::<Inode>(records, &Key::Inode { ino }, |inode| inode.entries = 1);
        }),
        ("entries of an empty one", |world, records| {
            let ino = ino_of(world, "directory/below");
            change::<Inode>(records, &Key::Inode { ino }, |inode| inode.entries = 7);
        }),
        ("allocated and attributes at once", |world, records| {
            let ino = ino_of(world, "linked");
            change::<Inode>(records, &Key::Inode { ino }, |inode| {
                inode.allocated = 4096;
                inode.xattr_bytes = 1;
                inode.xattr_count = 3;
            });
        }),
        ("place", |world, records| {
            let ino = ino_of(world, "directory/file1");
            change::<Inode>(records, &Key::Inode { ino }, |inode| {
                inode.parent = Ino::ROOT;
            });
        }),
        ("next cookie", |world, records| {
            let ino = ino_of(world, "directory");
            change::<Inode>(records, &Key::Inode { ino }, |inode| inode.next_cookie = 3);
        }),
        ("a cookie is missing", |world, records| {
            let ino = ino_of(world, "directory");
            let cookie = first(records, &key::cookies(ino, 0));
            records.set(cookie.encode(), None);
        }),
        ("a cookie too many", |world, records| {
            let parent = ino_of(world, "directory");
            let stray = Cookie {
                stamp: Version(1),
                ino: parent,
                kind: Kind::File,
                name: name("stray"),
            };
            let cookie = 1000;
            let key = Key::Cookie { parent, cookie };
            records.set(key.encode(), Some(encode(&stray)));
        }),
        ("a cookie that leads elsewhere", |world, records| {
            let ino = ino_of(world, "directory");
            let cookie = first(records, &key::cookies(ino, 0));
            change::<Cookie>(records, &cookie, |cookie| cookie.name = name("elsewhere"));
        }),
        ("kind in a name", |_, records| {
            let key = Key::Dirent {
                parent: Ino::ROOT,
                name: Bytes::from_static(b"linked"),
            };
            change::<Dirent>(records, &key, |dirent| dirent.kind = Kind::Symlink);
        }),
        ("a link record is missing", |world, records| {
            let ino = ino_of(world, "linked");
            let link = first(records, &key::links(ino));
            records.set(link.encode(), None);
        }),
        ("all link records are missing", |world, records| {
            let ino = ino_of(world, "linked");
            for link in Read::keys(records, &key::links(ino), 9).expect("keys") {
                records.set(link.encode(), None);
            }
        }),
        ("a link record too many", |world, records| {
            let ino = ino_of(world, "directory/file0");
            let key = Key::Link {
                ino,
                parent: Ino::ROOT,
                name: Bytes::from_static(b"no"),
            };
            let stamp = Version(1);
            records.set(key.encode(), Some(encode(&Link { stamp })));
        }),
        ("references", |_, records| {
            let chunk = first(records, &key::chunks());
            change::<Chunk>(records, &chunk, |chunk| {
                chunk.references = 9;
                chunk.live_bytes = 1;
            });
        }),
        (
            "a chunk that is used and marked as garbage",
            |_, records| {
                let chunk = first(records, &key::chunks());
                let Key::Chunk { id } = chunk else {
                    panic!("a chunk")
                };
                change::<Chunk>(records, &chunk, |chunk| chunk.references = 0);
                let stamp = Version(1);
                let mark = crate::index::record::Garbage { stamp };
                records.set(Key::Garbage { id }.encode(), Some(encode(&mark)));
                change::<Counters>(records, &Key::Counters, |counters| counters.garbage += 1);
            },
        ),
        ("the mark of no chunk", |_, records| {
            let id = wolfdisk_common::ids::ChunkId([7; 32]);
            let stamp = Version(1);
            let mark = crate::index::record::Garbage { stamp };
            records.set(Key::Garbage { id }.encode(), Some(encode(&mark)));
        }),
        ("counters", |_, records| {
            change::<Counters>(records, &Key::Counters, |counters| {
                counters.chunks += 3;
                counters.garbage += 1;
                counters.undestaged_bytes -= 2;
            });
        }),
        ("the next inode", |_, records| {
            change::<Counters>(records, &Key::Counters, |counters| {
                counters.next_ino = Ino(3);
            });
        }),
        ("usage", |_, records| {
            change::<Usage>(records, &Key::Usage { project: 0 }, |usage| {
                usage.bytes += 7;
                usage.inodes -= 1;
            });
        }),
        ("usage of no project", |_, records| {
            let usage = Usage {
                stamp: Version(1),
                bytes: 5,
                inodes: 5,
            };
            records.set(Key::Usage { project: 4 }.encode(), Some(encode(&usage)));
        }),
        ("content in the log is not listed", |_, records| {
            let listed = first(records, &key::undestaged());
            records.set(listed.encode(), None);
        }),
        (
            "the list of content in the log has too much",
            |_, records| {
                let listed = first(records, &key::undestaged());
                let Key::Undestaged { log_index, ino, .. } = listed else {
                    panic!("a piece")
                };
                let key = Key::Undestaged {
                    log_index,
                    log_offset: 77_777,
                    ino,
                    end: 1_000_000,
                };
                let record = Undestaged {
                    stamp: Version(1),
                    length: 5,
                };
                records.set(key.encode(), Some(encode(&record)));
            },
        ),
        ("a lock is not listed", |world, records| {
            let session = world.session;
            let list = first(records, &key::session_locks(session));
            records.set(list.encode(), None);
        }),
        ("an open inode is not listed", |world, records| {
            let session = world.session;
            let list = first(records, &key::session_orphans(session));
            records.set(list.encode(), None);
        }),
        ("the list of open inodes has too much", |world, records| {
            let (session, ino) = (world.session, ino_of(world, "linked"));
            let stamp = Version(1);
            let key = Key::SessionOrphan { session, ino };
            records.set(key.encode(), Some(encode(&Orphan { stamp })));
        }),
        (
            "an inode with names is held as an orphan",
            |world, records| {
                let (session, ino) = (world.session, ino_of(world, "linked"));
                let stamp = Version(1);
                for key in [
                    Key::Orphan { ino, session },
                    Key::SessionOrphan { session, ino },
                ] {
                    records.set(key.encode(), Some(encode(&Orphan { stamp })));
                }
            },
        ),
        ("a session that is closed has something", |_, records| {
            let sessions = Read::keys(records, &key::sessions(), 9).expect("keys");
            let first = sessions.into_iter().next().expect("a session");
            records.set(first.encode(), None);
        }),
    ]
}

/// Repairs until there is nothing to repair: what one repair brings to light the next one does.
fn repair(world: &mut World, what: &str) {
    for _ in 0..3 {
        let (findings, plan) = look(world.index.records());
        if findings.is_empty() {
            return;
        }
        let hopeless: Vec<_> = findings
            .iter()
            .filter(|found| found.fix.is_none())
            .collect();
        assert!(hopeless.is_empty(), "{what}: {hopeless:?}");
        let mutations = plan.mutations(world.index.records()).expect("readable");
        for (_, op) in mutations {
            assert_eq!(world.own(op.clone()).answer.errno, 0, "{what}: {op:?}");
        }
        for ino in world.index.reaping(9).expect("queue") {
            world.own(Op::Reap { ino, extents: 999 });
        }
    }
    let (findings, _) = look(world.index.records());
    assert_eq!(findings, Vec::new(), "{what} was not put right");
}

#[test]
fn what_is_counted_or_stands_twice_is_put_right() {
    for (what, put_wrong) in repairable() {
        let mut world = world();
        let content = world.content(ino_of(&world, "directory/file3"));
        tamper(&mut world, put_wrong);
        let (findings, _) = look(world.index.records());
        assert!(!findings.is_empty(), "{what} was not found");
        repair(&mut world, what);
        assert_eq!(world.content(ino_of(&world, "directory/file3")), content);
    }
}

#[test]
fn everything_wrong_at_once_is_put_right() {
    let mut world = world();
    for (what, put_wrong) in repairable() {
        // This one removes what others need.
        if what != "a session that is closed has something" {
            let mut records = world.index.records().clone();
            put_wrong(&world, &mut records);
            world.index = Index::open(records, &GENESIS).expect("an index");
        }
    }
    repair(&mut world, "everything");
}

#[test]
fn a_repair_of_what_has_changed_since_does_nothing() {
    let mut world = world();
    let ino = ino_of(&world, "directory/file2");
    tamper(&mut world, |_, records| {
        change::<Inode>(records, &Key::Inode { ino }, |inode| inode.allocated = 1);
    });
    let (_, plan) = look(world.index.records());
    let mutations = plan.mutations(world.index.records()).expect("readable");
    world.write(ino, 3, b"later");
    let before = world.index.records().clone();
    for (_, op) in mutations {
        assert_eq!(world.own(op).answer.errno, libc::EAGAIN);
    }
    assert_eq!(&before, world.index.records());
    repair(&mut world, "allocated");
}

#[test]
fn what_only_guessing_could_put_right_is_reported_and_left() {
    type Case = (&'static str, Tamper);
    let cases: Vec<Case> = vec![
        ("an inode is missing", |world, records| {
            let ino = ino_of(world, "directory/file4");
            records.set(Key::Inode { ino }.encode(), None);
        }),
        ("a name is missing", |world, records| {
            let parent = ino_of(world, "directory");
            let name = Bytes::from_static(b"file4");
            records.set(Key::Dirent { parent, name }.encode(), None);
        }),
        ("a chunk is missing", |_, records| {
            let chunk = first(records, &key::chunks());
            records.set(chunk.encode(), None);
        }),
        ("a record is no record", |world, records| {
            let ino = ino_of(world, "directory/file4");
            records.set(
                Key::Inode { ino }.encode(),
                Some(Bytes::from_static(b"\xff\xff")),
            );
        }),
    ];
    for (what, put_wrong) in cases {
        let mut world = world();
        tamper(&mut world, put_wrong);
        let (findings, _) = look(world.index.records());
        assert!(
            findings.iter().any(|found| found.fix.is_none()),
            "{what}: {findings:?}"
        );
    }
}

#[test]
fn a_damaged_record_is_named_and_the_rest_is_looked_at() {
    let mut world = world();
    let (one, other) = (ino_of(&world, "directory/file0"), ino_of(&world, "linked"));
    tamper(&mut world, |_, records| {
        records.set(Key::Inode { ino: one }.encode(), Some(Bytes::new()));
        change::<Inode>(records, &Key::Inode { ino: other }, |inode| inode.nlink = 9);
    });
    let (findings, _) = look(world.index.records());
    let key = Key::Inode { ino: one }.encode();
    let named = |breach: &Breach| matches!(breach, Breach::Record { key: at, .. } if **at == *key);
    assert!(findings.iter().any(|found| named(&found.breach)));
    assert!(
        findings
            .iter()
            .any(|found| found.breach.ino() == Some(other) && found.fix.is_some())
    );
}

#[test]
fn a_session_is_no_session_by_its_number_alone() {
    let mut world = world();
    tamper(&mut world, |_, records| {
        let stray = Key::Orphan {
            ino: Ino::ROOT,
            session: SessionId(999),
        };
        let stamp = Version(1);
        records.set(stray.encode(), Some(encode(&Orphan { stamp })));
    });
    repair(&mut world, "an orphan of a session that never was");
}
