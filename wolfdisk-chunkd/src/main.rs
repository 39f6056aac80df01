//! The daemon's entry: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_chunkd::cli::Cli;
use wolfdisk_common::exit::{self, Exit};
use wolfdisk_common::release;

fn main() -> ExitCode {
    release::set(env!("CARGO_PKG_VERSION"));
    let outcome = wolfdisk_chunkd::run::run(&Cli::parse());
    // The error itself, not anyhow's wrapping of it: the exit code goes by its type.
    let outcome = outcome
        .map(|()| Exit::Ok)
        .map_err(anyhow::Error::reallocate_into_boxed_dyn_error_without_backtrace);
    exit::finish("wolfdisk-chunkd", outcome)
}
