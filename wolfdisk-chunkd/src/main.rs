//! The daemon's entry: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_chunkd::cli::Cli;
use wolfdisk_common::exit::{self, Exit};

fn main() -> ExitCode {
    let outcome = wolfdisk_chunkd::run::run(Cli::parse().into());
    exit::finish("wolfdisk-chunkd", outcome.map(|()| Exit::Ok).map_err(Into::into))
}
