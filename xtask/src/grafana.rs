//! What checks a dashboard of Grafana: its types, and a compiler that knows them. From the npm registry into
//! `<target>/tools/grafana`, again when other versions are wanted.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, succeeds, target_directory};

/// Packages and their versions: what a dashboard may have must not change by itself.
const PACKAGES: [(&str, &str); 2] = [("@grafana/schema", "13.2.3"), ("typescript", "5.9.3")];

/// Installs them unless they are there.
///
/// # Errors
/// They cannot be installed.
pub fn install() -> Result<(), Failure> {
    let folder = target_directory()?.join("tools/grafana");
    if PACKAGES.iter().all(|package| is_there(&folder, *package)) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--silent",
        "--no-fund",
        "--no-audit",
        "--no-save",
        "--ignore-scripts",
        "--prefix",
    ]);
    npm.arg(&folder);
    npm.args(PACKAGES.map(|(name, version)| format!("{name}@{version}")));
    match succeeds(&mut npm)? {
        true => Ok(()),
        false => Err(Failure::new("the types of Grafana cannot be installed")),
    }
}

fn is_there(folder: &Path, (name, version): (&str, &str)) -> bool {
    let described = folder.join("node_modules").join(name).join("package.json");
    let text = std::fs::read_to_string(described).unwrap_or_default();
    text.contains(&format!("\"version\": \"{version}\""))
}
