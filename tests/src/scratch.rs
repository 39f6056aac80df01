//! A temporary directory that others may enter, removed with everything in it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::mounts;

/// See the module. Lies under `TMPDIR`.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        let directory = tempfile::Builder::new()
            .prefix("wolfdisk-test-")
            .tempdir()
            .expect("a directory");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("permissions");
        Scratch(directory)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A new directory in it.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Removal must not descend into a mount.
        mounts::detach_below(self.path());
    }
}
