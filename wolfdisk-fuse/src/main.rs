//! The program `wolfdisk-fuse`; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use wolfdisk_common::exit::one_line;
use wolfdisk_common::release;
use wolfdisk_fuse::{arguments::Arguments, run};

fn main() -> ExitCode {
    release::set(env!("CARGO_PKG_VERSION"));
    match run::run(&Arguments::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("wolfdisk-fuse: {}", one_line(&error));
            error.exit().into()
        }
    }
}
