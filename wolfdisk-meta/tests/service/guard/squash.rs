//! A member on whose machine root is nobody here.

use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::publish::Content;
use wolfdisk_proto::v1::{self, MetaService};

use super::{Asker, World, ask, create, directory, file, link, rename, squashed, text, unlink};

const NOBODY: u32 = 65534;
const DENIED: Failure = Failure::Errno(libc::EACCES);

/// What local root makes, then the member.
fn world(make: impl FnOnce(&World, &Asker)) -> (World, Asker) {
    let world = World::new();
    let local = world.local();
    make(&world, &local);
    world.close(local);
    let member = world.client(7, squashed());
    (world, member)
}

fn chmod(ino: u64, mode: u32) -> Op {
    Op::Setattr(v1::SetAttr {
        ino,
        mode: Some(mode),
        ..Default::default()
    })
}

fn chown(ino: u64, uid: u32) -> Op {
    Op::Setattr(v1::SetAttr {
        ino,
        uid: Some(uid),
        ..Default::default()
    })
}

fn set_xattr(ino: u64, name: &str) -> Op {
    Op::Setxattr(v1::SetXattr {
        ino,
        name: text(name),
        value: text("value"),
        ..Default::default()
    })
}

#[test]
fn of_roots_files_it_may_do_what_the_bits_for_others_say() {
    let (mut inos, mut shared) = ([0; 3], 0);
    let (world, member) = world(|world, local| {
        shared = world.make(local, directory(1, "shared", 0o777, 0));
        let modes = [0o600, 0o644, 0o666];
        for (ino, mode) in inos.iter_mut().zip(modes) {
            *ino = world.make(local, file(1, &format!("{mode:o}"), mode, 0));
        }
    });
    let [hidden, read, written] = inos;
    assert!(
        world.attr(&member, hidden).is_ok(),
        "names and attributes are not hidden"
    );
    assert_eq!(world.open(&member, hidden, false).map(drop), Err(DENIED));
    assert_eq!(world.map(&member, hidden).map(drop), Err(DENIED));
    assert!(world.open(&member, read, false).is_ok());
    assert_eq!(world.open(&member, read, true).map(drop), Err(DENIED));
    let errno = |op| world.errno(&member, op);
    for ino in [hidden, read] {
        assert_eq!(errno(crate::daemon::write(ino, 0, b"no")), libc::EACCES);
        assert_eq!(errno(crate::daemon::truncate(ino, 0)), libc::EACCES);
        assert_eq!(errno(set_xattr(ino, "user.a")), libc::EACCES);
        assert_eq!(errno(link(ino, shared, "linked")), libc::EPERM);
    }
    assert_eq!(errno(crate::daemon::write(written, 0, b"yes")), 0);
    for ino in inos {
        assert_eq!(errno(chmod(ino, 0o4777)), libc::EPERM);
        assert_eq!(errno(chown(ino, 1000)), libc::EPERM);
        assert_eq!(
            errno(set_xattr(ino, "system.posix_acl_access")),
            libc::EPERM
        );
    }
}

#[test]
fn a_group_counts_unless_it_is_roots_and_an_access_list_counts_by_its_mask() {
    let (mut roots, mut users, mut listed) = (0, 0, 0);
    let (world, member) = world(|world, local| {
        roots = world.make(local, file(1, "roots", 0o660, 0));
        let of_group = v1::Create {
            gid: 100,
            ..file(1, "users", 0o660, 0)
        };
        users = world.make(local, of_group);
        listed = world.make(local, file(1, "listed", 0o600, 0));
        let none = u32::MAX;
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 6, none),
            (0x02, 6, 1000),
            (0x04, 0, none),
            (0x10, 4, none),
            (0x20, 0, none),
        ];
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(bits.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        let acl = Op::Setxattr(v1::SetXattr {
            ino: listed,
            name: text("system.posix_acl_access"),
            value: value.into(),
            ..Default::default()
        });
        assert_eq!(world.errno(local, acl), 0);
    });
    let may = |ino, write| world.open(&member, ino, write).is_ok();
    assert!(!may(roots, false) && !may(roots, true));
    assert!(may(users, false) && may(users, true));
    assert!(may(listed, false) && !may(listed, true), "the mask bounds");
}

