//! Tells the kernel what changed elsewhere.
//!
//! Called on the volume's threads for that only. The kernel's answer may have to wait for a
//! directory or a page that a request in flight holds; the volume counts a call that takes too long as
//! unconfirmed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use fuser::Notifier;
use wolfdisk_client::CacheListener;
use wolfdisk_common::ids::Ino;

use crate::freshness::Freshness;
use crate::numbers::number;

/// From the start to the end of a file.
const ALL_DATA: (i64, i64) = (0, 0);
/// A negative offset leaves the pages alone.
const NO_DATA: (i64, i64) = (-1, 0);

/// See the module.
#[derive(Debug)]
pub struct KernelCache {
    notifier: Notifier,
    freshness: Arc<Freshness>,
}

impl KernelCache {
    /// Notifies through `notifier` after having passed `freshness`.
    pub fn new(notifier: Notifier, freshness: Arc<Freshness>) -> KernelCache {
        KernelCache {
            notifier,
            freshness,
        }
    }
}

impl CacheListener for KernelCache {
    fn invalidate_entry(&self, parent: Ino, name: &[u8]) -> io::Result<()> {
        self.freshness.advance();
        absent_is_fine(
            self.notifier
                .inval_entry(number(parent), OsStr::from_bytes(name)),
        )
    }

    fn overtake(&self) {
        self.freshness.advance();
    }

    fn invalidate_inode(&self, ino: Ino, data: bool) -> io::Result<()> {
        self.freshness.advance();
        let (offset, length) = if data { ALL_DATA } else { NO_DATA };
        absent_is_fine(self.notifier.inval_inode(number(ino), offset, length))
    }
}

/// The kernel says so of what it does not hold: an unknown inode, a name whose parent is no directory
/// any more, a mount that is already gone.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::ENOTCONN | libc::ENODEV)
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
