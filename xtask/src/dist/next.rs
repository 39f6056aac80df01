//! The programs of a release after this one: `tests/next` links each `main` again, as a package of a later version.

use std::path::{Path, PathBuf};

use super::archive;
use crate::run::{Failure, NODE, build_programs};

/// The package that they are built from.
const PACKAGE: &str = "wolfdisk-next";
/// Its version, which the programs say is theirs: no release will have it.
pub const VERSION: &str = "9999.0.0";

/// Builds them with `profile`, and puts them and what is in `share` where packages look in a target directory. Gives that
/// directory.
pub fn build(profile: &str, share: &Path) -> Result<PathBuf, Failure> {
    // Together with this release's, so that both are of the same libraries.
    let built = build_programs(profile, &[&NODE[..], &[PACKAGE]].concat())?;
    let target = built.join("next");
    archive::anew(&target)?;
    let folder = target.join(profile);
    for name in NODE {
        archive::copy(&built.join(format!("next-{name}")), &folder.join(name))?;
    }
    archive::copy(share, &folder.join("share"))?;
    Ok(target)
}
