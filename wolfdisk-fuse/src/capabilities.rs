//! What is negotiated with the kernel at INIT, and why.
//!
//! * `DONT_MASK`: the index applies the umask, since a default ACL of the directory overrides it.
//! * `POSIX_ACL`: the kernel enforces ACLs from the two `system.posix_acl_*` attributes.
//! * `EXPLICIT_INVAL_DATA`, not `AUTO_INVAL_DATA`: pages are dropped when the rights to them are taken back.
//!   To guess from mtime and size would drop the pages of a file after each of this mount's own writes.
//! * `DIRECT_IO_ALLOW_MMAP`: files opened with `O_APPEND` for writing bypass the page cache and can still be
//!   mapped.
//! * `HANDLE_KILLPRIV_V2`, unless set-id programs run from the mount: else the kernel asks for
//!   `security.capability` before each write, which doubles the requests of a small one. Set-id bits and
//!   that attribute are then ours to clear. The library does not pass on all that the kernel says about it,
//!   and the kernel may believe in the bits of a file for some time after a write has cleared them; where
//!   the mount is `nosuid`, that has no effect.
//! * Never `ATOMIC_O_TRUNC`: the kernel would have the file cut by the open and look only then whether it is a
//!   program that runs, so that `O_RDONLY | O_TRUNC` would empty it under its processes.
//! * `WRITEBACK_CACHE` on an exclusive mount only: the kernel owns size and mtime then, which others would change. Such a
//!   mount leaves locks to the kernel as well.
//! * Never `SETXATTR_EXT` (the library panics on it), `NO_OPENDIR_SUPPORT` (the kernel would keep listings beyond
//!   the right to them).

use std::io;

use fuser::{InitFlags, KernelConfig};

use crate::limits::{BACKGROUND_MAX, CONGESTION_THRESHOLD, READ_AHEAD_KIB, WRITE_MAX_BYTES};

/// Asked for where the kernel has them. Reading, writing and locking work without, if slower or only
/// within this machine.
const WANTED: [InitFlags; 12] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_BIG_WRITES,
    InitFlags::FUSE_MAX_PAGES,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_EXPORT_SUPPORT,
    InitFlags::FUSE_EXPLICIT_INVAL_DATA,
    InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
    InitFlags::FUSE_POSIX_ACL,
];

/// Asked for where other mounts can be. Without them locks hold on this mount only.
const AMONG_OTHERS: [InitFlags; 2] = [InitFlags::FUSE_POSIX_LOCKS, InitFlags::FUSE_FLOCK_LOCKS];

/// Without these permissions would come out wrong: there is no mount then.
const NEEDED: InitFlags = InitFlags::FUSE_DONT_MASK;

/// What the kernel granted that changes how files are opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Granted {
    /// Files that bypass the page cache can be mapped.
    pub direct_mmap: bool,
    /// Set-id bits and file capabilities of a file that is changed are ours to clear.
    pub clears_privileges: bool,
    /// Writes reach us when the kernel writes its pages back. It reads the rest of a page that a program writes a part
    /// of, whatever the file was opened for, and knows itself where a file ends.
    pub writes_back: bool,
}

/// All that a successor must find granted as this process did.
pub fn used() -> InitFlags {
    let wanted = (WANTED.iter().chain(&AMONG_OTHERS).copied()).collect::<InitFlags>();
    wanted | NEEDED | InitFlags::FUSE_HANDLE_KILLPRIV_V2 | InitFlags::FUSE_WRITEBACK_CACHE
}

/// Asks for capabilities and sets sizes. `suid`: programs on the mount may run with set-id bits; `exclusive`: there
/// is no other mount.
///
/// # Errors
/// The kernel is too old.
pub fn negotiate(config: &mut KernelConfig, suid: bool, exclusive: bool) -> io::Result<Granted> {
    let (needed, among_others) = match exclusive {
        true => (NEEDED | InitFlags::FUSE_WRITEBACK_CACHE, &[][..]),
        false => (NEEDED, &AMONG_OTHERS[..]),
    };
    config.add_capabilities(needed).map_err(|missing| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!("this kernel's FUSE lacks {missing:?}; Linux 5.4 or newer is needed"),
        )
    })?;
    for wanted in WANTED.iter().chain(among_others).copied() {
        if let Err(missing) = config.add_capabilities(wanted) {
            tracing::debug!(?missing, "the kernel lacks a capability");
        }
    }
    let clears_privileges = !suid
        && config
            .add_capabilities(InitFlags::FUSE_HANDLE_KILLPRIV_V2)
            .is_ok();
    // Each gives back the nearest value that would do; what the kernel allows at most is fine.
    let _ = config.set_max_write(WRITE_MAX_BYTES);
    if let Err(most) = config.set_max_readahead(READ_AHEAD_KIB * 1024) {
        let _ = config.set_max_readahead(most);
    }
    let _ = config.set_max_background(BACKGROUND_MAX);
    let _ = config.set_congestion_threshold(CONGESTION_THRESHOLD);
    Ok(Granted {
        direct_mmap: config
            .capabilities()
            .contains(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP),
        clears_privileges,
        writes_back: exclusive,
    })
}
