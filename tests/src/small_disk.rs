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

/// Asks on which block of the disk one of a file lies: argument 1 the path, 2 the block. `linux/fs.h`, `FIBMAP`.
const PLACE: &str = "
import fcntl, os, struct, sys
FIBMAP = 1
answer = fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), FIBMAP, struct.pack('i', int(sys.argv[2])))
print(struct.unpack('i', answer)[0])
";

/// What `mkfs.ext4` is told below.
const EXT4_BLOCK_BYTES: u64 = 4096;

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
            DiskKind::Ext4 => "mkfs.ext4 -q -F -b 4096 -m 0 -E lazy_itable_init=0 image",
            DiskKind::Xfs => "mkfs.xfs -q image",
        }
    }

    /// How the image is mounted. One that was cut off and still lives must not keep xfs from the copy of it: see
    /// [`SmallDisk::power_on`].
    fn mount(self) -> &'static str {
        match self {
            DiskKind::Ext4 => "mount -o loop image disk",
            DiskKind::Xfs => "mount -o loop,nouuid image disk",
        }
    }
}

/// A file system in a sparse file, mounted; gone when dropped. Make it before the node that lies on it. Needs
/// root.
pub struct SmallDisk {
    scratch: Scratch,
    kind: DiskKind,
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
        let disk = SmallDisk { scratch, kind };
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
            // Anything on the machine that made a mount namespace since keeps what was cut off alive, and whoever
            // mounts the same image gets that again. In a copy it can also write nothing more.
            let copy = "cp --sparse=auto image copy && mv copy image";
            sh(self.scratch.path(), copy);
        }
        sh(self.scratch.path(), self.kind.mount());
    }

    /// From this byte on no sector can be read, until [`SmallDisk::give_back`]. Nothing may be written there in
    /// between: the image would grow again.
    pub fn lose_from(&self, at: u64) {
        sh(
            self.scratch.path(),
            &format!("sync -f disk && cp --sparse=always image whole && truncate -s {at} image"),
        );
    }

    /// What [`SmallDisk::lose_from`] took is there again.
    pub fn give_back(&self) {
        let size = |name| {
            let file = self.scratch.path().join(name);
            file.metadata().expect("an image").len()
        };
        let (at, whole) = (size("image"), size("whole"));
        let copy = format!(
            "truncate -s {whole} image && dd if=whole of=image conv=notrunc,sparse bs={at} skip=1 seek=1 status=none \
             && rm whole"
        );
        sh(self.scratch.path(), &copy);
    }

    /// At which byte of the disk a byte of a file on it lies. For ext4.
    pub fn place_of(&self, file: &Path, offset: u64) -> u64 {
        let block = (offset / EXT4_BLOCK_BYTES).to_string();
        let found = python(
            self.scratch.path(),
            PLACE,
            &[file.as_os_str(), block.as_ref()],
        );
        let block: u64 = found.trim().parse().expect("a block");
        block * EXT4_BLOCK_BYTES + offset % EXT4_BLOCK_BYTES
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
