//! The package for Debian and its like, as `wolfdiskctl/Cargo.toml` describes it.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, output, root, succeeds, target_directory};
use crate::tools;

/// Says whether the package would tell what it needs: without this tool it is made all the same, and is wrong.
///
/// # Errors
/// It would not.
pub fn must_know_libraries() -> Result<(), Failure> {
    match output(Command::new("dpkg-shlibdeps").arg("--version")) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            "dpkg-shlibdeps is missing, which tells what the package for Debian depends on; run: apt install dpkg-dev (Fedora: dnf \
             install dpkg-dev)",
        )),
    }
}

/// Makes a package of the programs that were built with `profile` into the directory `target`, and of what was written beside
/// them.
pub fn package(
    target: &Path,
    profile: &str,
    version: Option<&str>,
    package: &Path,
) -> Result<(), Failure> {
    must_know_libraries()?;
    tools::install(tools::PACKAGING)?;
    let tool = target_directory()?.join("tools/bin/cargo-deb");
    let mut make = Command::new(tool);
    make.current_dir(root());
    make.env("CARGO_TARGET_DIR", target);
    make.args([
        "--package",
        "wolfdiskctl",
        "--no-build",
        "--profile",
        profile,
        "--locked",
    ]);
    if let Some(version) = version {
        make.arg("--deb-version").arg(format!("{version}-1"));
    }
    if profile != "release" {
        make.arg("--fast");
    }
    match succeeds(make.arg("--output").arg(package))? {
        true => Ok(()),
        false => Err(Failure::new("the package for Debian cannot be made")),
    }
}
