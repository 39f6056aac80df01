//! A member that has one directory: where that begins and ends.

use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{self, MetaService};

use super::{Asker, World, ask, file, halves, link, only, rename, text, unlink};

const STALE: Failure = Failure::Errno(libc::ESTALE);

fn read_dir(world: &World, who: &Asker, ino: u64) -> v1::ReadDirReply {
    let request = v1::ReadDirRequest {
        session: who.session,
        ino,
        max_entries: 10,
        attributes: true,
        ..Default::default()
    };
    ask!(world, who, read_dir, request).expect("a listing")
}

fn rmdir(parent: u64, name: &str) -> Op {
    Op::Unlink(v1::Unlink {
        parent,
        name: text(name),
        directory: true,
    })
}

#[test]
fn no_answer_leads_above_it() {
    let halves = halves();
    let world = &halves.world;
    let member = world.client(7, only(halves.inside));
    let root = world.attr(&member, halves.inside).expect("attributes");
    assert_eq!(root.parent, halves.inside, "its parent is itself");
    assert_eq!(
        read_dir(world, &member, halves.inside).parent,
        halves.inside
    );
    assert_eq!(read_dir(world, &member, halves.sub).parent, halves.inside);
    let up = world.lookup(&member, halves.inside, "..").map(drop);
    assert!(up.is_err());
    for entry in read_dir(world, &member, halves.inside).entries {
        let attr = entry.attr.expect("attributes");
        assert!([0, halves.inside].contains(&attr.parent), "{attr:?}");
    }
    // To whom the whole volume is open, it lies where it does.
    let whole = world.client(8, Default::default());
    assert_eq!(
        world
            .attr(&whole, halves.inside)
            .expect("attributes")
            .parent,
        1
    );
}

#[test]
fn a_file_is_inside_by_any_of_its_names_and_goes_with_the_last() {
    let halves = halves();
    let world = &halves.world;
    let (member, local) = (world.client(7, only(halves.inside)), world.local());
    assert_eq!(
        world.errno(&local, link(halves.secret, halves.sub, "shared")),
        0
    );
    world.close(local);
    let attr = world
        .attr(&member, halves.secret)
        .expect("it has a name inside");
    assert_eq!((attr.nlink, attr.parent), (2, 0));
    let written = world.errno(
        &member,
        crate::daemon::write(halves.secret, 0, b"by member"),
    );
    assert_eq!(written, 0);
    let reply = world.mutate(&member, unlink(halves.sub, "shared"));
    assert_eq!(reply.errno, 0);
    assert!(reply.attrs.iter().all(|attr| attr.ino != halves.secret));
    assert_eq!(
        (world.attr(&member, halves.secret), reply.rights),
        (Err(STALE), 0)
    );
}

#[test]
fn what_is_moved_out_is_out_with_all_below_it() {
    let halves = halves();
    let world = &halves.world;
    let member = world.client(7, only(halves.inside));
    let missing = world
        .lookup(&member, halves.sub, "later")
        .expect("an answer");
    assert!(!missing.found && missing.parent_rights != 0);
    assert!(world.attr(&member, halves.deep).is_ok());
    let local = world.local();
    let moved = world.errno(&local, rename(halves.inside, "sub", halves.outside, "sub"));
    assert_eq!(moved, 0);
    for ino in [halves.sub, halves.deep] {
        assert_eq!(world.attr(&member, ino), Err(STALE));
    }
    assert_eq!(world.map(&member, halves.deep), Err(STALE));
    let made = world.errno(&member, Op::Create(file(halves.sub, "f", 0o644, 1000)));
    assert_eq!(made, libc::ESTALE);
    // Names that come to be in there are not told, though the member may hold it in its cache.
    let feed = v1::FeedRequest {
        session: member.session,
        wait_ms: 1000,
        ..Default::default()
    };
    let create = local.request(Op::Create(file(halves.sub, "later", 0o644, 1000)));
    let (mut to_member, mut to_local) = (member.call(), local.call());
    let service = &*world.service;
    let (told, made) = world.run(async {
        tokio::join!(
            MetaService::feed(service, &mut to_member, feed),
            MetaService::mutate(service, &mut to_local, create),
        )
    });
    assert_eq!(made.expect("an answer").errno, 0);
    let told = told.expect("a feed").invalidations;
    let of_sub: Vec<_> = told.iter().filter(|item| item.ino == halves.sub).collect();
    assert!(
        of_sub.iter().any(|item| item.kind() == Kind::Directory),
        "{told:?}"
    );
    assert!(of_sub.iter().all(|item| item.name.is_empty()), "{told:?}");
}

#[test]
fn an_unlinked_file_is_there_for_the_session_that_has_it_open() {
    let halves = halves();
    let world = &halves.world;
    let (member, other) = (
        world.client(7, only(halves.inside)),
        world.client(8, only(halves.inside)),
    );
    let request = v1::MutateRequest {
        keep_open: true,
        ..member.request(unlink(halves.inside, "file"))
    };
    assert!(world.send(&member, request).removed);
    assert!(world.map(&member, halves.file).is_ok());
    let written = world.errno(&member, crate::daemon::write(halves.file, 0, b"still"));
    assert_eq!(written, 0);
    assert_eq!(world.map(&other, halves.file), Err(STALE));
}

#[test]
fn when_it_is_removed_nothing_is_left() {
    let halves = halves();
    let world = &halves.world;
    let local = world.local();
    let part = world.make(&local, super::directory(1, "part", 0o755, 1000));
    world.close(local);
    let member = world.client(7, only(part));
    let own = world.errno(&member, rmdir(1, "part"));
    assert_eq!(own, libc::ESTALE, "its name is above it");
    let local = world.local();
    assert_eq!(world.errno(&local, rmdir(1, "part")), 0);
    assert_eq!(world.attr(&member, part), Err(STALE));
    let made = world.errno(&member, Op::Create(file(part, "f", 0o644, 1000)));
    assert_eq!(made, libc::ESTALE);
    let again = world.try_open(member.principal.clone()).map(drop);
    assert_eq!(again, Err(STALE));
}

#[test]
fn what_was_done_is_answered_again_also_when_its_place_has_moved_out() {
    let halves = halves();
    let world = &halves.world;
    let member = world.client(7, only(halves.inside));
    let request = member.request(crate::daemon::write(halves.deep, 0, b"once"));
    let first = world.send(&member, request.clone());
    assert_eq!(first.errno, 0);
    let local = world.local();
    let moved = world.errno(&local, rename(halves.inside, "sub", halves.outside, "sub"));
    assert_eq!(moved, 0);
    let again = world.send(&member, request);
    assert_eq!((again.errno, again.version), (0, first.version));
    assert!(again.attrs.is_empty(), "but nothing is told of it");
}
