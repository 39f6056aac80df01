//! Manual pages and completions, beside the programs that they are about: packages take them from there.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failure, build_programs, succeeds};

/// Writes them into `share` beside the programs that were built with `profile`, pages as packages hold them: compressed. Gives
/// that folder.
pub fn write(profile: &str) -> Result<PathBuf, Failure> {
    let built = build_programs(profile, &["wolfdisk-manual"])?;
    let folder = built.join("share");
    // Pages of commands that are gone go too.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| {
            Failure::new(format!("cannot remove {}: {error}", folder.display()))
        })?;
    }
    let mut write = Command::new(built.join("wolfdisk-manual"));
    let mut compress = Command::new("gzip");
    // Without name and time: one build gives the same twice.
    compress.args(["-9", "--no-name", "--recursive"]);
    match succeeds(write.arg(&folder))? && succeeds(compress.arg(folder.join("man")))? {
        true => Ok(folder),
        false => Err(Failure::new("the manual cannot be written")),
    }
}
