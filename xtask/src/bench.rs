//! `cargo xtask bench`.

use std::process::Command;

use crate::run::{Failure, NODE, become_it, build_programs, root};
use crate::tools;

/// Builds the node, then becomes a benchmark, which finds the programs in `WOLFDISK_BIN`: that of the file system, or
/// that of the S3 endpoint if the first argument is `s3`, or that of mounts on other machines if it is `network`.
pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    let first = arguments.first().map(String::as_str);
    let (script, load) = match first {
        Some("s3") => ("bench/s3.sh", Some("wolfdisk-s3-load")),
        Some("network") => ("bench/network.sh", None),
        _ => ("bench/compare.sh", Some("wolfdisk-ceiling")),
    };
    let is_named = matches!(first, Some("s3" | "network"));
    let packages: Vec<_> = NODE.into_iter().chain(load).collect();
    let folder = build_programs("release", &packages)?;
    let mut benchmark = Command::new(root().join(script));
    benchmark
        .args(&arguments[usize::from(is_named)..])
        .env("WOLFDISK_BIN", folder);
    if first == Some("s3") {
        benchmark.env("GARAGE", tools::garage()?);
    }
    Err(become_it(&mut benchmark))
}
