//! Raises the readahead of the mount.
//!
//! At INIT the kernel can only be told to read ahead less than its default of 128 KiB. More is set
//! through sysfs, by root only; without it large sequential reads are slower and nothing else.

use std::path::Path;

use wolfdisk_common::mounts;

use crate::limits::READ_AHEAD_KIB;

/// Sets the readahead of the mount at `path`.
pub fn raise(path: &Path) {
    let device = match mounts::at(path) {
        Ok(Some(mount)) => mount.device,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(%error, "the readahead stays as it is");
            return;
        }
    };
    let file = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = std::fs::write(&file, READ_AHEAD_KIB.to_string()) {
        tracing::debug!(file, %error, "the readahead stays as it is");
    }
}
