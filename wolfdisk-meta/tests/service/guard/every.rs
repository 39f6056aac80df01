//! Every method and every mutation that names an inode, for tables of what is refused.

use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::publish::Content;
use wolfdisk_proto::v1::{self, MetaService};

use super::{
    Asker, Failure, World, ask, file, halves, link, only, read_only, rename, text, unlink,
};

/// How many kinds of mutations there are.
const OPS: usize = 17;

/// The kind of a mutation: one that is missing here does not compile.
fn kind(op: &Op) -> usize {
    match op {
        Op::Create(_) => 0,
        Op::Link(_) => 1,
        Op::Unlink(_) => 2,
        Op::Rename(_) => 3,
        Op::Setattr(_) => 4,
        Op::Setxattr(_) => 5,
        Op::Removexattr(_) => 6,
        Op::Write(_) => 7,
        Op::Append(_) => 8,
        Op::Fallocate(_) => 9,
        Op::CopyRange(_) => 10,
        Op::Lock(_) => 11,
        Op::MakeSystemRoot(_) => 12,
        Op::Stage(_) => 13,
        Op::Publish(_) => 14,
        Op::SetObject(_) => 15,
        Op::RemoveObject(_) => OPS - 1,
    }
}

/// A directory with a file of this name in it.
struct Place {
    directory: u64,
    name: &'static str,
    file: u64,
}

/// Every mutation that does something with a place, and where it does something with two, with `own` too.
fn mutations(at: &Place, own: &Place) -> Vec<Op> {
    let Place {
        directory,
        name,
        file: ino,
    } = *at;
    let copy = |source, target| {
        Op::CopyRange(v1::CopyRange {
            source,
            target,
            length: 4,
            ..Default::default()
        })
    };
    let publish = |root, content| {
        Op::Publish(v1::Publish {
            root,
            key: text("key"),
            content: Some(content),
            ..Default::default()
        })
    };
    let ops = vec![
        Op::Create(file(directory, "new", 0o644, 1000)),
        link(ino, own.directory, "link"),
        link(own.file, directory, "link"),
        unlink(directory, name),
        rename(directory, name, own.directory, "moved"),
        rename(own.directory, own.name, directory, "moved"),
        Op::Setattr(v1::SetAttr {
            ino,
            mode: Some(0o600),
            ..Default::default()
        }),
        Op::Setxattr(v1::SetXattr {
            ino,
            name: text("user.a"),
            value: text("b"),
            ..Default::default()
        }),
        Op::Removexattr(v1::RemoveXattr {
            ino,
            name: text("user.a"),
        }),
        crate::daemon::write(ino, 0, b"other"),
        Op::Append(v1::Append {
            ino,
            data: text("more"),
            kill_suid: false,
        }),
        Op::Fallocate(v1::Fallocate {
            ino,
            length: 4096,
            ..Default::default()
        }),
        copy(ino, own.file),
        copy(own.file, ino),
        crate::daemon::lock(ino, 1, v1::set_lock::Type::Read, 0),
        Op::MakeSystemRoot(v1::MakeSystemRoot {}),
        Op::Stage(v1::Stage {
            root: directory,
            ..Default::default()
        }),
        publish(directory, Content::Data(text("data"))),
        publish(own.directory, Content::Staged(ino)),
        Op::SetObject(v1::SetObject {
            ino,
            s3: Some(text("s3")),
            ..Default::default()
        }),
        Op::RemoveObject(v1::RemoveObject {
            root: directory,
            key: text(name),
            expected: None,
        }),
    ];
    let kinds: std::collections::BTreeSet<usize> = ops.iter().map(kind).collect();
    assert_eq!(kinds.len(), OPS, "each kind is tried");
    ops
}

/// What each read of a place answers.
fn reads(world: &World, who: &Asker, at: &Place) -> Vec<(&'static str, Result<(), Failure>)> {
    let (session, ino) = (who.session, at.file);
    let name = text("user.a");
    let key = text(at.name);
    let lock = Some(v1::SetLock {
        ino,
        end: u64::MAX,
        ..Default::default()
    });
    let read_dir = v1::ReadDirRequest {
        session,
        ino: at.directory,
        max_entries: 10,
        attributes: true,
        ..Default::default()
    };
    let object = |open| v1::LookupObjectRequest {
        session,
        root: at.directory,
        key: key.clone(),
        open,
        number: 1,
    };
    let list = v1::ListXattrRequest { session, ino };
    let get = v1::GetXattrRequest { session, ino, name };
    let get_lock = v1::GetLockRequest { session, lock };
    vec![
        ("lookup", world.lookup(who, at.directory, at.name).map(drop)),
        ("get_attr", world.attr(who, ino).map(drop)),
        ("open", world.open(who, ino, false).map(drop)),
        ("map", world.map(who, ino).map(drop)),
        ("read_dir", ask!(world, who, read_dir, read_dir).map(drop)),
        ("list_xattr", ask!(world, who, list_xattr, list).map(drop)),
        ("get_xattr", ask!(world, who, get_xattr, get).map(drop)),
        ("get_lock", ask!(world, who, get_lock, get_lock).map(drop)),
        (
            "lookup_object",
            ask!(world, who, lookup_object, object(false)).map(drop),
        ),
        (
            "open_object",
            ask!(world, who, lookup_object, object(true)).map(drop),
        ),
        ("list_keys", world.list_keys(who, at.directory).map(drop)),
    ]
}

