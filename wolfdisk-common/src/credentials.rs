//! What a machine proves itself with to nodes on other machines: a static key of its own, and the key that it shares
//! with them. In the data directory, both readable by their owner only:
//!
//! - `node.key` of every machine: the private static key, 64 hexadecimal digits;
//! - `member.toml` of a machine that joined a cluster and holds none of its state: who it is there.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::cluster_key::{ClusterKey, DERIVED_BYTES};
use crate::identity::{IdentityError, io_error, read_key, read_secret, write};
use crate::join_token::JoinToken;
use crate::member::{MemberKind, PUBLIC_KEY_BYTES, Who};
use crate::paths::Paths;

/// Bytes of a private or a shared key.
pub const KEY_BYTES: usize = DERIVED_BYTES;

/// See the module. `Debug` shows no key.
#[derive(Clone)]
pub struct Credentials {
    /// The cluster; none: whichever holds the same key.
    pub cluster: Option<Uuid>,
    /// By which key it proves itself.
    pub who: Who,
    /// What it is.
    pub kind: MemberKind,
    /// What people call it.
    pub name: String,
    /// The key it shares with the nodes.
    pub shared_key: Zeroizing<[u8; KEY_BYTES]>,
    /// Its private static key.
    pub static_key: Zeroizing<[u8; KEY_BYTES]>,
    /// The only node it may speak to, by its public static key: of one who joins.
    pub node_key: Option<[u8; PUBLIC_KEY_BYTES]>,
    /// Where nodes were when it joined, as `host:port`.
    pub addresses: Vec<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("who", &self.who)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `member.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    version: u32,
    name: String,
    kind: MemberKind,
    /// None: learnt from the first node that holds the same key.
    cluster: Option<String>,
    /// Its number; 0: it proves itself by the cluster's key.
    member: u64,
    /// Of a member with a key of its own.
    shared_key: Option<String>,
    addresses: Vec<String>,
}

/// The version of `member.toml`.
const VERSION: u32 = 1;

impl Credentials {
    /// Those of a node that holds the cluster's key and state.
    ///
    /// # Errors
    /// A key is damaged, others can read it, or the system refuses.
    pub fn of_node(paths: &Paths, name: &str, cluster: Uuid) -> Result<Credentials, IdentityError> {
        let shared_key = Who::Node.shared_key(&ClusterKey::load(paths)?);
        Ok(Credentials {
            cluster: Some(cluster),
            who: Who::Node,
            kind: MemberKind::Node,
            name: name.to_owned(),
            shared_key,
            static_key: static_key(paths)?,
            node_key: None,
            addresses: Vec::new(),
        })
    }

    /// Those of a machine that joined; `None`: it did not.
    ///
    /// # Errors
    /// As [`Credentials::of_node`].
    pub fn of_member(paths: &Paths) -> Result<Option<Credentials>, IdentityError> {
        let path = paths.member();
        let text = match read_secret(&path) {
            Err(IdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            text => Zeroizing::new(text?),
        };
        let damaged = |what: &str| IdentityError::Damaged {
            file: path.clone(),
            what: what.to_owned(),
        };
        // What the parser says would show parts of the key.
        let file: MemberFile =
            toml::from_str(&text).map_err(|_| damaged("it does not say who this member is"))?;
        if file.version != VERSION {
            return Err(damaged("its version is not known; use a newer release"));
        }
        let cluster = file.cluster.map(|text| Uuid::parse_str(&text)).transpose();
        let cluster = cluster.map_err(|_| damaged("its cluster is no id"))?;
        let (who, shared_key) = match (file.member, &file.shared_key) {
            (0, _) => (Who::Node, Who::Node.shared_key(&ClusterKey::load(paths)?)),
            (number, Some(digits)) => {
                let key = from_hex(digits).ok_or_else(|| damaged("its key is none"))?;
                (Who::Member(number), key)
            }
            (_, None) => return Err(damaged("its key is missing")),
        };
        Ok(Some(Credentials {
            cluster,
            who,
            kind: file.kind,
            name: file.name,
            shared_key,
            static_key: static_key(paths)?,
            node_key: None,
            addresses: file.addresses,
        }))
    }

    /// Those of somebody who joins by a token.
    ///
    /// # Errors
    /// The static key cannot be made or read.
    pub fn joining(
        paths: &Paths,
        token: &JoinToken,
        name: &str,
    ) -> Result<Credentials, IdentityError> {
        Ok(Credentials {
            cluster: Some(token.cluster),
            who: Who::Joining(token.number),
            kind: token.kind,
            name: name.to_owned(),
            shared_key: token.shared_key.clone(),
            static_key: static_key(paths)?,
            node_key: Some(token.node_key),
            addresses: token.addresses.clone(),
        })
    }

    /// Keeps them, durably, as those of [`Credentials::of_member`]. The directory must be there, and of a holder of the
    /// cluster's key that key must be in it.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(&self, paths: &Paths) -> Result<(), IdentityError> {
        let (member, shared_key) = match self.who {
            Who::Node | Who::Joining(_) => (0, None),
            Who::Member(number) => (number, Some(to_hex(&*self.shared_key))),
        };
        let file = MemberFile {
            version: VERSION,
            name: self.name.clone(),
            kind: self.kind,
            cluster: self.cluster.map(|id| id.to_string()),
            member,
            shared_key,
            addresses: self.addresses.clone(),
        };
        let path = paths.member();
        let text = toml::to_string(&file).map(Zeroizing::new);
        let text = text.map_err(|error| io_error("write", &path, io::Error::other(error)))?;
        write(&path, &text, 0o600)
    }
}

/// The private static key of a data directory, which is there; made at the first call, by whoever comes first.
///
/// # Errors
/// It is damaged, others can read it, or the system refuses.
pub fn static_key(paths: &Paths) -> Result<Zeroizing<[u8; KEY_BYTES]>, IdentityError> {
    let path = paths.node_key();
    loop {
        match read_key(&path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                return from_hex(text.trim_end()).ok_or_else(|| IdentityError::Damaged {
                    file: path.clone(),
                    what: "it holds no key".to_owned(),
                });
            }
            Err(IdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                make_static_key(&path)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Another may make one at the same time: the first that is there counts.
fn make_static_key(path: &Path) -> Result<(), IdentityError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let drawn = OsRng.try_fill_bytes(&mut *key);
    drawn.map_err(|error| io_error("draw random bytes for", path, io::Error::other(error)))?;
    let text = Zeroizing::new(format!("{}\n", to_hex(&*key)));
    // Each attempt has a file of its own, also of several threads.
    static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{attempt}", std::process::id()));
    let own = std::path::PathBuf::from(name);
    write(&own, &text, 0o600)?;
    let linked = std::fs::hard_link(&own, path);
    std::fs::remove_file(&own).map_err(|error| io_error("remove", &own, error))?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(|error| io_error("write", path, error)),
    }
}

fn to_hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if digits.len() != 2 * KEY_BYTES || !digits.is_ascii() {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::node_id::NodeId;

    fn fresh() -> (tempfile::TempDir, Paths) {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(directory.path().to_owned());
        (directory, paths)
    }

    #[test]
    fn a_static_key_is_made_once() {
        let (_keep, paths) = fresh();
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| static_key(&paths).expect("a key")))
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.map(|key| key.expect("no panic")).collect()
        });
        assert!(made.iter().all(|key| *key == made[0]));
        assert_ne!(*made[0], [0; KEY_BYTES]);
    }

    #[test]
    fn a_member_is_who_it_was_after_a_restart() {
        let (_keep, paths) = fresh();
        assert!(Credentials::of_member(&paths).expect("read").is_none());
        let member = Credentials {
            cluster: Some(Uuid::from_bytes([1; 16])),
            who: Who::Member(9),
            kind: MemberKind::Client,
            name: "desk".to_owned(),
            shared_key: Zeroizing::new([8; KEY_BYTES]),
            static_key: static_key(&paths).expect("a key"),
            node_key: None,
            addresses: vec!["alpha:9500".to_owned()],
        };
        member.keep(&paths).expect("kept");
        let again = Credentials::of_member(&paths)
            .expect("read")
            .expect("there");
        assert_eq!(again.who, member.who);
        assert_eq!(again.cluster, member.cluster);
        assert_eq!(*again.shared_key, *member.shared_key);
        assert_eq!(*again.static_key, *member.static_key);
        assert_eq!(again.addresses, member.addresses);
        assert!(!format!("{again:?}").contains("8, 8"));
    }

    #[test]
    fn a_node_proves_itself_by_the_clusters_key() {
        let (_keep, paths) = fresh();
        let id = NodeId::parse("alpha").expect("an id");
        let identity = Identity::init(&paths, id).expect("initialised");
        let node = Credentials::of_node(&paths, "alpha", identity.volume).expect("credentials");
        let key = ClusterKey::load(&paths).expect("a key");
        assert_eq!(*node.shared_key, *Who::Node.shared_key(&key));
        assert_ne!(*node.shared_key, *Who::Member(1).shared_key(&key));
        assert_ne!(*node.shared_key, *Who::Joining(1).shared_key(&key));
    }
}
