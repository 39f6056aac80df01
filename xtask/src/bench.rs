//! `cargo xtask bench`.

use std::process::Command;

use crate::run::{Failure, become_it, build_programs, root};

/// Builds the node, then becomes the benchmark, which finds the programs in `WOLFDISK_BIN`.
pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    let folder = build_programs("release")?;
    let script = root().join("bench/compare.sh");
    Err(become_it(
        Command::new(script)
            .args(arguments)
            .env("WOLFDISK_BIN", folder),
    ))
}
