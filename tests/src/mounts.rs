//! What is mounted where, as the kernel tells.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

/// Whether anything is mounted at `path`.
pub fn is_mounted(path: &Path) -> bool {
    mounted().iter().any(|mounted| mounted == path)
}

/// Detaches every mount at or below `path`, the innermost first.
pub(crate) fn detach_below(path: &Path) {
    for mount in mounted()
        .into_iter()
        .rev()
        .filter(|mount| mount.starts_with(path))
    {
        if let Err(error) = umount2(&mount, MntFlags::MNT_DETACH) {
            eprintln!("{} stays mounted: {error}", mount.display());
        }
    }
}

fn mounted() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("proc");
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .collect()
}
