//! `cargo xtask up`.

use std::process::Command;

use crate::run::{Failure, become_it, build_programs};

/// Builds the node, then becomes it.
pub fn up(arguments: &[String]) -> Result<(), Failure> {
    let folder = build_programs("release")?;
    Err(become_it(
        Command::new(folder.join("wolfdiskctl"))
            .arg("up")
            .args(arguments),
    ))
}
