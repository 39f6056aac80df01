//! A file system of a given size, so that a test can fill it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::command::sh;
use crate::scratch::Scratch;

/// An ext4 file system in a sparse file, mounted; gone when dropped. Make it before the node that lies
/// on it. Needs root.
pub struct SmallDisk {
    scratch: Scratch,
}

impl SmallDisk {
    pub fn new(bytes: u64) -> SmallDisk {
        let scratch = Scratch::new();
        let image = File::create_new(scratch.path().join("image")).expect("a file");
        image.set_len(bytes).expect("a sparse file");
        scratch.directory("disk");
        // No blocks for root alone: the daemons run as root here and must not live on them. The inode
        // tables are written at once, so that the kernel does not do it during the test.
        sh(
            scratch.path(),
            "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0 image && mount -o loop image disk",
        );
        SmallDisk { scratch }
    }

    /// A directory on it that is not there yet.
    pub fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// Where it is mounted.
    pub fn root(&self) -> PathBuf {
        self.scratch.path().join("disk")
    }
}

/// What `df` tells of a path.
#[derive(Clone, Copy, Debug)]
pub struct Df {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

impl Df {
    pub fn of(path: &Path) -> Df {
        let told = nix::sys::statvfs::statvfs(path).expect("statvfs");
        Df {
            total_bytes: told.blocks() * told.fragment_size(),
            free_bytes: told.blocks_available() * told.fragment_size(),
        }
    }
}
