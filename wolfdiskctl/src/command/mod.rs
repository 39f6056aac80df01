//! One file for each group of commands.

mod background;
mod check;
mod config;
mod init;
mod list;
mod mount;
mod node;
mod s3;
mod stats;
mod status;
mod unmount;
mod up;

use wolfdisk_common::exit::Exit;

use crate::cli::{Cli, Command};

/// Runs one command.
///
/// # Errors
/// Why it failed; [`crate::error::finish`] turns it into a line and an exit code.
pub fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        Command::Init(options) => init::run(global, options),
        Command::Mount(options) => mount::run(global, options),
        Command::Unmount(options) => unmount::run(options),
        Command::Status => status::run(global),
        Command::Check(options) => check::run(global, options),
        Command::List(what) => list::run(global, what),
        Command::Stats(options) => stats::run(global, options),
        Command::Up(options) => up::run(global, options),
        Command::S3(what) => s3::run(global, what),
        Command::Config(what) => config::run(global, what),
    }
}
