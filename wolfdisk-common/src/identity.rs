//! Who a data directory belongs to: its format, its node, its volume and the cluster's key.
//!
//! `format` is written last, so a directory without it was never initialised, or not to the end; the
//! next attempt starts over. Once it is there, nothing here ever changes a file.

mod error;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::Config;
use crate::credentials::Credentials;
use crate::ids::NodeNumber;
use crate::lock::Lock;
use crate::node_id::NodeId;
use crate::paths::Paths;

pub use error::IdentityError;

/// The newest format this build reads and the one it writes.
const FORMAT: u32 = 1;
const FORMAT_PREFIX: &str = "wolfdisk data format ";
/// The number of the node that founds a cluster.
const FIRST_NODE: u32 = 1;
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of the hash that `check` shows.
const CHECK_BYTES: usize = 8;

/// An initialised data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's name.
    pub node: NodeId,
    /// The small number by which the index names it.
    pub number: NodeNumber,
    /// The volume, the same on all nodes.
    pub volume: Uuid,
    /// When the directory was initialised, in seconds since 1970.
    pub created_s: u64,
}

/// `identity.toml` as it is on disk.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    node: String,
    number: u32,
    volume: String,
    created_s: u64,
    check: String,
}

impl Identity {
    /// Makes an empty or missing directory a data directory: durable when it returns, and after a
    /// crash either initialised or as good as empty.
    ///
    /// # Errors
    /// A directory that is initialised or holds anything else is left alone.
    pub fn init(paths: &Paths, node: NodeId) -> Result<Identity, IdentityError> {
        let _lock = occupy(paths)?;
        let dir = paths.data_dir();
        if paths.cluster_key().exists() && !paths.identity().exists() {
            return Err(IdentityError::KeyAlone {
                key: paths.cluster_key(),
                dir: dir.to_owned(),
            });
        }
        let identity = Identity {
            node,
            number: NodeNumber(FIRST_NODE),
            volume: Uuid::new_v4(),
            created_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        };
        let key = fresh_key().map_err(|error| io_error("draw random bytes for", dir, error))?;
        // A key that stands alone is that of another cluster: it comes second.
        write(&paths.identity(), &identity.to_toml(&key), 0o644)?;
        write(&paths.cluster_key(), &key, 0o600)?;
        write(
            &paths.format(),
            &format!("{FORMAT_PREFIX}{FORMAT}\n"),
            0o644,
        )?;
        let parent = dir.parent().unwrap_or(Path::new("/"));
        sync_dir(parent)?;
        Ok(identity)
    }

    /// Reads and checks an initialised directory.
    ///
    /// # Errors
    /// Every way in which it cannot be used, with what to do about it.
    pub fn load(paths: &Paths) -> Result<Identity, IdentityError> {
        check_format(paths)?;
        let key = read_key(&paths.cluster_key())?;
        let path = paths.identity();
        let text = read(&path)?;
        let damaged = |what: String| IdentityError::Damaged {
            file: path.clone(),
            what,
        };
        let file: IdentityFile =
            toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        let identity = Identity {
            node: NodeId::parse(&file.node).map_err(|error| damaged(error.to_string()))?,
            number: NodeNumber(file.number),
            volume: Uuid::parse_str(&file.volume).map_err(|error| damaged(error.to_string()))?,
            created_s: file.created_s,
        };
        // As `init` wrote it, byte for byte: there is no reason to edit it.
        if text == identity.to_toml(&key) {
            Ok(identity)
        } else {
            let check = file.check;
            let what = format!("its check {check} is not that of it and of cluster.key");
            Err(damaged(what))
        }
    }

    /// As [`Identity::load`], of the directory that `config` names; a configured node id must be its
    /// own.
    ///
    /// # Errors
    /// As there, and [`IdentityError::OtherNode`].
    pub fn load_for(config: &Config) -> Result<Identity, IdentityError> {
        let identity = Identity::load(&config.paths())?;
        match &config.node.id {
            Some(configured) if *configured != identity.node => Err(IdentityError::OtherNode {
                dir: config.node.data_dir.clone(),
                configured: configured.clone(),
                stored: identity.node,
            }),
            _ => Ok(identity),
        }
    }

