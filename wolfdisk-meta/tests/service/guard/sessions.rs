//! Sessions of members: whose they are, and what people are told of them.

use wolfdisk_common::member::{MemberKind, Restrictions, Who};
use wolfdisk_proto::v1::{self, MetaService};

use super::{Asker, Failure, World, ask, principal};

fn take_over(world: &World, who: &Asker, old: u64) -> v1::OpenSessionReply {
    let request = v1::OpenSessionRequest {
        frontend: "fuse".into(),
        place: "/mnt".into(),
        take_over: old,
        ..Default::default()
    };
    ask!(world, who, open_session, request).expect("a session")
}

#[test]
fn a_session_is_taken_over_by_the_member_that_had_it_and_no_other() {
    let world = World::new();
    let whole = Restrictions::default;
    // Later sessions of the same mount would be taken for heirs.
    let (three, local) = (world.client(9, whole()), world.local());
    let (two, one) = (world.client(8, whole()), world.client(7, whole()));
    for stranger in [&two, &local] {
        assert!(!take_over(&world, stranger, one.session).taken_over);
    }
    assert!(!take_over(&world, &three, local.session).taken_over);
    assert!(world.attr(&one, 1).is_ok() && world.attr(&local, 1).is_ok());
    let heir = take_over(&world, &one, one.session);
    assert!(heir.taken_over);
    let successor = Asker {
        session: heir.session,
        ..one.clone()
    };
    assert!(world.attr(&successor, 1).is_ok());
    assert_eq!(world.attr(&one, 1), Err(Failure::StaleSession));
    let stranger = two.naming(&successor);
    assert_eq!(world.attr(&stranger, 1), Err(Failure::StaleSession));
}

#[test]
fn it_stays_the_members_when_the_daemon_starts_anew() {
    let world = World::new();
    let (one, local) = (world.client(7, Restrictions::default()), world.local());
    let World {
        service,
        runtime,
        node,
    } = world;
    service.abandon();
    drop(service);
    let world = World {
        service: node.open(),
        runtime,
        node,
    };
    assert!(world.attr(&one, 1).is_ok());
    assert!(world.attr(&local, 1).is_ok());
    assert_eq!(
        world.attr(&local.naming(&one), 1),
        Err(Failure::StaleSession)
    );
    assert_eq!(
        world.attr(&one.naming(&local), 1),
        Err(Failure::StaleSession)
    );
}

#[test]
fn people_see_whose_session_it_is_and_members_see_their_own() {
    let world = World::new();
    let (local, one) = (world.local(), world.client(7, Restrictions::default()));
    let status = ask!(world, local, status, v1::Empty {}).expect("a status");
    let of = |session| {
        let mut sessions = status.sessions.iter();
        sessions.find(|status| status.session == session)
    };
    let (member, mount) = (
        of(one.session).expect("told"),
        of(local.session).expect("told"),
    );
    assert_eq!((&*member.place, member.pid), ("m7:/mnt", 0));
    assert_eq!((&*mount.place, mount.pid), ("/mnt", std::process::id()));
    let status = ask!(world, one, status, v1::Empty {}).expect("a status");
    let sessions: Vec<u64> = status
        .sessions
        .iter()
        .map(|status| status.session)
        .collect();
    assert_eq!(sessions, [one.session]);
}

#[test]
fn a_node_is_trusted_as_local_callers_are_and_a_joining_machine_has_no_session() {
    let world = World::new();
    let node = principal(3, MemberKind::Node, Restrictions::default());
    let (node, local) = (
        world.try_open(Some(node)).expect("a session"),
        world.local(),
    );
    assert!(world.attr(&node.naming(&local), 1).is_ok());
    let mut joining = (*principal(0, MemberKind::Client, Restrictions::default())).clone();
    joining.who = Who::Joining(5);
    let refused = world.try_open(Some(joining.into())).map(drop);
    assert!(matches!(refused, Err(Failure::Denied(_))), "{refused:?}");
}
