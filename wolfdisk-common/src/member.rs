//! Who takes part in a cluster: nodes, which hold its key, and those who were let in by a token and hold a key of
//! their own, with what they may do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster_key::{ClusterKey, DERIVED_BYTES};
use zeroize::Zeroizing;

/// Bytes of an X25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberKind {
    /// Stores data and holds the cluster's key.
    Node,
    /// Mounts the volume from afar.
    Client,
    /// Answers S3 from afar; may also do what a client does.
    Gateway,
    /// Votes and stores nothing; holds the cluster's key.
    Witness,
}

impl MemberKind {
    /// All of them.
    pub const ALL: [MemberKind; 4] = [
        MemberKind::Node,
        MemberKind::Client,
        MemberKind::Gateway,
        MemberKind::Witness,
    ];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberKind::Node => "node",
            MemberKind::Client => "client",
            MemberKind::Gateway => "gateway",
            MemberKind::Witness => "witness",
        }
    }

    /// What people wrote.
    pub fn parse(text: &str) -> Option<MemberKind> {
        MemberKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The number on the wire and on disk **\[format\]**.
    pub fn number(self) -> u8 {
        match self {
            MemberKind::Node => 1,
            MemberKind::Client => 2,
            MemberKind::Gateway => 3,
            MemberKind::Witness => 4,
        }
    }

    /// The kind with a number.
    pub fn from_number(number: u8) -> Option<MemberKind> {
        MemberKind::ALL
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    /// Whether it is trusted with the cluster's key.
    pub fn holds_cluster_key(self) -> bool {
        matches!(self, MemberKind::Node | MemberKind::Witness)
    }
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a member may not do. The servers see to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// Change nothing.
    pub read_only: bool,
    /// Nothing but this directory, an inode number; 0: the whole volume.
    pub subdir: u64,
    /// Root of that machine is nobody here.
    pub squash_root: bool,
}

/// Who somebody at the other end of an encrypted connection is, before the servers have looked it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A holder of the cluster's key.
    Node,
    /// A member with a key of its own, by its number.
    Member(u64),
    /// Somebody with a token, by its number, who wants to become a member and may do nothing else.
    Joining(u64),
}

impl Who {
    /// The purpose of the pre-shared key with which such a one proves itself.
    fn purpose(self) -> String {
        match self {
            Who::Node => "wolfdisk noise node v1".to_owned(),
            Who::Member(number) => format!("wolfdisk noise member v1 {number}"),
            Who::Joining(number) => format!("wolfdisk noise join v1 {number}"),
        }
    }

    /// The pre-shared key, made of the cluster's: nothing is stored for it.
    pub fn shared_key(self, key: &ClusterKey) -> Zeroizing<[u8; DERIVED_BYTES]> {
        key.derive(&self.purpose())
    }
}

/// Somebody at the other end of an encrypted connection who has proven who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// By which key.
    pub who: Who,
    /// What it is; of somebody who joins, what it wants to become.
    pub kind: MemberKind,
    /// Its number among the members; 0 while it joins.
    pub member: u64,
    /// What people call it.
    pub name: String,
    /// Its static key.
    pub public_key: [u8; PUBLIC_KEY_BYTES],
    /// What it may not do.
    pub restrictions: Restrictions,
}
