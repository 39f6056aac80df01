//! Test suites of others that come as crates: built once into `<target>/tools`, rebuilt when missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, cargo, output, succeeds, target_directory};

/// A crate with a program of the same name, and its version: what a suite checks must not change by
/// itself.
pub type Suite = (&'static str, &'static str);
/// Of file systems.
pub const FILE_SYSTEM: &[Suite] = &[("pjdfstest", "0.2.2"), ("fsx", "0.3.2")];
/// Of S3.
pub const S3: &[Suite] = &[("s3s-e2e", "0.14.1")];
/// Of packages: what makes them.
pub const PACKAGING: &[Suite] = &[("cargo-deb", "3.8.0"), ("cargo-generate-rpm", "0.21.1")];

/// Builds and installs those that are missing.
///
/// # Errors
/// One cannot be built.
pub fn install(suites: &[Suite]) -> Result<(), Failure> {
    let root = target_directory()?.join("tools");
    for (name, version) in suites {
        if is_there(&root, name, version) {
            continue;
        }
        let mut install = cargo(&["install", "--locked", "--debug", "--force"]);
        install.arg(format!("{name}@={version}"));
        install.arg("--root").arg(&root);
        install.arg("--target-dir").arg(root.join("build"));
        // Nobody debugs them, and the SDK that one of them brings is large.
        install.env("CARGO_PROFILE_DEV_DEBUG", "false");
        if !succeeds(&mut install)? {
            return Err(Failure::new(format!("{name} {version} cannot be built")));
        }
    }
    Ok(())
}

/// What the S3 endpoint is compared with, and its version.
const GARAGE: (&str, &str) = ("garage", "2.5.0");

/// Builds Garage, as fast as it is, unless it is there; gives its program.
///
/// # Errors
/// It cannot be built.
pub fn garage() -> Result<PathBuf, Failure> {
    let (name, version) = GARAGE;
    let root = target_directory()?.join("tools/garage");
    let program = root.join("bin").join(name);
    let said = output(Command::new(&program).arg("--version")).unwrap_or_default();
    if said.contains(version) {
        return Ok(program);
    }
    let mut install = cargo(&["install", "--locked", "--force", "--no-default-features"]);
    install.args(["--features", "bundled-libs,lmdb"]);
    install.arg(format!("{name}@={version}"));
    install.arg("--root").arg(&root);
    install.arg("--target-dir").arg(root.join("build"));
    match succeeds(&mut install)? {
        true => Ok(program),
        false => Err(Failure::new(format!("{name} {version} cannot be built"))),
    }
}

/// As cargo notes it beside what it installs: not all of them say their version.
fn is_there(root: &Path, name: &str, version: &str) -> bool {
    let noted = std::fs::read_to_string(root.join(".crates.toml")).unwrap_or_default();
    noted.contains(&format!("\"{name} {version} (")) && root.join("bin").join(name).exists()
}