#[test]
fn roots_directories_let_it_in_and_change_by_their_bits() {
    let (mut closed, mut below, mut open, mut sticky, mut plain) = (0, 0, 0, 0, 0);
    let (world, member) = world(|world, local| {
        closed = world.make(local, directory(1, "closed", 0o700, 0));
        let between = world.make(local, directory(closed, "between", 0o755, 0));
        below = world.make(local, file(between, "below", 0o666, 0));
        open = world.make(local, directory(1, "open", 0o777, 0));
        world.make(local, file(open, "roots", 0o644, 0));
        sticky = world.make(local, directory(1, "sticky", 0o1777, 0));
        world.make(local, file(sticky, "roots", 0o644, 0));
        world.make(local, file(sticky, "users", 0o644, 1000));
        plain = world.make(local, directory(1, "plain", 0o755, 0));
        world.make(local, file(plain, "roots", 0o644, 0));
        world.make(local, directory(open, "fixed", 0o755, 0));
    });
    // By number too, below a directory that is closed.
    assert_eq!(world.attr(&member, below).map(drop), Err(DENIED));
    assert_eq!(world.map(&member, below).map(drop), Err(DENIED));
    assert_eq!(
        world.lookup(&member, closed, "between").map(drop),
        Err(DENIED)
    );
    assert_eq!(world.list_keys(&member, closed).map(drop), Err(DENIED));
    let errno = |op| world.errno(&member, op);
    let new = |parent| Op::Create(file(parent, "new", 0o644, 1000));
    assert_eq!(errno(new(plain)), libc::EACCES);
    assert_eq!(errno(unlink(plain, "roots")), libc::EACCES);
    assert_eq!(errno(rename(plain, "roots", open, "moved")), libc::EACCES);
    assert_eq!(errno(unlink(sticky, "roots")), libc::EPERM);
    assert_eq!(errno(unlink(sticky, "users")), 0);
    assert_eq!(errno(rename(open, "fixed", sticky, "fixed")), libc::EACCES);
    assert_eq!(errno(rename(open, "fixed", open, "renamed")), 0);
    assert_eq!(errno(unlink(open, "roots")), 0);
    assert_eq!(errno(new(open)), 0);
}

#[test]
fn nothing_that_it_makes_is_roots() {
    let mut shared = 0;
    let (world, member) = world(|world, local| {
        shared = world.make(local, directory(1, "shared", 0o2777, 0));
    });
    let owner = |reply: &v1::MutateReply| {
        let attr = reply.attrs.first().expect("attributes");
        (attr.ino, attr.mode & 0o7777, attr.uid, attr.gid)
    };
    let made = world.mutate(&member, Op::Create(file(shared, "program", 0o6755, 0)));
    let (ino, mode, uid, gid) = owner(&made);
    assert_eq!(
        (mode, uid, gid),
        (0o4755, NOBODY, 0),
        "the directory gives its group, without the right of it"
    );
    assert_eq!(world.errno(&member, chown(ino, 0)), libc::EPERM);
    let set = world.mutate(&member, chmod(ino, 0o6755));
    assert_eq!(owner(&set).1, 0o4755);
    for name in ["security.capability", "trusted.a"] {
        assert_eq!(world.errno(&member, set_xattr(ino, name)), libc::EPERM);
    }
    let device = Op::Create(create(shared, "sda", libc::S_IFBLK | 0o666, 1000));
    assert_eq!(world.errno(&member, device), libc::EPERM);
    let publish = Op::Publish(v1::Publish {
        root: shared,
        key: text("a/b"),
        content: Some(Content::Data(text("data"))),
        mode: 0o644,
        directory_mode: 0o755,
        ..Default::default()
    });
    let published = world.mutate(&member, publish);
    let attr = published
        .object
        .and_then(|object| object.attr)
        .expect("made");
    assert_eq!(attr.uid, NOBODY);
    let stage = Op::Stage(v1::Stage {
        root: shared,
        mode: 0o600,
        ..Default::default()
    });
    let staged = world.mutate(&member, stage);
    let (_, _, uid, gid) = owner(&staged);
    assert_eq!((uid, gid), (NOBODY, NOBODY));
}