    fn to_toml(&self, key: &str) -> String {
        let fields = format!(
            "node = \"{}\"\nnumber = {}\nvolume = \"{}\"\ncreated_s = {}\n",
            self.node, self.number, self.volume, self.created_s
        );
        let check = check_of(&fields, key.trim_end());
        format!("{fields}check = \"{check}\"\n")
    }
}

/// Makes the directory where there is none, for somebody who is to have it: locked, and with nothing in it but what an
/// attempt left that was cut short.
///
/// # Errors
/// A directory that is initialised, has joined or holds anything else is left alone.
pub fn occupy(paths: &Paths) -> Result<Lock, IdentityError> {
    let dir = paths.data_dir();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| io_error("create", dir, error))?;
    refuse_occupied(paths)?;
    // Of two that come this far, one goes on and the other finds its lock or its work.
    let lock = Lock::acquire(&paths.supervisor_lock())?;
    refuse_occupied(paths)?;
    Ok(lock)
}

fn refuse_occupied(paths: &Paths) -> Result<(), IdentityError> {
    let dir = paths.data_dir();
    if let Some(member) = Credentials::of_member(paths)? {
        return Err(IdentityError::AlreadyJoined {
            dir: dir.to_owned(),
            name: member.name,
        });
    }
    match Identity::load(paths) {
        Ok(identity) => {
            let node = identity.node.to_string();
            return Err(IdentityError::AlreadyInitialised {
                dir: dir.to_owned(),
                node,
            });
        }
        Err(IdentityError::NotInitialised { .. }) => {}
        Err(other) => return Err(other),
    }
    // What an attempt that was cut short may have left, and the lock of whoever asks.
    let ours = [
        "cluster.key",
        "cluster.key.new",
        "identity.toml",
        "identity.toml.new",
        "format.new",
        "member.toml.new",
    ];
    let harmless = ["lock", "run", "lost+found", "nodes.seen"];
    // The static key and what becomes it.
    const STATIC_KEY: &str = "node.key";
    for entry in std::fs::read_dir(dir).map_err(|error| io_error("read", dir, error))? {
        let name = entry
            .map_err(|error| io_error("read", dir, error))?
            .file_name();
        let name = name.to_string_lossy().into_owned();
        let known = ours.iter().chain(&harmless).any(|known| name == *known);
        if !known && !name.starts_with(STATIC_KEY) {
            return Err(IdentityError::NotEmpty {
                dir: dir.to_owned(),
                name,
            });
        }
    }
    Ok(())
}

fn check_format(paths: &Paths) -> Result<(), IdentityError> {
    let path = paths.format();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(IdentityError::NotInitialised {
                dir: paths.data_dir().to_owned(),
            });
        }
        Err(error) => return Err(io_error("read", &path, error)),
    };
    let number = text
        .trim_end()
        .strip_prefix(FORMAT_PREFIX)
        .and_then(|text| text.parse().ok());
    match number {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(IdentityError::NewerFormat {
            dir: paths.data_dir().to_owned(),
            found,
        }),
        _ => Err(IdentityError::Damaged {
            file: path,
            what: format!("it does not say `{FORMAT_PREFIX}{FORMAT}`"),
        }),
    }
}

/// What shows damage of the fields and of the key: too short to tell anything of a key of 256 random bits.
fn check_of(fields: &str, key: &str) -> String {
    let mut hasher = Sha256::new();
    for part in ["wolfdisk identity v1", fields, key] {
        hasher.update(part);
        hasher.update([0]);
    }
    let hash = hasher.finalize();
    let first = hash.iter().take(CHECK_BYTES);
    first.map(|byte| format!("{byte:02x}")).collect()
}

