//! What front-ends keep for themselves: keys of S3, maps of buckets.

use wolfdisk_common::ids::Ino;
use wolfdisk_common::member::{MemberKind, Restrictions};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::publish::Content;
use wolfdisk_proto::v1::{self, MetaService};

use super::{Asker, World, ask, halves, link, only, principal, rename, squashed, text};

const ROOT: u64 = Ino::SYSTEM_ROOT.0;

fn keep(key: &str) -> Op {
    Op::Publish(v1::Publish {
        root: ROOT,
        key: text(key),
        content: Some(Content::Data(text("kept"))),
        mode: 0o600,
        directory_mode: 0o700,
        ..Default::default()
    })
}

fn object(world: &World, who: &Asker) -> Result<v1::LookupObjectReply, Failure> {
    let request = v1::LookupObjectRequest {
        session: who.session,
        root: ROOT,
        key: text("keys/one"),
        open: true,
        number: 1,
    };
    ask!(world, who, lookup_object, request)
}

#[test]
fn only_gateways_with_the_whole_volume_get_to_what_is_kept_for_front_ends() {
    let halves = halves();
    let world = &halves.world;
    let local = world.local();
    assert_eq!(
        world.errno(&local, Op::MakeSystemRoot(v1::MakeSystemRoot {})),
        0
    );
    let kept = world.mutate(&local, keep("keys/one"));
    let ino = kept
        .object
        .and_then(|object| object.attr)
        .expect("made")
        .ino;
    world.close(local);
    let gateway = |number, restrictions| {
        let principal = principal(number, MemberKind::Gateway, restrictions);
        world.try_open(Some(principal)).expect("a session")
    };
    let strangers = [
        world.client(7, Restrictions::default()),
        world.client(8, squashed()),
        world.client(9, only(halves.inside)),
        gateway(10, only(halves.inside)),
    ];
    for who in &strangers {
        let stale = Failure::Errno(libc::ESTALE);
        for number in [ROOT, ino] {
            assert_eq!(world.attr(who, number), Err(stale.clone()));
            assert_eq!(world.map(who, number).map(drop), Err(stale.clone()));
        }
        assert_eq!(object(world, who).map(drop), Err(stale.clone()));
        assert_eq!(world.list_keys(who, ROOT).map(drop), Err(stale));
        assert_eq!(world.errno(who, keep("keys/two")), libc::ESTALE);
        let made = world.errno(who, Op::MakeSystemRoot(v1::MakeSystemRoot {}));
        assert_eq!(made, libc::EPERM);
        let stolen = world.errno(who, link(ino, halves.inside, "stolen"));
        assert_eq!(stolen, libc::ESTALE);
    }
    for who in [
        gateway(11, Restrictions::default()),
        gateway(12, squashed()),
    ] {
        assert!(object(world, &who).expect("an answer").map.is_some());
        let names = world.list_keys(&who, ROOT).expect("keys");
        assert!(names.contains(&text("keys/one")));
        assert_eq!(
            world.errno(&who, keep(&format!("keys/of{}", who.session))),
            0
        );
        let mixed = world.errno(&who, link(ino, halves.inside, "mixed"));
        assert_eq!(mixed, libc::EXDEV);
        let parent = world.attr(&who, ino).expect("attributes").parent;
        let moved = world.errno(&who, rename(parent, "one", halves.inside, "mixed"));
        assert_eq!(moved, libc::EXDEV);
        world.close(who);
    }
}