#[test]
fn a_program_of_roots_is_none_any_more_when_it_has_written_to_it() {
    let (mut program, mut shared) = (0, 0);
    let (world, member) = world(|world, local| {
        program = world.make(local, file(1, "program", 0o4777, 0));
        shared = world.make(local, directory(1, "shared", 0o777, 0));
        world.make(local, file(shared, "kept", 0o600, 0));
    });
    let allocate = Op::Fallocate(v1::Fallocate {
        ino: program,
        length: 4096,
        ..Default::default()
    });
    assert_eq!(world.errno(&member, allocate), libc::EPERM);
    assert_eq!(
        world.errno(&member, link(program, shared, "linked")),
        libc::EPERM
    );
    assert_eq!(
        world.errno(&member, crate::daemon::write(program, 0, b"own")),
        0
    );
    let attr = world.attr(&member, program).expect("attributes");
    assert_eq!(attr.mode & 0o7777, 0o777);
    // What it may unlink, and then holds, does not become its own by a new name.
    let kept = world.lookup(&member, shared, "kept").expect("an answer");
    let ino = kept.attr.expect("found").ino;
    let request = v1::MutateRequest {
        keep_open: true,
        ..member.request(unlink(shared, "kept"))
    };
    assert!(world.send(&member, request).removed);
    assert_eq!(world.map(&member, ino).map(drop), Err(DENIED));
    let publish = Op::Publish(v1::Publish {
        root: shared,
        key: text("own"),
        content: Some(Content::Staged(ino)),
        mode: 0o644,
        uid: 1000,
        ..Default::default()
    });
    assert_eq!(world.errno(&member, publish), libc::EPERM);
}

#[test]
fn what_is_hidden_is_in_no_listing() {
    let (mut listed, mut ino) = (0, 0);
    let (world, member) = world(|world, local| {
        world.make(local, file(1, "a", 0o600, 0));
        let closed = world.make(local, directory(1, "closed", 0o700, 0));
        world.make(local, file(closed, "hidden", 0o644, 0));
        listed = world.make(local, directory(1, "listed", 0o744, 0));
        world.make(local, file(listed, "name", 0o644, 0));
        ino = world.make(local, file(1, "x", 0o600, 0));
        for name in ["user.a", "trusted.b"] {
            assert_eq!(world.errno(local, set_xattr(ino, name)), 0);
        }
    });
    assert_eq!(world.list_keys(&member, 1).expect("keys"), ["a", "x"]);
    let request = v1::ListKeysRequest {
        session: member.session,
        root: 1,
        prefix: text("closed/"),
        max: 10,
        ..Default::default()
    };
    let keys = ask!(world, member, list_keys, request).expect("keys");
    assert_eq!(keys.entries, []);
    let request = v1::ReadDirRequest {
        session: member.session,
        ino: listed,
        max_entries: 10,
        attributes: true,
        ..Default::default()
    };
    let names = ask!(world, member, read_dir, request)
        .expect("names")
        .entries;
    assert_eq!(names.len(), 1);
    assert!(
        names.iter().all(|entry| entry.attr.is_none()),
        "without search there is no more"
    );
    let session = member.session;
    let list = ask!(
        world,
        member,
        list_xattr,
        v1::ListXattrRequest { session, ino }
    );
    let list = list.expect("a list").xattrs;
    let shown: Vec<_> = list
        .iter()
        .map(|xattr| (&xattr.name[..], xattr.value.is_empty()))
        .collect();
    assert_eq!(shown, [(&b"user.a"[..], true)]);
    for (name, errno) in [("user.a", libc::EACCES), ("trusted.b", libc::ENODATA)] {
        let name = text(name);
        let value = ask!(
            world,
            member,
            get_xattr,
            v1::GetXattrRequest { session, ino, name }
        );
        assert_eq!(value.map(drop), Err(Failure::Errno(errno)));
    }
}
