//! How a front-end reaches the volume: the daemons of this machine, or nodes on others, to which it proves who it is.

mod known;
mod spot;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wolfdisk_common::config::{Config, Role};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::identity::{Identity, IdentityError};
use wolfdisk_common::paths::Paths;
use wolfdisk_discovery::Finder;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking;
use wolfdisk_proto::call::Caller;
use wolfdisk_proto::noise::{self, Targets, Welcome};
use wolfdisk_proto::v1::{META_SERVICE, MetaClient};

pub use known::KnownNodes;
pub(crate) use spot::{ChunkSpot, Spot};

/// Asks wolfdisk-meta, wherever it is.
pub type MetaLine = MetaClient<Arc<dyn Caller + Send + Sync>>;

/// See the module.
#[derive(Clone, Debug)]
pub enum Reach {
    /// The daemons that listen at these sockets.
    Local {
        /// Of wolfdisk-meta.
        meta_socket: PathBuf,
        /// Of wolfdisk-chunkd.
        chunk_socket: PathBuf,
    },
    /// Nodes on other machines.
    Remote(Remote),
}

/// Nodes on other machines, and what this one proves itself with.
#[derive(Clone)]
pub struct Remote {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) spot: Arc<Spot>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("credentials", &self.credentials)
            .field("answered", &self.answered())
            .finish_non_exhaustive()
    }
}

impl Reach {
    /// As the data directory says: a node has daemons of its own, a member without state uses others'.
    ///
    /// # Errors
    /// The directory is that of neither, or what it holds cannot be used.
    pub fn of(config: &Config) -> Result<Reach, IdentityError> {
        let paths = config.paths();
        // Whoever may not look into the directory of a node may still use its sockets.
        if paths.format().try_exists().unwrap_or(true) {
            return Ok(Reach::local(&paths));
        }
        let dir = paths.data_dir().to_owned();
        match (Credentials::of_member(&paths)?, config.node.role) {
            (Some(credentials), _) => Ok(Reach::remote(config, credentials)),
            (None, Role::Client) => Err(IdentityError::NotJoined { dir }),
            (None, _) => Err(IdentityError::NotInitialised { dir }),
        }
    }

    /// The daemons of a data directory of this machine.
    pub fn local(paths: &Paths) -> Reach {
        Reach::Local {
            meta_socket: paths.meta_socket(),
            chunk_socket: paths.chunkd_socket(),
        }
    }

    /// The nodes that are heard on the networks of this machine, those that are configured, and those that a member knows.
    /// Listens from now on.
    pub fn remote(config: &Config, credentials: Credentials) -> Reach {
        let nodes = Finder::new(config, &credentials);
        Reach::Remote(Remote::new(credentials, Arc::new(nodes)))
    }

    /// The node at `host:port` and no other, with what this machine proves itself with anyway.
    ///
    /// # Errors
    /// As [`Reach::of`].
    pub fn at(config: &Config, address: &str) -> Result<Reach, IdentityError> {
        let paths = config.paths();
        let credentials = match Credentials::of_member(&paths)? {
            Some(credentials) => credentials,
            None => {
                let own = Identity::load_for(config)?;
                Credentials::of_node(&paths, own.node.as_str(), own.volume)?
            }
        };
        let nodes = KnownNodes::new(vec![address.to_owned()]);
        Ok(Reach::Remote(Remote::new(credentials, Arc::new(nodes))))
    }

    /// Asks wolfdisk-meta. Every call of this has connections of its own.
    pub fn meta(&self) -> MetaLine {
        MetaClient(match self {
            Reach::Local { meta_socket, .. } => Arc::new(blocking::Pool::new(meta_socket.clone())),
            Reach::Remote(remote) => remote.meta_pool(),
        })
    }

    /// Nodes on other machines, if it is those.
    pub fn as_remote(&self) -> Option<&Remote> {
        match self {
            Reach::Local { .. } => None,
            Reach::Remote(remote) => Some(remote),
        }
    }
}

