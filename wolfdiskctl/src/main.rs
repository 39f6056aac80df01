//! The program `wolfdiskctl`; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_common::release;
use wolfdiskctl::{cli::Cli, command, error};

fn main() -> ExitCode {
    release::set(env!("CARGO_PKG_VERSION"));
    error::finish(command::run(&Cli::parse()))
}
