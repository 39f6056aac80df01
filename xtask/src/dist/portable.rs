//! Programs that need no library of the machine, so that they run on any Linux of this architecture.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failure, NODE, cargo, output, succeeds, target_directory};

/// Builds them as they are released, into a target directory of their own; gives the folder that they are in.
///
/// The C library is linked in. What it loads only when it looks up names it cannot: names of hosts are found in
/// `/etc/hosts` and by DNS, users in `/etc/passwd`.
pub fn build() -> Result<PathBuf, Failure> {
    let target = target_directory()?.join("portable");
    let triple = host()?;
    // With a target named, what runs while it is built is linked as usual.
    let mut build = cargo(&["build", "--locked", "--release", "--target", &triple]);
    for package in NODE {
        build.args(["--package", package]);
    }
    build.arg("--target-dir").arg(&target);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    match succeeds(&mut build)? {
        true => Ok(target.join(triple).join("release")),
        false => Err(Failure::new("the build without libraries failed")),
    }
}

/// The machine that this is, as Rust names it.
fn host() -> Result<String, Failure> {
    let said = output(Command::new("rustc").arg("-vV")).unwrap_or_default();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Failure::new("rustc does not say what machine this is"))
}
