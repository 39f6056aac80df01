//! The package for Fedora and its like, as `wolfdiskctl/Cargo.toml` describes it.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, root, succeeds, target_directory};
use crate::tools;

/// Makes a package of the programs that were built with `profile` into the directory `target` and stripped, and of what was
/// written beside them.
pub fn package(
    target: &Path,
    profile: &str,
    version: Option<&str>,
    package: &Path,
) -> Result<(), Failure> {
    tools::install(tools::PACKAGING)?;
    let tool = target_directory()?.join("tools/bin/cargo-generate-rpm");
    let mut make = Command::new(tool);
    // Paths of what is not built are those of the repository.
    make.current_dir(root());
    make.args(["--package", "wolfdiskctl", "--profile", profile]);
    // What it needs is read by the same program everywhere.
    make.args(["--auto-req", "builtin"]);
    if let Some(version) = version {
        make.arg("--set-metadata")
            .arg(format!("version = \"{version}\""));
    }
    if profile != "release" {
        make.args(["--payload-compress", "none"]);
    }
    make.arg("--target-dir").arg(target);
    match succeeds(make.arg("--output").arg(package))? {
        true => Ok(()),
        false => Err(Failure::new("the package for Fedora cannot be made")),
    }
}
