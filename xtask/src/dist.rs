//! `cargo xtask dist`: the packages.

use std::path::{Path, PathBuf};

use crate::run::{Failure, NODE, build_programs, root, succeeds, target_directory};
use crate::tools;

/// Builds the programs as they are released and puts them into a package.
pub fn dist(arguments: &[String]) -> Result<(), Failure> {
    if let Some(word) = arguments.first() {
        return Err(Failure::usage(format!(
            "dist takes no arguments; got `{word}`"
        )));
    }
    build_programs("release", &NODE)?;
    let package = target_directory()?.join("dist/wolfdisk.deb");
    debian("release", None, &package)?;
    println!("{}", package.display());
    Ok(())
}

/// Two packages of what was built with `profile`, the second for an upgrade from the first; gives their folder.
pub fn for_tests(profile: &str) -> Result<PathBuf, Failure> {
    let folder = target_directory()?.join(profile).join("dist");
    debian(profile, None, &folder.join("wolfdisk.deb"))?;
    debian(profile, Some("9999-1"), &folder.join("wolfdisk-next.deb"))?;
    Ok(folder)
}

/// A package for Debian of the programs that were built with `profile`.
fn debian(profile: &str, version: Option<&str>, package: &Path) -> Result<(), Failure> {
    tools::install(tools::PACKAGING)?;
    let tool = target_directory()?.join("tools/bin/cargo-deb");
    let mut make = std::process::Command::new(tool);
    make.current_dir(root());
    make.args([
        "--package",
        "wolfdiskctl",
        "--no-build",
        "--profile",
        profile,
        "--locked",
    ]);
    if let Some(version) = version {
        make.args(["--deb-version", version]);
    }
    if profile != "release" {
        make.arg("--fast");
    }
    match succeeds(make.arg("--output").arg(package))? {
        true => Ok(()),
        false => Err(Failure::new("the package cannot be made")),
    }
}
