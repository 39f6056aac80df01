//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use wolfdisk_common::release::release;

/// Serves a WolfDisk volume to S3 clients until it is told to stop.
#[derive(Clone, Debug, Parser)]
#[command(name = "wolfdisk-s3", version = release())]
pub struct Arguments {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "WOLFDISK_CONFIG")]
    pub config: Option<PathBuf>,

    /// Data directory of the node whose daemons serve the volume
    #[arg(short = 'd', long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where to answer [default: s3.bind of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

impl Arguments {
    /// What they say about the configuration.
    pub fn for_config(&self) -> wolfdisk_common::config::Arguments {
        wolfdisk_common::config::Arguments {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            ..wolfdisk_common::config::Arguments::default()
        }
    }
}
