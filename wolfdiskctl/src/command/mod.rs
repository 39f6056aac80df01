//! One file for each group of commands.

mod background;
mod check;
mod config;
mod counters;
mod distance;
mod doctor;
mod index;
mod init;
mod inspect;
mod join;
mod join_token;
mod list;
mod members;
mod mount;
mod node;
mod owner;
mod profile;
mod reach;
mod s3;
mod servers;
mod standing;
mod stats;
mod status;
mod units;
mod unmount;
mod up;

use wolfdisk_common::exit::Exit;

use crate::cli::{Cli, Command};
use crate::error::CtlError;

/// Runs one command.
///
/// # Errors
/// Why it failed; [`crate::error::finish`] turns it into a line and an exit code.
pub fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let global = &cli.global;
    if global.node.is_some() && !cli.command.asks_any_node() {
        return Err(CtlError::NodeOption.into());
    }
    match &cli.command {
        Command::Init(options) => init::run(global, options),
        Command::JoinToken(options) => join_token::run(global, options),
        Command::Node(what) => members::run(global, what),
        Command::Mount(options) => mount::run(global, options),
        Command::Unmount(options) => unmount::run(options),
        Command::Status => status::run(global),
        Command::Doctor(options) => doctor::run(global, options),
        Command::Check(options) => check::run(global, options),
        Command::Index(what) => index::run(global, what),
        Command::List(what) => list::run(global, what),
        Command::Stats(options) => stats::run(global, options),
        Command::Profile(options) => profile::run(global, options),
        Command::Up(options) => up::run(global, options),
        Command::Units => units::run(global),
        Command::S3(what) => s3::run(global, what),
        Command::Config(what) => config::run(global, what),
    }
}
