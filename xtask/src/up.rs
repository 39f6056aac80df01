//! `cargo xtask up`.

use std::process::Command;

use crate::run::{Failure, NODE, become_it, build_programs};

/// Builds the node, then becomes it.
pub fn up(arguments: &[String]) -> Result<(), Failure> {
    let folder = build_programs("release", &NODE)?;
    Err(become_it(
        Command::new(folder.join("wolfdiskctl"))
            .arg("up")
            .args(arguments),
    ))
}
