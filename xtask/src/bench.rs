//! `cargo xtask bench`.

use std::process::Command;

use crate::run::{Failure, NODE, become_it, build_programs, root};
use crate::tools;

/// Builds the node, then becomes a benchmark, which finds the programs in `WOLFDISK_BIN`: that of the file system, or
/// that of the S3 endpoint if the first argument is `s3`.
pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    let mut packages = NODE.to_vec();
    let (script, load, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "s3" => ("bench/s3.sh", "wolfdisk-s3-load", rest),
        _ => ("bench/compare.sh", "wolfdisk-ceiling", arguments),
    };
    packages.push(load);
    let folder = build_programs("release", &packages)?;
    let mut benchmark = Command::new(root().join(script));
    benchmark.args(arguments).env("WOLFDISK_BIN", folder);
    if load == "wolfdisk-s3-load" {
        benchmark.env("GARAGE", tools::garage()?);
    }
    Err(become_it(&mut benchmark))
}
