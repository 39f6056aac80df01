//! S3 clients that come from the registries of their languages: installed once into `<target>/tools/clients`.
//!
//! They are the newest there are, since users have those. What is there is brought up to date once a day, so that a
//! folder that is kept does not grow old.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::run::{Failure, succeeds, target_directory};

/// From PyPI.
const PYTHON: [&str; 2] = ["boto3[crt]", "awscli"];
/// From the npm registry.
const NODE: [&str; 2] = ["@aws-sdk/client-s3", "minio"];
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Installs those that are missing or old.
///
/// # Errors
/// One cannot be installed.
pub fn install() -> Result<(), Failure> {
    let folder = target_directory()?.join("tools/clients");
    let (python, node, mark) = (
        folder.join("python"),
        folder.join("node"),
        folder.join("fresh"),
    );
    if is_fresh(&mark) {
        return Ok(());
    }
    if !python.join("bin/pip").exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&python);
        must(&mut make, "a Python environment for S3 clients")?;
    }
    let mut pip = Command::new(python.join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--upgrade",
    ]);
    must(pip.args(PYTHON), "S3 clients in Python")?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--silent",
        "--no-fund",
        "--no-audit",
        "--no-save",
        "--prefix",
    ]);
    must(npm.arg(&node).args(NODE), "S3 clients in JavaScript")?;
    note(&mark)
}

fn must(command: &mut Command, what: &str) -> Result<(), Failure> {
    match succeeds(command)? {
        true => Ok(()),
        false => Err(Failure::new(format!("{what} cannot be installed"))),
    }
}

fn is_fresh(mark: &PathBuf) -> bool {
    let made = std::fs::metadata(mark).and_then(|metadata| metadata.modified());
    let age = made.map(|made| SystemTime::now().duration_since(made).unwrap_or_default());
    age.is_ok_and(|age| age < KEPT)
}

fn note(mark: &Path) -> Result<(), Failure> {
    std::fs::write(mark, b"")
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", mark.display())))
}
