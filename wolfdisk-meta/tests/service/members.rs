//! Who is let in, and what that one may do: the service as the listener for other machines asks it.

use std::sync::Arc;

use wolfdisk_common::access_key::record::Seal;
use wolfdisk_common::join_token::JoinToken;
use wolfdisk_common::member::{MemberKind, Principal, Who};
use wolfdisk_meta::service::Service;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1::change_member_request::Change;
use wolfdisk_proto::v1::{self, MetaService};

use crate::daemon::{Daemon, Node, create, options};

fn local() -> Call {
    Call::grpc(&Default::default())
}

/// Waits for an answer outside of the daemon's thread.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(answer)
}

fn issue(service: &Service, request: v1::IssueTokenRequest) -> Result<JoinToken, Failure> {
    let reply = wait(MetaService::issue_token(service, &mut local(), request))?;
    Ok(JoinToken::parse(&reply.token).expect("a token"))
}

fn token_for(service: &Service, kind: MemberKind) -> JoinToken {
    let request = v1::IssueTokenRequest {
        kind: kind.number().into(),
        ..Default::default()
    };
    issue(service, request).expect("a token")
}

/// As the listener does it: through the door, then the call.
fn join(service: &Service, who: Who, key: u8, name: &str) -> Result<v1::JoinReply, Failure> {
    let principal = service.admit(who, &[key; 32])?;
    let mut call = Call::remote(1, Arc::new(principal));
    let request = v1::JoinRequest { name: name.into() };
    wait(MetaService::join(service, &mut call, request))
}

fn change(service: &Service, number: u64, change: Change) -> Result<v1::Member, Failure> {
    let request = v1::ChangeMemberRequest {
        number,
        change: Some(change),
    };
    let reply = wait(MetaService::change_member(service, &mut local(), request))?;
    Ok(reply.member.expect("a member"))
}

fn members(service: &Service) -> Vec<v1::Member> {
    let reply = wait(MetaService::list_members(
        service,
        &mut local(),
        v1::Empty {},
    ));
    reply.expect("members").members
}

fn denied<T: std::fmt::Debug>(answer: Result<T, Failure>, text: &str) {
    match answer {
        Err(Failure::Denied(why)) => assert!(why.contains(text), "{why}"),
        other => panic!("not denied: {other:?}"),
    }
}

fn started() -> (Node, Daemon, Arc<Service>) {
    let node = Node::new();
    let daemon = node.start();
    let service = daemon.service();
    (node, daemon, service)
}

#[test]
fn a_token_makes_a_client_that_holds_no_more_than_its_own_key() {
    let (node, daemon, service) = started();
    let token = token_for(&service, MemberKind::Client);
    assert_eq!(token.addresses, service_addresses(&daemon));
    let who = Who::Joining(token.number);
    assert_eq!(*token.shared_key, *who.shared_key(&node.cluster_key()));
    let reply = join(&service, who, 7, "desk").expect("joined");
    assert_eq!((reply.kind, reply.name.as_str()), (2, "desk"));
    assert!(reply.cluster_key.is_empty());
    let own = Who::Member(reply.member);
    assert_eq!(*reply.shared_key, *own.shared_key(&node.cluster_key()));
    // The answer may have been lost.
    assert_eq!(join(&service, who, 7, "desk"), Ok(reply.clone()));
    denied(join(&service, who, 8, "thief"), "another machine");
    denied(join(&service, Who::Joining(99), 8, "x"), "not known");
    let admitted = service.admit(own, &[7; 32]).expect("admitted");
    assert_eq!(
        (admitted.member, admitted.kind),
        (reply.member, MemberKind::Client)
    );
    // Its number with another's key.
    denied(service.admit(own, &[8; 32]), "not the one that joined");
    // A client that has got hold of the cluster's key is no node by that.
    denied(
        service.admit(Who::Node, &[7; 32]),
        "without the cluster's key",
    );
    daemon.stop_well();
}

fn service_addresses(daemon: &Daemon) -> Vec<String> {
    let status = daemon.status();
    assert_eq!(
        status
            .reasons
            .iter()
            .filter(|why| why.contains("node.bind"))
            .count(),
        0
    );
    assert!(!status.listens.is_empty());
    status.listens
}

