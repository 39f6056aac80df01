//! The daemon's entry: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_common::exit::{self, Exit};
use wolfdisk_common::release;
use wolfdisk_meta::cli::Cli;

fn main() -> ExitCode {
    release::set(env!("CARGO_PKG_VERSION"));
    let cli = Cli::parse();
    let outcome = match cli.import {
        true => wolfdisk_meta::import::run(&cli),
        false => wolfdisk_meta::run::run(&cli),
    };
    exit::finish(
        "wolfdisk-meta",
        outcome.map(|()| Exit::Ok).map_err(Into::into),
    )
}
