//! The command line.

use wolfdisk_common::cli::DaemonOptions;

/// The WolfDisk index daemon.
///
/// Started by wolfdiskctl or systemd; stops in order at SIGTERM.
#[derive(Debug, clap::Parser)]
#[command(name = "wolfdisk-meta", version)]
pub struct Cli {
    #[command(flatten)]
    pub options: DaemonOptions,
}
