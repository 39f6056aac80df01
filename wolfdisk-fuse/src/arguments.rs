//! The command line.

use std::path::PathBuf;

use clap::Parser;
use wolfdisk_common::release::release;

/// Mounts a WolfDisk volume and serves it until it is unmounted or told to stop.
#[derive(Clone, Debug, Parser)]
#[command(name = "wolfdisk-fuse", version = release())]
pub struct Arguments {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "WOLFDISK_CONFIG")]
    pub config: Option<PathBuf>,

    /// Data directory of the node whose daemons serve the volume
    #[arg(short = 'd', long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where to mount
    #[arg(short, long, value_name = "DIR")]
    pub mount: Option<PathBuf>,

    /// Make the directory to mount at if it is not there
    #[arg(long)]
    pub make_directory: bool,

    /// Mount options, comma-separated
    #[arg(short, long = "options", value_name = "OPTIONS")]
    pub options: Vec<String>,
}

impl Arguments {
    /// What they say about the configuration.
    pub fn for_config(&self) -> wolfdisk_common::config::Arguments {
        wolfdisk_common::config::Arguments {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            mount: self.mount.clone(),
        }
    }
}
