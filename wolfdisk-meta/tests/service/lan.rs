//! The same over real connections: a machine joins, works, and is shut out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::join_token::JoinToken;
use wolfdisk_common::member::{MemberKind, Who};
use wolfdisk_meta::service::Service;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::framed::Dispatch;
use wolfdisk_proto::noise::Connection;
use wolfdisk_proto::v1::change_member_request::Change;
use wolfdisk_proto::v1::{self, MetaClient, MetaFramed};
use zeroize::Zeroizing;

use crate::daemon::{DEADLINE, Daemon, Node, options};

/// How long a removed member may go on.
const SHUT_OUT_WITHIN: Duration = Duration::from_secs(2);

type Remote = MetaClient<Mutex<Connection>>;

fn credentials(who: Who, shared_key: [u8; 32], key: u8) -> Credentials {
    Credentials {
        cluster: None,
        who,
        kind: MemberKind::Client,
        name: "desk".to_owned(),
        shared_key: Zeroizing::new(shared_key),
        static_key: Zeroizing::new([key; 32]),
        node_key: None,
        addresses: Vec::new(),
    }
}

fn connect(daemon: &Daemon, credentials: &Credentials) -> Result<Remote, Failure> {
    let listens = daemon.status().listens;
    let address: SocketAddr = listens[0].parse().expect("an address");
    let service = <MetaFramed<Service> as Dispatch>::SERVICE;
    let connection = Connection::open(address, service, credentials, DEADLINE)?;
    Ok(MetaClient(Mutex::new(connection)))
}

fn once() -> Options {
    Options {
        retry: false,
        ..options()
    }
}

/// A token, and the member that a machine became by it.
pub(crate) fn joined(daemon: &Daemon, key: u8) -> (JoinToken, v1::JoinReply) {
    let local = daemon.session("ctl").meta;
    let request = v1::IssueTokenRequest {
        kind: MemberKind::Client.number().into(),
        ..Default::default()
    };
    let issued = local
        .issue_token(&mut options(), &request)
        .expect("a token");
    let token = JoinToken::parse(&issued.token).expect("a token");
    let mut asking = credentials(Who::Joining(token.number), *token.shared_key, key);
    asking.node_key = Some(token.node_key);
    let remote = connect(daemon, &asking).expect("connected");
    assert_eq!(remote.0.lock().welcome().cluster, *token.cluster.as_bytes());
    let status = remote.status(&mut once(), &v1::Empty {});
    assert!(matches!(status, Err(Failure::Denied(_))), "{status:?}");
    let request = v1::JoinRequest {
        name: "desk".into(),
    };
    let reply = remote.join(&mut once(), &request).expect("joined");
    (token, reply)
}

pub(crate) fn member(reply: &v1::JoinReply, key: u8) -> Credentials {
    let shared_key = reply.shared_key[..].try_into().expect("a key");
    credentials(Who::Member(reply.member), shared_key, key)
}