/// The digits of a cluster's key, and what is behind them.
pub(crate) fn read_key(path: &Path) -> Result<String, IdentityError> {
    let text = read_secret(path)?;
    let digits = text.trim_end();
    if digits.len() == 2 * KEY_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    let what = format!("it does not hold {KEY_BYTES} bytes in hexadecimal");
    Err(IdentityError::Damaged {
        file: path.to_owned(),
        what,
    })
}

/// A file that its owner alone may read.
pub(crate) fn read_secret(path: &Path) -> Result<String, IdentityError> {
    let metadata = std::fs::metadata(path).map_err(|error| io_error("read", path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => read(path),
        _ => Err(IdentityError::KeyExposed {
            file: path.to_owned(),
            mode,
        }),
    }
}

fn fresh_key() -> io::Result<String> {
    let mut key = [0; KEY_BYTES];
    OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    let mut text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    Ok(text)
}

fn read(path: &Path) -> Result<String, IdentityError> {
    std::fs::read_to_string(path).map_err(|error| io_error("read", path, error))
}

/// Puts a whole file in place, durably, readable from its first byte only by whom `mode` allows.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), IdentityError> {
    let failed = |error| io_error("write", path, error);
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

fn sync_dir(path: &Path) -> Result<(), IdentityError> {
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(|error| io_error("sync", path, error))
}

pub(crate) fn io_error(verb: &'static str, path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io {
        verb,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Paths) {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(directory.path().join("deep/data"));
        (directory, paths)
    }

    fn node(id: &str) -> NodeId {
        NodeId::parse(id).expect("an id")
    }

    #[test]
    fn what_is_initialised_is_loaded_and_never_initialised_again() {
        let (_keep, paths) = fresh();
        let made = Identity::init(&paths, node("alpha")).expect("initialised");
        assert_eq!(Identity::load(&paths).expect("loaded"), made);
        let mode = |path: PathBuf| {
            std::fs::metadata(path)
                .expect("a file")
                .permissions()
                .mode()
        };
        assert_eq!(mode(paths.cluster_key()) & 0o777, 0o600);
        assert_eq!(mode(paths.data_dir().to_owned()) & 0o777, 0o700);
        let again = Identity::init(&paths, node("beta"));
        assert!(
            matches!(again, Err(IdentityError::AlreadyInitialised { node, .. }) if node == "alpha")
        );
    }

    #[test]
    fn an_attempt_that_was_cut_short_is_made_again() {
        let (_keep, paths) = fresh();
        Identity::init(&paths, node("alpha")).expect("initialised");
        std::fs::remove_file(paths.format()).expect("removed");
        std::fs::write(paths.data_dir().join("format.new"), "").expect("written");
        assert!(matches!(
            Identity::load(&paths),
            Err(IdentityError::NotInitialised { .. })
        ));
        Identity::init(&paths, node("beta")).expect("initialised");
        assert_eq!(Identity::load(&paths).expect("loaded").node, node("beta"));
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let (_keep, paths) = fresh();
        std::fs::create_dir_all(paths.data_dir().join("photos")).expect("a directory");
        let refused = Identity::init(&paths, node("alpha")).expect_err("refused");
        assert!(
            refused
                .to_string()
                .contains("is not empty (it holds \"photos\")"),
            "{refused}"
        );
        assert!(!paths.cluster_key().exists());
    }

    #[test]
    fn a_directory_that_joined_is_left_alone_and_one_that_tried_to_is_not() {
        let (_keep, paths) = fresh();
        drop(occupy(&paths).expect("free"));
        let token = crate::join_token::JoinToken {
            cluster: Uuid::from_bytes([7; 16]),
            number: 12,
            kind: crate::member::MemberKind::Client,
            shared_key: zeroize::Zeroizing::new([9; KEY_BYTES]),
            node_key: [3; KEY_BYTES],
            addresses: vec!["10.0.0.1:9500".into()],
        };
        let joining = Credentials::joining(&paths, &token, "desk").expect("credentials");
        std::fs::write(paths.data_dir().join("node.key.77"), "").expect("written");
        std::fs::write(paths.data_dir().join("member.toml.new"), "").expect("written");
        drop(occupy(&paths).expect("free"));
        let member = Credentials {
            who: crate::member::Who::Member(4),
            ..joining
        };
        member.keep(&paths).expect("kept");
        let refused = Identity::init(&paths, node("alpha")).expect_err("refused");
        assert!(
            refused
                .to_string()
                .contains("has joined a cluster already, as desk"),
            "{refused}"
        );
        assert!(refused.is_usage() && !paths.cluster_key().exists());
    }

    #[test]
    fn a_key_that_stands_alone_is_not_replaced() {
        let (_keep, paths) = fresh();
        drop(occupy(&paths).expect("free"));
        std::fs::write(paths.cluster_key(), "of another cluster").expect("written");
        let refused = Identity::init(&paths, node("alpha")).expect_err("refused");
        assert!(refused.is_usage());
        assert!(refused.to_string().contains("init --key-file"), "{refused}");
        let kept = std::fs::read_to_string(paths.cluster_key()).expect("there");
        assert_eq!(kept, "of another cluster");
    }

    #[test]
    fn a_founding_that_was_cut_short_leaves_no_key_alone_and_is_made_again() {
        let (_keep, paths) = fresh();
        drop(occupy(&paths).expect("free"));
        // In the way of the key, then of the format.
        for name in ["cluster.key.new", "format.new"] {
            let in_the_way = paths.data_dir().join(name);
            std::fs::create_dir(&in_the_way).expect("made");
            Identity::init(&paths, node("alpha")).expect_err(name);
            assert!(paths.identity().exists(), "{name}");
            std::fs::remove_dir(&in_the_way).expect("removed");
        }
        Identity::init(&paths, node("alpha")).expect("initialised");
        Identity::load(&paths).expect("whole");
    }

    #[test]
    fn a_newer_or_damaged_directory_is_refused() {
        let (_keep, paths) = fresh();
        Identity::init(&paths, node("alpha")).expect("initialised");
        std::fs::write(paths.format(), "wolfdisk data format 2\n").expect("written");
        let message = Identity::load(&paths).expect_err("refused").to_string();
        assert!(
            message.contains("has data format 2, this release reads up to 1"),
            "{message}"
        );
        std::fs::write(paths.format(), "something else\n").expect("written");
        assert!(matches!(
            Identity::load(&paths),
            Err(IdentityError::Damaged { .. })
        ));
        assert!(matches!(
            Identity::init(&paths, node("x")),
            Err(IdentityError::Damaged { .. })
        ));
    }

    #[test]
    fn no_bit_of_it_or_of_the_key_can_be_another() {
        let (_keep, paths) = fresh();
        Identity::init(&paths, node("alpha")).expect("initialised");
        for path in [paths.identity(), paths.cluster_key()] {
            let whole = std::fs::read(&path).expect("read");
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    std::fs::write(&path, &bytes).expect("written");
                    let refused = Identity::load(&paths).is_err();
                    // Between the newline after the key and other white space there is no difference.
                    let is_end = path == paths.cluster_key() && at == 2 * KEY_BYTES;
                    assert!(refused || is_end, "byte {at}, bit {bit}");
                }
            }
            std::fs::write(&path, &whole).expect("written");
        }
        Identity::load(&paths).expect("loaded");
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_no_key_is_refused() {
        let (_keep, paths) = fresh();
        Identity::init(&paths, node("alpha")).expect("initialised");
        let key = paths.cluster_key();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).expect("changed");
        let message = Identity::load(&paths).expect_err("refused").to_string();
        assert!(
            message.ends_with(&format!("(mode 640); run: chmod 600 {}", key.display())),
            "{message}"
        );
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("changed");
        std::fs::write(&key, "abc").expect("written");
        assert!(matches!(
            Identity::load(&paths),
            Err(IdentityError::Damaged { .. })
        ));
    }
}