impl Remote {
    /// Those that `nodes` finds.
    pub fn new(credentials: Credentials, nodes: Arc<dyn Targets>) -> Remote {
        Remote {
            credentials: Arc::new(credentials),
            spot: Arc::new(Spot::new(nodes)),
        }
    }

    /// Who this machine is to them.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// The node that answered last, where, and what it said of itself.
    pub fn answered(&self) -> Option<(SocketAddr, Welcome)> {
        self.spot.answered()
    }

    /// Asks the node that let this machine in last, by packets so small that every network carries them. `None`: none has.
    ///
    /// # Errors
    /// As [`noise::Connection::open`].
    pub fn meta_by_small_packets(&self, within: Duration) -> Option<Result<MetaLine, Failure>> {
        let (address, _) = self.answered()?;
        let credentials = &self.credentials;
        let open = noise::Connection::open_by_small_packets;
        let connection = open(address, META_SERVICE, credentials, within);
        Some(connection.map(|connection| MetaClient(Arc::new(Mutex::new(connection)) as Arc<_>)))
    }

    pub(crate) fn meta_pool(&self) -> Arc<noise::Pool> {
        let nodes: Arc<dyn Targets> = self.spot.clone();
        let credentials = Arc::clone(&self.credentials);
        Arc::new(noise::Pool::new(credentials, META_SERVICE, nodes))
    }
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::config::Arguments;
    use wolfdisk_common::credentials::static_key;
    use wolfdisk_common::member::{MemberKind, Who};
    use wolfdisk_common::node_id::NodeId;

    use super::*;

    fn config(directory: &tempfile::TempDir, text: &str) -> Config {
        let file = directory.path().join("config.toml");
        std::fs::write(&file, text).expect("written");
        let arguments = Arguments {
            config: Some(file),
            data_dir: Some(directory.path().join("data")),
            ..Arguments::default()
        };
        Config::load(&arguments).expect("a configuration")
    }

    fn member(paths: &Paths) -> Credentials {
        std::fs::create_dir_all(paths.data_dir()).expect("a directory");
        Credentials {
            cluster: None,
            who: Who::Member(3),
            kind: MemberKind::Client,
            name: "desk".to_owned(),
            shared_key: [8; 32].into(),
            static_key: static_key(paths).expect("a key"),
            node_key: None,
            addresses: vec!["127.0.0.1:9500".to_owned()],
        }
    }

    #[test]
    fn the_directory_says_who_is_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let plain = config(&directory, "");
        assert!(matches!(
            Reach::of(&plain),
            Err(IdentityError::NotInitialised { .. })
        ));
        let client = config(&directory, "[node]\nrole = \"client\"\n");
        let refused = Reach::of(&client).expect_err("not joined").to_string();
        assert!(
            refused.contains("wolfdiskctl init --join TOKEN"),
            "{refused}"
        );

        member(&plain.paths()).keep(&plain.paths()).expect("kept");
        let text = "[cluster]\ndiscovery = \"none\"\npeers = [\"127.0.0.2:9500\"]\n";
        let peers = config(&directory, text);
        let reach = Reach::of(&peers).expect("a member");
        let remote = reach.as_remote().expect("others are asked");
        assert_eq!(remote.credentials().name, "desk");
        let known: Vec<String> = (remote.spot.addresses().iter())
            .map(SocketAddr::to_string)
            .collect();
        assert_eq!(known, ["127.0.0.2:9500", "127.0.0.1:9500"]);
        assert!(!format!("{reach:?}").contains("8, 8"));

        let other = tempfile::tempdir().expect("a directory");
        let node = config(&other, "");
        let id = NodeId::parse("alpha").expect("an id");
        Identity::init(&node.paths(), id).expect("initialised");
        let reach = Reach::of(&node).expect("a node");
        assert!(reach.as_remote().is_none());
        let at = Reach::at(&node, "127.0.0.9:1").expect("credentials");
        let remote = at.as_remote().expect("another is asked");
        assert_eq!(remote.credentials().who, Who::Node);
    }
}
