//! What runs on any Linux of this architecture: the programs without libraries, and all that `setup.sh` installs with them.

use std::path::Path;

use super::archive;
use crate::run::{Failure, NODE, root};

/// Files of the repository, and where they are in the tarball.
const FILES: [(&str, &str); 8] = [
    ("deploy/setup.sh", "setup.sh"),
    ("deploy/systemd", "systemd"),
    ("deploy/mount.wolfdisk", "mount.wolfdisk"),
    ("deploy/config.toml", "config.toml"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE", "LICENSE"),
    ("docs", "docs"),
];

/// Packs the programs in a folder, and manual pages and completions of another, into `FOLDER/NAME.tar.gz`.
pub fn make(programs: &Path, share: &Path, folder: &Path, name: &str) -> Result<(), Failure> {
    let stage = folder.join("stage");
    archive::anew(&stage)?;
    let tree = stage.join(name);
    for program in NODE {
        archive::copy(&programs.join(program), &tree.join("bin").join(program))?;
    }
    archive::copy(share, &tree.join("share"))?;
    for (from, to) in FILES {
        archive::copy(&root().join(from), &tree.join(to))?;
    }
    archive::pack(&stage, name, &folder.join(format!("{name}.tar.gz")))?;
    std::fs::remove_dir_all(&stage)
        .map_err(|error| Failure::new(format!("cannot remove {}: {error}", stage.display())))
}
