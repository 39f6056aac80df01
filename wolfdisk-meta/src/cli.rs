//! The command line.

use std::path::PathBuf;

use wolfdisk_common::access::Access;
use wolfdisk_common::config::Arguments;

/// The WolfDisk index daemon.
///
/// Started by wolfdiskctl or systemd; stops in order at SIGTERM.
#[derive(Debug, clap::Parser)]
#[command(name = "wolfdisk-meta", version)]
pub struct Cli {
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

impl Cli {
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
