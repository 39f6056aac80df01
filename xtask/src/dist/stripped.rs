//! The programs without what debuggers need, which is most of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, NODE, succeeds};

/// Copies the programs in `built` into a folder in it, without symbols. Gives that folder.
pub fn copy(built: &Path) -> Result<PathBuf, Failure> {
    let folder = built.join("stripped");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", folder.display())))?;
    for name in NODE {
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(folder.join(name)).arg(built.join(name));
        if !succeeds(&mut strip)? {
            return Err(Failure::new(format!("{name} cannot be stripped")));
        }
    }
    Ok(folder)
}
