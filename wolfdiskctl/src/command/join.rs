//! `init --join` and `init --key-file`: a data directory becomes that of a member.
//!
//! `member.toml` is written last: an attempt that was cut short is made again with the same token, which gives the same
//! answer to the same static key.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;
use wolfdisk_client::Reach;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::{Config, Peer};
use wolfdisk_common::credentials::{Credentials, KEY_BYTES, static_key};
use wolfdisk_common::exit::Exit;
use wolfdisk_common::identity::occupy;
use wolfdisk_common::join_token::JoinToken;
use wolfdisk_common::member::{MemberKind, Who};
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{JoinReply, JoinRequest};
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::error::CtlError;
use crate::output::{json, print, say};

/// Several addresses may have to be tried, over slow links.
const JOIN_DEADLINE: Duration = Duration::from_secs(20);
/// At a start a node that is away is not waited for: the front-ends wait themselves.
const INTRODUCE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a machine that no node has known yet waits for the first one: whoever starts a whole cluster is done by then.
const FIRST_NODE_DEADLINE: Duration = Duration::from_secs(600);
/// Between two attempts.
const INTRODUCE_PAUSE: Duration = Duration::from_millis(500);
/// Addresses that are kept: those of two to twenty nodes.
const ADDRESSES_MAX: usize = 64;
/// More than any token is long.
const INPUT_MAX_BYTES: u64 = 16 * 1024;

#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    role: &'a str,
    volume: Option<String>,
    data_dir: String,
}

/// Joins by a token; `-`: from standard input, where no list of processes shows it.
pub(super) fn by_token(
    global: &Global,
    config: &Config,
    text: &str,
    id: &NodeId,
) -> anyhow::Result<Exit> {
    let text = match text {
        "-" => from_standard_input()?,
        given => Zeroizing::new(given.to_owned()),
    };
    let token = JoinToken::parse(&text).map_err(CtlError::Token)?;
    let paths = config.paths();
    let _lock = occupy(&paths)?;
    let joining = Credentials::joining(&paths, &token, id.as_str())?;
    let reply = ask_to_join(config, joining.clone(), JOIN_DEADLINE);
    let joined = joined(&joining, &reply.map_err(CtlError::Join)?)?;
    if let Some(key) = &joined.cluster_key {
        ClusterKey::keep(key, &paths)?;
    }
    joined.credentials.keep(&paths)?;
    report(global, config, &joined.credentials)
}

/// Joins by a copy of the cluster's key: at the first contact with a node.
pub(super) fn by_key(
    global: &Global,
    config: &Config,
    file: &Path,
    id: &NodeId,
) -> anyhow::Result<Exit> {
    let paths = config.paths();
    let _lock = occupy(&paths)?;
    ClusterKey::copy(file, &paths)?;
    let configured = config.cluster.peers.iter().map(Peer::as_str);
    let credentials = Credentials {
        cluster: None,
        who: Who::Node,
        kind: MemberKind::Node,
        name: id.to_string(),
        shared_key: Who::Node.shared_key(&ClusterKey::load(&paths)?),
        static_key: static_key(&paths)?,
        node_key: None,
        addresses: configured.map(str::to_owned).collect(),
    };
    credentials.keep(&paths)?;
    report(global, config, &credentials)
}

/// A holder of the cluster's key makes itself known before it uses the volume; it is kept in mind which one that is. Who was
/// never known to any node waits for one.
///
/// # Errors
/// It is not let in, or no node answers who has to know it. Who is known goes on: whoever needs a node says so.
pub(super) fn introduce(config: &Config, member: &Credentials) -> anyhow::Result<()> {
    if member.who != Who::Node {
        return Ok(());
    }
    let began = Instant::now();
    let mut waits = false;
    loop {
        let failure = match ask_to_join(config, member.clone(), INTRODUCE_DEADLINE) {
            Ok(reply) => return keep_known(config, member, &reply),
            Err(failure @ (Failure::Denied(_) | Failure::Unsupported(_))) => {
                return Err(CtlError::Join(failure).into());
            }
            Err(failure) => failure,
        };
        if member.cluster.is_some() {
            say(&format!("no node answers yet: {failure}"));
            return Ok(());
        }
        if !std::mem::replace(&mut waits, true) {
            say(&format!(
                "no node answers yet: {failure}; this machine joins as soon as one does"
            ));
        }
        if began.elapsed() >= FIRST_NODE_DEADLINE {
            return Err(CtlError::Unreachable(config.node.data_dir.clone()).into());
        }
        std::thread::sleep(INTRODUCE_PAUSE);
    }
}

/// Keeps what a node says that this machine is.
fn keep_known(config: &Config, member: &Credentials, reply: &JoinReply) -> anyhow::Result<()> {
    let known = joined(member, reply)?.credentials;
    let before = (member.cluster, &member.name, &member.addresses);
    if (known.cluster, &known.name, &known.addresses) != before {
        known.keep(&config.paths())?;
    }
    Ok(())
}

fn ask_to_join(
    config: &Config,
    credentials: Credentials,
    within: Duration,
) -> Result<JoinReply, Failure> {
    let request = JoinRequest {
        name: credentials.name.clone(),
    };
    let meta = Reach::remote(config, credentials).meta();
    let mut options = Options {
        retry: false,
        ..Options::within(within)
    };
    meta.join(&mut options, &request)
}

fn from_standard_input() -> Result<Zeroizing<String>, CtlError> {
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin()
        .lock()
        .take(INPUT_MAX_BYTES)
        .read_to_string(&mut text);
    read.map_err(|source| CtlError::Io {
        verb: "read the token from",
        path: "standard input".into(),
        source,
    })?;
    Ok(text)
}

