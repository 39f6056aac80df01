//! Archives and checksums by the programs of the system, so that one build gives the same twice.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, output, succeeds};

/// Packs all that is in `folder`, without owners and times, compressed if `archive` is named so.
pub fn pack(folder: &Path, what: &str, archive: &Path) -> Result<(), Failure> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0"]);
    tar.args(["--numeric-owner", "--format=gnu", "--mode=go-w"]);
    if archive.extension().is_some_and(|end| end == "gz") {
        tar.args(["--use-compress-program", "gzip -9 --no-name"]);
    }
    tar.arg("--create").arg("--file").arg(archive);
    tar.arg("--directory").arg(folder).arg(what);
    match succeeds(&mut tar)? {
        true => Ok(()),
        false => Err(Failure::new(format!("cannot make {}", archive.display()))),
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(file: &Path) -> Result<String, Failure> {
    let said = output(Command::new("sha256sum").arg(file)).unwrap_or_default();
    match said.split_whitespace().next() {
        Some(sum) if sum.len() == 64 => Ok(sum.to_owned()),
        _ => Err(Failure::new(format!("no checksum of {}", file.display()))),
    }
}

/// An empty folder, whatever was there.
pub fn anew(folder: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("cannot create {}: {error}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(failed)?;
    }
    std::fs::create_dir_all(folder).map_err(failed)
}

/// Copies a file or a folder, with modes and links.
pub fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("cannot create {}: {error}", to.display()));
    std::fs::create_dir_all(to.parent().unwrap_or(to)).map_err(failed)?;
    let mut copy = Command::new("cp");
    copy.args([
        "--recursive",
        "--no-dereference",
        "--preserve=mode,links",
        "--no-target-directory",
    ]);
    match succeeds(copy.arg(from).arg(to))? {
        true => Ok(()),
        false => Err(Failure::new(format!("cannot copy {}", from.display()))),
    }
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    std::fs::write(path, text).map_err(failed)
}
