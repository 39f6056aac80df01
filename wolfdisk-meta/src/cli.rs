//! The command line.

use std::path::PathBuf;

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
}

impl From<Cli> for Arguments {
    fn from(cli: Cli) -> Arguments {
        Arguments {
            config: cli.config,
            data_dir: cli.data_dir,
            ..Arguments::default()
        }
    }
}
