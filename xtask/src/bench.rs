//! `cargo xtask bench`.

use std::process::Command;

use crate::run::{Failure, NODE, become_it, build_programs, root};

/// Builds the node, then becomes the benchmark, which finds the programs in `WOLFDISK_BIN`.
pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    let mut packages = NODE.to_vec();
    packages.push("wolfdisk-ceiling");
    let folder = build_programs("release", &packages)?;
    let script = root().join("bench/compare.sh");
    Err(become_it(
        Command::new(script)
            .args(arguments)
            .env("WOLFDISK_BIN", folder),
    ))
}
