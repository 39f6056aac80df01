//! The program `wolfdisk-s3`; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_common::exit::{self, Exit};
use wolfdisk_common::release;
use wolfdisk_s3::{arguments::Arguments, run};

fn main() -> ExitCode {
    release::set(env!("CARGO_PKG_VERSION"));
    let outcome = run::run(&Arguments::parse());
    // The error itself, not anyhow's wrapping of it: the exit code goes by its type.
    let outcome = outcome
        .map(|()| Exit::Ok)
        .map_err(anyhow::Error::reallocate_into_boxed_dyn_error_without_backtrace);
    exit::finish("wolfdisk-s3", outcome)
}
