//! The command line.

pub mod index;
pub mod members;
pub mod s3;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use wolfdisk_common::config::Arguments;
use wolfdisk_common::release::release;

/// What somebody types who has typed nothing yet.
const FIRST_STEPS: &str = "\
First steps:
  wolfdiskctl up          makes a node of this machine, mounts it and says where
  wolfdiskctl status      how it is, in another terminal
  wolfdiskctl join-token  lets another machine in, by wolfdiskctl init --join - there
  wolfdiskctl doctor      what is wrong, and what to do about it";

/// Shared and replicated storage for Linux machines.
#[derive(Debug, Parser)]
#[command(version = release(), propagate_version = true, arg_required_else_help = true, after_help = FIRST_STEPS)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", env = "WOLFDISK_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory of the node
    #[arg(short, long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Ask the node there instead of the one that is used anyway; for status, list, stats, node and join-token
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = members::address)]
    pub node: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// No colour, on a terminal either
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole node in the foreground
    Up(Up),
    /// Make an empty directory the data directory of a node, or join a cluster with it
    Init(Init),
    /// Make a token that lets another machine join, once
    JoinToken(members::JoinToken),
    /// List, remove or rename the members of the cluster
    #[command(subcommand)]
    Node(members::Node),
    /// Mount the volume; starts the daemons that it needs and that do not run
    Mount(Mount),
    /// Take a mount of WolfDisk off
    #[command(visible_alias = "umount")]
    Unmount(Unmount),
    /// Say how the node is
    Status,
    /// Say what is wrong on this machine and what to do about it
    Doctor(Doctor),
    /// Check all that is stored, and repair what can be
    Check(Check),
    /// Write the index to a file, or make it from one
    #[command(subcommand)]
    Index(index::Index),
    /// List the nodes that are heard on the network
    #[command(subcommand)]
    List(List),
    /// Show how much is done each second, and how long it takes
    Stats(Stats),
    /// Show what the requests to a mount take, by operation
    Profile(Profile),
    /// Print the systemd units that this machine needs; for wolfdisk.service
    #[command(hide = true)]
    Units,
    /// Say who may do what by S3, and which folders are buckets
    #[command(subcommand)]
    S3(s3::S3),
    /// Write or check a configuration
    #[command(subcommand)]
    Config(Config),
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Name of the node: 1 to 63 of a-z, 0-9 and - [default: node.id of the configuration, else the host name]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Join a cluster by this token, from `wolfdiskctl join-token`; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN", conflicts_with = "key_file")]
    pub join: Option<String>,
    /// Join a cluster as a node by a copy of its cluster.key
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// `mount`.
#[derive(Debug, Args)]
pub struct Mount {
    /// Where to mount
    #[arg(short, long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Mount options, comma-separated
    #[arg(short, long, value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Return when the mount is usable
    #[arg(long)]
    pub background: bool,
}

/// `unmount`.
#[derive(Debug, Args)]
pub struct Unmount {
    /// The mount point
    #[arg(short, long, value_name = "DIR")]
    pub mount: PathBuf,
    /// Take it off the tree although it is in use; it ends when nobody uses it any more
    #[arg(long)]
    pub lazy: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also write what a developer wants to see into a new file, without keys, secrets and names of files
    #[arg(long, value_name = "FILE.tar.gz")]
    pub bundle: Option<PathBuf>,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Check the data of a node that does not run; changes nothing without --repair
    #[arg(long)]
    pub offline: bool,
    /// Put right what can be without guessing
    #[arg(long)]
    pub repair: bool,
    /// Do not read the content of all chunks
    #[arg(long)]
    pub quick: bool,
    /// Read at most so many bytes of content a second [default: as fast as it goes]
    #[arg(long, value_name = "BYTES")]
    pub bytes_per_second: Option<u64>,
}

/// `list`.
#[derive(Debug, Subcommand)]
pub enum List {
    /// The nodes of the cluster
    Servers,
}

/// `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    /// Show them once and end
    #[arg(long)]
    pub once: bool,
}

/// `profile`.
#[derive(Debug, Args)]
pub struct Profile {
    /// The mount point [default: all mounts of the node on this machine, together]
    #[arg(value_name = "MOUNT")]
    pub mount: Option<PathBuf>,
    /// Count for so long between two looks
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Show it once and end
    #[arg(long)]
    pub once: bool,
}

/// `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Where to mount
    #[arg(short, long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Mount options, comma-separated
    #[arg(short, long, value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Where to answer S3, or `off` [default: as the configuration says; without one 127.0.0.1:9878]
    #[arg(long, value_name = "ADDRESS")]
    pub s3: Option<S3>,
}

/// Whether and where `up` answers S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3 {
    /// Here.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for S3 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<S3, Self::Err> {
        match text.parse() {
            _ if text == "off" => Ok(S3::Off),
            Ok(address) => Ok(S3::At(address)),
            Err(_) => Err("give an IP address and a port, as 127.0.0.1:9878, or off"),
        }
    }
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print an example that explains every field
    Example,
    /// Print the reference of all fields, as docs/configuration.md
    #[command(hide = true)]
    Reference,
    /// Read the configuration and say whether it is good
    Check,
}

impl Global {
    /// What the command line says about the configuration.
    pub fn arguments(&self, mount: Option<&PathBuf>) -> Arguments {
        Arguments {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            mount: mount.cloned(),
        }
    }
}

impl Command {
    /// Whether it can ask another node than the one that is used anyway.
    pub fn asks_any_node(&self) -> bool {
        match self {
            Command::Status
            | Command::List(_)
            | Command::Stats(_)
            | Command::Node(_)
            | Command::JoinToken(_) => true,
            Command::Init(_)
            | Command::Mount(_)
            | Command::Unmount(_)
            | Command::Check(_)
            | Command::Profile(_)
            | Command::Doctor(_)
            | Command::Index(_)
            | Command::Up(_)
            | Command::Units
            | Command::S3(_)
            | Command::Config(_) => false,
        }
    }
}
