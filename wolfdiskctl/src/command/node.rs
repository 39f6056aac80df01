//! The daemons of one node under a supervisor: what `up` and `mount` share.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use wolfdisk_common::config::{Config, Peer};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::identity::{Identity, IdentityError};
use wolfdisk_common::lock::{Lock, LockError};
use wolfdisk_discovery::Company;
use wolfdisk_proto::blocking::Connection;

use super::init::node_id;
use super::join::introduce;
use super::owner;
use super::standing::Standing;
use crate::error::CtlError;
use crate::output::say;
use crate::supervisor::{Daemon, Outcome, Supervisor, SupervisorError};

/// A node that this process runs.
#[derive(Debug)]
pub(super) struct Node {
    config: Config,
    supervisor: Supervisor,
    /// What this machine is to nodes elsewhere, if it uses those.
    member: Option<Credentials>,
    /// Held while the daemons are ours; `None`: another process runs them.
    _lock: Option<Lock>,
}

impl Node {
    /// Claims the data directory, which is initialised if it is empty. Nobody else may run it.
    pub(super) fn claim(config: Config) -> anyhow::Result<Node> {
        let member = initialise(&config)?.member();
        let lock = Lock::acquire(&config.paths().supervisor_lock())?;
        Node::new(config, member, Some(lock))
    }

    /// As [`Node::claim`], but if another process runs the daemons, they are used as they are.
    pub(super) fn join(config: Config) -> anyhow::Result<Node> {
        let member = Standing::of(&config)?.member();
        let lock = match Lock::acquire(&config.paths().supervisor_lock()) {
            Ok(lock) => Some(lock),
            Err(LockError::Held { .. }) => None,
            Err(error @ LockError::Io { .. }) => return Err(error.into()),
        };
        Node::new(config, member, lock)
    }

    fn new(
        config: Config,
        member: Option<Credentials>,
        lock: Option<Lock>,
    ) -> anyhow::Result<Node> {
        if let Some(member) = &member {
            introduce(&config, member)?;
        }
        let paths = config.paths();
        let failed = |source| CtlError::Create {
            path: paths.run_dir().to_owned(),
            source,
        };
        paths.create_run_dir().map_err(failed)?;
        let supervisor = Supervisor::new(paths.run_dir())?;
        Ok(Node {
            config,
            supervisor,
            member,
            _lock: lock,
        })
    }

    /// Starts what does not run: the stores, unless those of other machines are used, the S3 endpoint if one is wanted,
    /// then the mount with its options, if one is wanted.
    pub(super) fn start(
        &mut self,
        mount_options: Option<&[String]>,
        s3: Option<SocketAddr>,
    ) -> anyhow::Result<Outcome> {
        let mut daemons = Vec::new();
        if self._lock.is_some() && self.member.is_none() {
            let paths = self.config.paths();
            // A daemon that is just being killed still has its socket but answers no more: it does not
            // count as running.
            let runs = |path: PathBuf| Connection::open(&path).is_ok();
            if !runs(paths.chunkd_socket()) {
                daemons.push(self.daemon("wolfdisk-chunkd")?);
            }
            if !runs(paths.meta_socket()) {
                daemons.push(self.daemon("wolfdisk-meta")?);
            }
        }
        if !daemons.is_empty() {
            owner::may_run(&self.config.paths())?;
        }
        if let Some(address) = s3 {
            let mut daemon = self.daemon("wolfdisk-s3")?;
            let bind = ["--bind".into(), address.to_string().into()];
            daemon.arguments.extend(bind);
            daemons.push(daemon);
        }
        if let Some(options) = mount_options {
            daemons.push(self.fuse(options)?);
        }
        for daemon in daemons {
            match self.supervisor.start(daemon)? {
                Outcome::Ready => {}
                early => return Ok(early),
            }
        }
        Ok(Outcome::Ready)
    }

    /// Runs until somebody wants it to stop or the mount is taken off.
    pub(super) fn run(&mut self) -> Result<Outcome, SupervisorError> {
        self.supervisor.run()
    }

    /// Stops what was started here, in order.
    pub(super) fn stop(&mut self) -> Result<(), SupervisorError> {
        self.supervisor.stop()
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// What this machine is to nodes elsewhere, if it uses those.
    pub(super) fn member(&self) -> Option<&Credentials> {
        self.member.as_ref()
    }

    fn daemon(&self, name: &'static str) -> anyhow::Result<Daemon> {
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(file) = &self.config.file {
            arguments.extend(["--config".into(), file.clone().into()]);
        }
        arguments.extend([
            "--data-dir".into(),
            self.config.node.data_dir.clone().into(),
        ]);
        let program = own_folder()?.join(name);
        Ok(Daemon {
            user: None,
            name,
            program,
            arguments,
            may_end: false,
            mount: None,
            log: None,
        })
    }

    fn fuse(&self, options: &[String]) -> anyhow::Result<Daemon> {
        let path = &self.config.mount.path;
        let mut daemon = self.daemon("wolfdisk-fuse")?;
        daemon
            .arguments
            .extend(["--mount".into(), path.clone().into()]);
        for option in options {
            daemon.arguments.extend(["-o".into(), option.into()]);
        }
        daemon.may_end = true;
        daemon.mount = Some(path.clone());
        Ok(daemon)
    }
}

/// An empty or missing data directory becomes a node, unless there is a cluster already; any other must be one, or have
/// joined.
fn initialise(config: &Config) -> anyhow::Result<Standing> {
    match Standing::of(config) {
        Err(IdentityError::NotInitialised { .. }) => {
            stay_out(config)?;
            let identity = Identity::init(&config.paths(), node_id(config))?;
            say(&format!(
                "initialised {} as node {}",
                config.node.data_dir.display(),
                identity.node
            ));
            Ok(Standing::Node(identity))
        }
        other => Ok(other?),
    }
}

/// A machine that has nothing yet founds no second cluster where there is one already, or may be.
fn stay_out(config: &Config) -> Result<(), CtlError> {
    let peers: Vec<&str> = config.cluster.peers.iter().map(Peer::as_str).collect();
    let company = wolfdisk_discovery::anybody(config.cluster.discovery, &peers);
    let dir = config.node.data_dir.clone();
    match company.map_err(CtlError::Listen)? {
        Company::None => Ok(()),
        Company::Node { node, address } => Err(CtlError::ClusterHere { node, address, dir }),
        Company::Silent(why) => {
            let peers = peers.join(", ");
            Err(CtlError::PeersSilent { peers, why, dir })
        }
    }
}

/// Where the other programs are: beside this one.
pub(super) fn own_folder() -> Result<PathBuf, CtlError> {
    let failed = |source| CtlError::Io {
        verb: "find",
        path: "/proc/self/exe".into(),
        source,
    };
    let own = std::env::current_exe().map_err(failed)?;
    Ok(own.parent().map(PathBuf::from).unwrap_or_default())
}
