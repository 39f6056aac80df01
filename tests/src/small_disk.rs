//! A file system of a given size, so that a test can fill it or cut its power.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::mount::umount;

use crate::command::{python, sh};
use crate::mounts::is_mounted;
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// Asks a file system to stop at once and forget what is not on the disk: argument 1 the path, 2 the number of the
/// request. `linux/ext4.h`, `EXT4_IOC_SHUTDOWN`; `xfs_fs.h`, `XFS_IOC_GOINGDOWN`: both are the same request.
const SHUT_DOWN: &str = "
import fcntl, os, struct, sys
NO_LOG_FLUSH = 2
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2]), struct.pack('I', NO_LOG_FLUSH))
";

/// Which file system.
#[derive(Clone, Copy, Debug)]
pub enum DiskKind {
    Ext4,
    Xfs,
}

impl DiskKind {
    fn make(self) -> &'static str {
        match self {
            // No blocks for root alone: the daemons run as root here and must not live on them. The inode
            // tables are written at once, so that the kernel does not do it during the test.
            DiskKind::Ext4 => "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0 image",
            DiskKind::Xfs => "mkfs.xfs -q image",
        }
    }
}

/// A file system in a sparse file, mounted; gone when dropped. Make it before the node that lies on it. Needs
/// root.
pub struct SmallDisk {
    scratch: Scratch,
}

impl SmallDisk {
    /// An ext4 file system.
    pub fn new(bytes: u64) -> SmallDisk {
        SmallDisk::of(DiskKind::Ext4, bytes)
    }

    pub fn of(kind: DiskKind, bytes: u64) -> SmallDisk {
        let scratch = Scratch::new();
        let image = File::create_new(scratch.path().join("image")).expect("a file");
        image.set_len(bytes).expect("a sparse file");
        scratch.directory("disk");
        sh(scratch.path(), kind.make());
        let disk = SmallDisk { scratch };
        disk.power_on();
        disk
    }

    /// What was not synced is gone, and every call fails from now on.
    pub fn cut_power(&self) {
        let request = nix::request_code_read!(b'X', 125, size_of::<u32>()).to_string();
        let root = self.root();
        python(
            self.scratch.path(),
            SHUT_DOWN,
            &[root.as_os_str(), request.as_ref()],
        );
    }

    /// Mounts it, after a cut anew. Nobody may have a file of it open for long.
    pub fn power_on(&self) {
        let root = self.root();
        if is_mounted(&root) {
            wait_until("nobody uses the disk", || umount(&root).is_ok());
        }
        sh(self.scratch.path(), "mount -o loop image disk");
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
