//! The daemon's entry: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_common::exit::{self, Exit};
use wolfdisk_meta::cli::Cli;

fn main() -> ExitCode {
    let outcome = wolfdisk_meta::run::run(&Cli::parse());
    exit::finish(
        "wolfdisk-meta",
        outcome.map(|()| Exit::Ok).map_err(Into::into),
    )
}
