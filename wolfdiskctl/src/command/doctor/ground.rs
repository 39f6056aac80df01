//! What the checks stand on: the configuration, what this machine is in a cluster, and which of its processes run.

use std::sync::OnceLock;

use wolfdisk_common::config::Config;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::identity::IdentityError;
use wolfdisk_common::paths::Paths;

use super::running::{Running, running};
use crate::cli::Global;
use crate::command::standing::Standing;
use crate::command::up::Plan;

/// See the module.
pub(super) struct Ground {
    pub(super) global: Global,
    pub(super) config: Config,
    pub(super) standing: Result<Standing, IdentityError>,
    /// Processes of this data directory.
    pub(super) running: Vec<Running>,
    /// What `status` says, once it was asked and said something.
    pub(super) status: OnceLock<serde_json::Value>,
}

/// Whether this is root, who sees everything.
pub(super) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

impl Ground {
    /// Looks. May take as long as the file system of the data directory does.
    pub(super) fn look(global: Global, config: Config) -> Ground {
        Ground {
            standing: Standing::of(&config),
            running: running(&config),
            global,
            config,
            status: OnceLock::new(),
        }
    }

    pub(super) fn paths(&self) -> Paths {
        self.config.paths()
    }

    /// What this machine is to nodes elsewhere, if it uses those.
    pub(super) fn member(&self) -> Option<&Credentials> {
        match &self.standing {
            Ok(Standing::Member(member)) => Some(member),
            Ok(Standing::Node(_)) | Err(_) => None,
        }
    }

    /// Whether it is a node with data, or is to become one.
    pub(super) fn is_node(&self) -> bool {
        match &self.standing {
            Ok(Standing::Node(_)) => true,
            Ok(Standing::Member(_)) | Err(IdentityError::NotJoined { .. }) => false,
            Err(_) => true,
        }
    }

    /// What is to run beside the stores; `None`: nothing.
    pub(super) fn plan(&self) -> Option<Plan> {
        Plan::of(&self.config, self.member(), None).ok()
    }

    /// Whether a daemon of that name runs here.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.running.iter().any(|one| one.name == name)
    }

    /// Its data directory, as an option of a command.
    pub(super) fn dir(&self) -> String {
        self.config.node.data_dir.display().to_string()
    }

    /// Whether the data directory is that of a node or a member, be it one that cannot be used.
    pub(super) fn is_made(&self) -> bool {
        use IdentityError::{NotInitialised, NotJoined};
        !matches!(self.standing, Err(NotInitialised { .. } | NotJoined { .. }))
    }

    /// How the node is started here.
    pub(super) fn start_command(&self) -> String {
        match self.is_system() {
            true => format!(
                "systemctl start wolfdisk, or in the foreground: wolfdiskctl up -d {}",
                self.dir()
            ),
            false => format!("wolfdiskctl up -d {}", self.dir()),
        }
    }

    /// Whether it is the data directory that the units of systemd use.
    pub(super) fn is_system(&self) -> bool {
        self.config.node.data_dir == std::path::Path::new(wolfdisk_common::paths::SYSTEM_DATA_DIR)
    }
}
