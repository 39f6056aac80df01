//! The command line.

use wolfdisk_common::cli::DaemonOptions;
use wolfdisk_common::release::release;

/// The WolfDisk chunk store daemon.
///
/// Started by wolfdiskctl or systemd; stops in order at SIGTERM.
#[derive(Debug, clap::Parser)]
#[command(name = "wolfdisk-chunkd", version = release())]
pub struct Cli {
    #[command(flatten)]
    pub options: DaemonOptions,
}
