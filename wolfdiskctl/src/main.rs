//! The program `wolfdiskctl`; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdiskctl::{cli::Cli, command, error};

fn main() -> ExitCode {
    error::finish(command::run(&Cli::parse()))
}