#[test]
fn a_machine_joins_works_and_is_shut_out_within_two_seconds() {
    let node = Node::new();
    let daemon = node.start();
    let (_, reply) = joined(&daemon, 7);
    let own = member(&reply, 7);
    let remote = connect(&daemon, &own).expect("connected");
    let request = v1::OpenSessionRequest {
        frontend: "fuse".into(),
        ..Default::default()
    };
    let session = remote
        .open_session(&mut once(), &request)
        .expect("a session");
    let listed = remote.list_members(&mut once(), &v1::Empty {});
    assert!(matches!(listed, Err(Failure::Denied(_))), "{listed:?}");
    let exported = remote.export(&mut once(), &v1::ExportRequest::default());
    assert!(matches!(exported, Err(Failure::Denied(_))), "{exported:?}");
    for refused in raft(&remote) {
        assert!(matches!(refused, Err(Failure::Denied(_))), "{refused:?}");
    }

    let local = daemon.session("ctl").meta;
    let members = local.list_members(&mut options(), &v1::Empty {});
    let members = members.expect("members").members;
    let shown = members.iter().find(|shown| shown.number == reply.member);
    let shown = shown.expect("it is listed");
    assert_eq!(shown.connections, 1);
    assert!(shown.address.starts_with("127.0.0.1:"), "{}", shown.address);

    let removal = v1::ChangeMemberRequest {
        number: reply.member,
        change: Some(Change::Remove(true)),
    };
    let since = Instant::now();
    local
        .change_member(&mut options(), &removal)
        .expect("removed");
    let there = |status: &v1::MetaStatus| {
        status
            .sessions
            .iter()
            .any(|open| open.session == session.session)
    };
    assert!(!there(&daemon.status()));
    let cut = remote.status(&mut once(), &v1::Empty {});
    assert!(matches!(cut, Err(Failure::Disconnected(_))), "{cut:?}");
    match connect(&daemon, &own) {
        Err(Failure::Denied(why)) => assert!(why.contains("removed"), "{why}"),
        other => panic!("let in again: {:?}", other.err()),
    }
    assert!(since.elapsed() < SHUT_OUT_WITHIN);
    daemon.stop_well();
}

/// What only nodes that keep the index together ask each other.
fn raft(remote: &Remote) -> [Result<(), Failure>; 4] {
    [
        remote
            .raft_append(&mut once(), &v1::RaftAppendRequest::default())
            .map(drop),
        remote
            .raft_vote(&mut once(), &v1::RaftVoteRequest::default())
            .map(drop),
        remote
            .raft_install(&mut once(), &v1::RaftInstallRequest::default())
            .map(drop),
        remote
            .raft_hand_over(&mut once(), &v1::RaftHandOverRequest::default())
            .map(drop),
    ]
}

#[test]
fn a_node_that_stands_alone_takes_part_in_no_decisions_of_others() {
    let node = Node::new();
    let daemon = node.start();
    let key = node.cluster_key();
    let mut own = credentials(Who::Node, *Who::Node.shared_key(&key), 7);
    own.kind = MemberKind::Node;
    let remote = connect(&daemon, &own).expect("connected");
    // It holds the key, and is no member yet.
    for refused in raft(&remote) {
        assert!(matches!(refused, Err(Failure::Denied(_))), "{refused:?}");
    }
    let request = v1::JoinRequest {
        name: "beta".into(),
    };
    remote.join(&mut once(), &request).expect("joined");
    let remote = connect(&daemon, &own).expect("connected");
    for refused in raft(&remote) {
        match refused {
            Err(Failure::Unavailable(why)) => {
                assert!(why.contains("no index with others"), "{why}")
            }
            other => panic!("{other:?}"),
        }
    }
    // Nor does anybody on this machine speak as a node.
    let local = daemon.session("ctl").meta;
    let asked = local.raft_vote(&mut options(), &v1::RaftVoteRequest::default());
    assert!(matches!(asked, Err(Failure::Denied(_))), "{asked:?}");
    daemon.stop_well();
}

#[test]
fn a_wrong_key_opens_nothing() {
    let node = Node::new();
    let daemon = node.start();
    let (token, reply) = joined(&daemon, 7);
    let strangers = [
        // No such member, no such token, and the key of another.
        credentials(Who::Member(99), [1; 32], 9),
        credentials(Who::Joining(99), *token.shared_key, 9),
        credentials(Who::Member(reply.member), *token.shared_key, 7),
        credentials(Who::Node, [1; 32], 9),
        // The member's shared key, and not its own.
        member(&reply, 9),
        // The token was used.
        credentials(Who::Joining(token.number), *token.shared_key, 9),
    ];
    for stranger in &strangers {
        let refused = connect(&daemon, stranger);
        assert!(refused.is_err(), "{stranger:?}");
    }
    let members = daemon
        .session("ctl")
        .meta
        .list_members(&mut options(), &v1::Empty {});
    assert_eq!(members.expect("members").members.len(), 2);
    assert!(connect(&daemon, &member(&reply, 7)).is_ok());
    daemon.stop_well();
}
