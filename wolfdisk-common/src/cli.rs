//! What the command lines of the daemons with data of their own have in common.

use std::path::PathBuf;

use crate::access::Access;
use crate::config::Arguments;

/// To be flattened into a daemon's command line.
#[derive(Debug, clap::Args)]
pub struct DaemonOptions {
    /// Configuration file [default: /etc/wolfdisk/config.toml].
    #[arg(long, env = "WOLFDISK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of the configured one.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Serve for a check at a socket in this directory and leave the data as it is. For wolfdiskctl.
    #[arg(long, value_name = "DIR")]
    inspect: Option<PathBuf>,
    /// With --inspect: what is asked for may be repaired.
    #[arg(long, requires = "inspect")]
    repair: bool,
}

impl DaemonOptions {
    /// What the command line says about the configuration.
    pub fn arguments(&self) -> Arguments {
        Arguments {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            ..Arguments::default()
        }
    }

    /// How the data is opened.
    pub fn access(&self) -> Access {
        match &self.inspect {
            None => Access::Serve,
            Some(sockets) => Access::Inspect {
                sockets: sockets.clone(),
                repair: self.repair,
            },
        }
    }
}