fn session_calls(world: &World, who: &Asker) -> Vec<(&'static str, Result<(), Failure>)> {
    let session = who.session;
    let feed = v1::FeedRequest {
        session,
        ..Default::default()
    };
    let stat = v1::StatFsRequest { session, ino: 1 };
    let (sync, close) = (
        v1::SyncRequest {
            session,
            version: 0,
        },
        v1::CloseSessionRequest { session },
    );
    vec![
        ("feed", ask!(world, who, feed, feed).map(drop)),
        ("stat_fs", ask!(world, who, stat_fs, stat).map(drop)),
        ("sync", ask!(world, who, sync, sync).map(drop)),
        (
            "close_session",
            ask!(world, who, close_session, close).map(drop),
        ),
    ]
}

#[test]
fn a_member_with_a_part_of_the_volume_can_name_nothing_beside_it() {
    let halves = halves();
    let world = &halves.world;
    let member = world.client(7, only(halves.inside));
    assert_eq!(member.root, halves.inside);
    let own = Place {
        directory: halves.inside,
        name: "file",
        file: halves.file,
    };
    let beside = Place {
        directory: halves.outside,
        name: "secret",
        file: halves.secret,
    };
    let missing = Place {
        directory: 1 << 40,
        name: "secret",
        file: (1 << 40) + 1,
    };
    let above = Place {
        directory: 1,
        name: "in",
        file: 1,
    };
    for place in [&beside, &missing, &above] {
        for (method, answer) in reads(world, &member, place) {
            assert_eq!(answer, Err(Failure::Errno(libc::ESTALE)), "{method}");
        }
        let open = world.open(&member, place.file, true).map(drop);
        assert_eq!(open, Err(Failure::Errno(libc::ESTALE)));
        for op in mutations(place, &own) {
            let errno = match op {
                Op::MakeSystemRoot(_) => libc::EPERM,
                _ => libc::ESTALE,
            };
            assert_eq!(world.errno(&member, op.clone()), errno, "{op:?}");
        }
    }
    // What it has is all there.
    for (method, answer) in reads(world, &member, &own) {
        let expected = match method {
            "get_xattr" => Err(Failure::Errno(libc::ENODATA)),
            _ => Ok(()),
        };
        assert_eq!(answer, expected, "{method}");
    }
    assert_eq!(world.errno(&member, unlink(halves.inside, "file")), 0);
}

#[test]
fn a_member_that_may_only_read_changes_nothing_by_any_mutation() {
    let halves = halves();
    let world = &halves.world;
    let member = world.client(7, read_only());
    let place = Place {
        directory: halves.inside,
        name: "file",
        file: halves.file,
    };
    let before = world.attr(&member, halves.file).expect("attributes");
    for op in mutations(&place, &place) {
        let errno = match op {
            Op::Lock(_) => 0,
            _ => libc::EROFS,
        };
        assert_eq!(world.errno(&member, op.clone()), errno, "{op:?}");
    }
    let open = world.open(&member, halves.file, true).map(drop);
    assert_eq!(open, Err(Failure::Errno(libc::EROFS)));
    let room = ask!(world, member, make_room, v1::MakeRoomRequest::default()).map(drop);
    assert_eq!(room, Err(Failure::Errno(libc::EROFS)));
    assert_eq!(world.attr(&member, halves.file), Ok(before));
    let names = world.list_keys(&member, halves.inside).expect("keys");
    assert_eq!(names, ["file", "sub/", "sub/deep"]);
}

#[test]
fn nobody_uses_the_session_of_another() {
    let halves = halves();
    let world = &halves.world;
    let whole = Default::default;
    let local = world.local();
    let (one, two) = (world.client(7, whole()), world.client(8, whole()));
    let place = Place {
        directory: halves.inside,
        name: "file",
        file: halves.file,
    };
    let strangers = [
        one.naming(&two),
        one.naming(&local),
        local.naming(&one),
        two.naming(&one),
    ];
    for stranger in strangers {
        let mut answers = reads(world, &stranger, &place);
        answers.extend(session_calls(world, &stranger));
        for (method, answer) in answers {
            assert_eq!(answer, Err(Failure::StaleSession), "{method}");
        }
        for op in mutations(&place, &place) {
            let answer = ask!(world, stranger, mutate, stranger.request(op)).map(drop);
            assert_eq!(answer, Err(Failure::StaleSession));
        }
    }
    for own in [&local, &one, &two] {
        assert!(
            world.attr(own, halves.file).is_ok(),
            "its own is still there"
        );
    }
}