#[test]
fn the_other_nodes_are_those_of_the_index() {
    let (_node, _daemon, service) = started();
    let own = members(&service)[0].number;
    let nowhere = |_| Vec::new();
    let alone = service.peers(own, own, nowhere).expect("readable");
    assert_eq!(alone, v1::PeersRequest::default());
    let mut numbers = Vec::new();
    for (kind, key, name) in [
        (MemberKind::Node, 21, "beta"),
        (MemberKind::Client, 22, "desk"),
        (MemberKind::Node, 23, "gamma"),
    ] {
        let token = token_for(&service, kind);
        let who = Who::Joining(token.number);
        join(&service, who, key, name).expect("joined");
        let all = members(&service);
        let joined = all.iter().find(|member| member.name == name);
        numbers.push(joined.expect("a member").number);
    }
    let (beta, desk, gamma) = (numbers[0], numbers[1], numbers[2]);
    let at = |number: u64| vec![([127, 0, 0, number as u8], 9502).into()];
    let told = service.peers(own, beta, at).expect("readable");
    assert!(told.among_others && told.leader == beta);
    let listed = |told: &v1::PeersRequest| -> Vec<u64> {
        told.nodes.iter().map(|node| node.number).collect()
    };
    assert_eq!(listed(&told), [beta, gamma]);
    let first = &told.nodes[0];
    assert_eq!(
        (first.name.as_str(), &*first.public_key),
        ("beta", &[21; 32][..])
    );
    assert_eq!(first.addresses, [format!("127.0.0.{beta}:9502")]);
    // This one leads, or one that keeps no chunks.
    for leader in [own, desk, 0] {
        assert_eq!(service.peers(own, leader, at).expect("readable").leader, 0);
    }
    change(&service, beta, Change::Remove(true)).expect("removed");
    let told = service.peers(own, beta, nowhere).expect("readable");
    assert_eq!((listed(&told), told.leader), (vec![gamma], 0));
    assert!(told.among_others && told.nodes[0].addresses.is_empty());
}

#[test]
fn a_node_that_joins_gets_the_clusters_key_and_one_that_has_it_registers_itself() {
    let (node, daemon, service) = started();
    let founder = members(&service);
    assert_eq!(founder.len(), 1);
    assert_eq!((founder[0].number, founder[0].kind), (1, 1));
    assert_eq!(founder[0].name, "test");
    let token = token_for(&service, MemberKind::Node);
    let reply = join(&service, Who::Joining(token.number), 3, "beta").expect("joined");
    assert_eq!(reply.member, 0);
    assert_eq!(reply.cluster_key, node.cluster_key().reveal()[..]);
    assert!(reply.shared_key.is_empty());
    // As yet unknown, it may join and nothing else.
    let stranger = service
        .admit(Who::Node, &[4; 32])
        .expect("as far as the join");
    assert_eq!(stranger.member, 0);
    denied(status_for(&service, stranger), "not joined");
    let reply = join(&service, Who::Node, 4, "beta").expect("joined");
    assert_eq!(
        (reply.name.as_str(), reply.cluster_key.len()),
        ("beta-2", 0)
    );
    let known = service.admit(Who::Node, &[4; 32]).expect("admitted");
    assert!(known.member != 0 && status_for(&service, known).is_ok());
    // After a restart nobody has to join again.
    daemon.kill();
    let daemon = node.start();
    let names: Vec<_> = members(&daemon.service())
        .into_iter()
        .map(|member| member.name)
        .collect();
    assert_eq!(names, ["test", "beta", "beta-2"]);
    daemon.stop_well();
}

fn status_for(service: &Service, principal: Principal) -> Result<v1::MetaStatus, Failure> {
    let mut call = Call::remote(1, Arc::new(principal));
    wait(MetaService::status(service, &mut call, v1::Empty {}))
}

#[test]
fn a_removed_member_is_refused_and_comes_back_by_a_new_token_only() {
    let (_node, daemon, service) = started();
    let token = token_for(&service, MemberKind::Client);
    let who = Who::Joining(token.number);
    let member = join(&service, who, 7, "desk").expect("joined").member;
    let before = service.trust().revision();
    assert!(
        change(&service, member, Change::Remove(true))
            .expect("removed")
            .removed
    );
    assert!(service.trust().revision() > before);
    denied(service.admit(Who::Member(member), &[7; 32]), "removed");
    denied(join(&service, who, 7, "desk"), "removed");
    let admitted = service.admitted().expect("readable").members;
    assert!(admitted.iter().all(|inside| inside.number != member));
    let token = token_for(&service, MemberKind::Client);
    let again = join(&service, Who::Joining(token.number), 7, "desk").expect("joined");
    assert_eq!(again.name, "desk");
    assert!(again.member > member);
    // Nodes too, though they hold the key.
    join(&service, Who::Node, 4, "beta").expect("joined");
    let beta = members(&service)
        .into_iter()
        .find(|other| other.name == "beta");
    let beta = beta.expect("a member").number;
    change(&service, beta, Change::Remove(true)).expect("removed");
    denied(service.admit(Who::Node, &[4; 32]), "removed");
    denied(change(&service, 1, Change::Remove(true)), "itself");
    daemon.stop_well();
}

