//! The command line.

use wolfdisk_common::cli::DaemonOptions;
use wolfdisk_common::release::release;

/// The WolfDisk index daemon.
///
/// Started by wolfdiskctl or systemd; stops in order at SIGTERM.
#[derive(Debug, clap::Parser)]
#[command(name = "wolfdisk-meta", version = release())]
pub struct Cli {
    #[command(flatten)]
    pub options: DaemonOptions,
    /// Make the index from the export on standard input, and end. For wolfdiskctl.
    #[arg(long, conflicts_with = "inspect")]
    pub import: bool,
    /// With --import: an index that is there is kept aside.
    #[arg(long, requires = "import")]
    pub replace: bool,
}