/// What an answer makes of whoever asked.
struct Joined {
    credentials: Credentials,
    /// Of a node or witness that had none.
    cluster_key: Option<Zeroizing<[u8; KEY_BYTES]>>,
}

fn joined(asked: &Credentials, reply: &JoinReply) -> Result<Joined, CtlError> {
    let wrong = |what: &str| CtlError::Join(Failure::Invalid(format!("the answer {what}")));
    let key = |bytes: &[u8]| <[u8; KEY_BYTES]>::try_from(bytes).ok().map(Zeroizing::new);
    let kind = u8::try_from(reply.kind).ok();
    let kind = kind.and_then(MemberKind::from_number);
    let kind = kind.ok_or_else(|| wrong("names a role that this release does not know"))?;
    let cluster = Uuid::from_slice(&reply.volume_id);
    let cluster = cluster.map_err(|_| wrong("names no volume"))?;
    if asked.cluster.is_some_and(|expected| expected != cluster) {
        return Err(wrong("is that of another cluster"));
    }
    let cluster_key = key(&reply.cluster_key);
    let (who, shared_key) = match (reply.member, &cluster_key) {
        // That of a holder is made of the cluster's key whenever it is needed.
        (0, Some(_)) => (Who::Node, asked.shared_key.clone()),
        (0, None) if asked.who == Who::Node => (Who::Node, asked.shared_key.clone()),
        (0, None) => return Err(wrong("lacks the cluster's key")),
        (number, _) => {
            let own = key(&reply.shared_key).ok_or_else(|| wrong("lacks a key"))?;
            (Who::Member(number), own)
        }
    };
    let mut addresses = reply.addresses.clone();
    for address in &asked.addresses {
        if !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    let credentials = Credentials {
        cluster: Some(cluster),
        who,
        kind,
        name: reply.name.clone(),
        shared_key,
        static_key: asked.static_key.clone(),
        node_key: None,
        addresses,
    };
    Ok(Joined {
        credentials,
        cluster_key,
    })
}

fn report(global: &Global, config: &Config, member: &Credentials) -> anyhow::Result<Exit> {
    let paths: Paths = config.paths();
    let data_dir = paths.data_dir().display().to_string();
    let (name, role) = (member.name.as_str(), member.kind.as_str());
    let volume = member.cluster.map(|id| id.to_string());
    if global.json {
        print(&json(&Answer {
            name,
            role,
            volume,
            data_dir,
        })?);
        return Ok(Exit::Ok);
    }
    let mut text = match volume {
        Some(volume) => format!("joined volume {volume} as {role} {name}\n"),
        None => format!("{role} {name} joins when it first reaches a node\n"),
    };
    if member.kind.holds_cluster_key() {
        text += "this release keeps one copy of the volume: this machine uses the other nodes' for now\n";
    }
    text += &format!("data  {data_dir}\nnext  wolfdiskctl up -d {data_dir}\n");
    print(&text);
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(who: Who) -> Credentials {
        Credentials {
            cluster: Some(Uuid::from_bytes([7; 16])),
            who,
            kind: MemberKind::Client,
            name: "desk".to_owned(),
            shared_key: [1; 32].into(),
            static_key: [2; 32].into(),
            node_key: Some([3; 32]),
            addresses: vec!["alpha:9500".to_owned(), "beta:9500".to_owned()],
        }
    }

    fn reply(kind: MemberKind) -> JoinReply {
        JoinReply {
            kind: kind.number().into(),
            member: 5,
            name: "desk-2".to_owned(),
            volume_id: vec![7; 16].into(),
            shared_key: vec![9; 32].into(),
            addresses: vec!["10.0.0.1:9500".to_owned(), "alpha:9500".to_owned()],
            ..JoinReply::default()
        }
    }

    #[test]
    fn a_client_gets_a_key_of_its_own_and_knows_all_addresses() {
        let joined = joined(&asked(Who::Joining(1)), &reply(MemberKind::Client)).expect("joined");
        let member = joined.credentials;
        assert!(joined.cluster_key.is_none());
        assert_eq!(
            (member.who, member.name.as_str()),
            (Who::Member(5), "desk-2")
        );
        assert_eq!(*member.shared_key, [9; 32]);
        let known = ["10.0.0.1:9500", "alpha:9500", "beta:9500"];
        assert_eq!(member.addresses, known);
        assert!(member.node_key.is_none());
    }

    #[test]
    fn a_node_gets_the_clusters_key_or_has_it() {
        let mut given = reply(MemberKind::Node);
        given.member = 0;
        assert!(joined(&asked(Who::Joining(1)), &given).is_err(), "no key");
        let known = joined(&asked(Who::Node), &given).expect("it has one");
        assert_eq!(known.credentials.who, Who::Node);
        given.cluster_key = vec![4; 32].into();
        let new = joined(&asked(Who::Joining(1)), &given).expect("joined");
        assert_eq!(new.cluster_key.as_deref(), Some(&[4; 32]));
    }

    #[test]
    fn an_answer_that_is_none_is_refused() {
        for spoil in [
            |reply: &mut JoinReply| reply.volume_id = vec![8; 16].into(),
            |reply: &mut JoinReply| reply.volume_id = vec![7; 15].into(),
            |reply: &mut JoinReply| reply.shared_key = vec![9; 31].into(),
            |reply: &mut JoinReply| reply.kind = 99,
        ] {
            let mut wrong = reply(MemberKind::Client);
            spoil(&mut wrong);
            assert!(joined(&asked(Who::Joining(1)), &wrong).is_err());
        }
    }
}