#[test]
fn members_are_called_as_people_say() {
    let (_node, daemon, service) = started();
    let renamed = change(&service, 1, Change::Rename("alpha".into())).expect("renamed");
    assert_eq!(renamed.name, "alpha");
    join(&service, Who::Node, 4, "beta").expect("joined");
    for (number, name) in [(1, "beta"), (1, "No Name"), (99, "x")] {
        let refused = change(&service, number, Change::Rename(name.into()));
        assert!(
            matches!(refused, Err(Failure::Invalid(_))),
            "{name}: {refused:?}"
        );
    }
    daemon.stop_well();
}

#[test]
fn restrictions_are_kept_with_the_token_and_name_a_directory() {
    let (_node, daemon, service) = started();
    let session = daemon.session("a");
    session.create("file");
    let made = session.mutate(v1::mutate_request::Op::Create(v1::Create {
        parent: 1,
        name: "team".into(),
        mode: libc::S_IFDIR | 0o755,
        ..Default::default()
    }));
    let team = made.attrs.first().expect("attributes").ino;
    let wanted = |kind: MemberKind, subdir: &'static str| v1::IssueTokenRequest {
        kind: kind.number().into(),
        restrictions: Some(v1::Restrictions {
            read_only: true,
            subdir: subdir.into(),
            squash_root: false,
        }),
        ..Default::default()
    };
    let token = issue(&service, wanted(MemberKind::Client, "/team/")).expect("a token");
    let reply = join(&service, Who::Joining(token.number), 7, "desk").expect("joined");
    let said = reply.restrictions.expect("restrictions");
    assert!(said.read_only && !said.squash_root);
    assert_eq!(said.subdir, "/team");
    let admitted = service
        .admit(Who::Member(reply.member), &[7; 32])
        .expect("admitted");
    assert_eq!(admitted.restrictions.subdir, team);
    for (kind, subdir) in [
        (MemberKind::Client, "file"),
        (MemberKind::Client, "none/there"),
        (MemberKind::Node, ""),
    ] {
        let refused = issue(&service, wanted(kind, subdir));
        assert!(
            matches!(refused, Err(Failure::Invalid(_))),
            "{subdir}: {refused:?}"
        );
    }
    daemon.stop_well();
}

#[test]
fn what_a_token_cannot_be_is_refused() {
    let (_node, daemon, service) = started();
    let request = |kind: u32, ttl_s, addresses: &[&str]| v1::IssueTokenRequest {
        kind,
        ttl_s,
        addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        ..Default::default()
    };
    let given = issue(&service, request(2, 0, &["alpha:9500", "[fd00::1]:1"])).expect("a token");
    assert_eq!(given.addresses, ["alpha:9500", "[fd00::1]:1"]);
    let long = format!("{}:9500", "x".repeat(3000));
    for bad in [
        request(9, 0, &[]),
        request(2, u64::MAX, &[]),
        request(2, 0, &["alpha"]),
        request(2, 0, &["a,b:1"]),
        request(2, 0, &["alpha:0"]),
        request(2, 0, &[&long]),
        request(2, 0, &["a:1"; 17]),
    ] {
        let refused = issue(&service, bad.clone());
        assert!(
            matches!(refused, Err(Failure::Invalid(_))),
            "{bad:?}: {refused:?}"
        );
    }
    daemon.stop_well();
}

#[test]
fn only_gateways_and_nodes_get_the_key_of_access_keys() {
    let (node, daemon, service) = started();
    let ask = |principal: Principal| {
        let mut call = Call::remote(1, Arc::new(principal));
        wait(MetaService::gateway_keys(
            &*service,
            &mut call,
            v1::Empty {},
        ))
    };
    for (key, kind) in [(7, MemberKind::Client), (8, MemberKind::Gateway)] {
        let token = token_for(&service, kind);
        let joined = join(&service, Who::Joining(token.number), key, "x").expect("joined");
        let member = service.admit(Who::Member(joined.member), &[key; 32]);
        let member = member.expect("admitted");
        // Neither may let others in.
        let mut call = Call::remote(1, Arc::new(member.clone()));
        let tokens = MetaService::issue_token(&*service, &mut call, Default::default());
        denied(wait(tokens), "may not");
        match (kind, ask(member)) {
            (MemberKind::Gateway, Ok(reply)) => {
                assert_eq!(reply.seal, Seal::bytes(&node.cluster_key())[..]);
            }
            (_, refused) => denied(refused, "may not"),
        }
    }
    daemon.stop_well();
}

#[test]
fn files_are_there_for_local_callers_as_before() {
    let (_node, daemon, _service) = started();
    let session = daemon.session("a");
    let ino = session
        .mutate(create("f"))
        .attrs
        .first()
        .expect("attributes")
        .ino;
    assert!(session.attr(ino).is_some());
    let listed = session.meta.list_members(&mut options(), &v1::Empty {});
    assert_eq!(listed.expect("members").members.len(), 1);
    daemon.stop_well();
}
