//! The file system of the data directory: its kind, whether it can be written, and how much is left.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use wolfdisk_common::disk::reserve_bytes;
use wolfdisk_common::mounts;

use super::finding::Finding;
use super::ground::Ground;
use crate::output::bytes;

const DISK: &str = "disk";
const KIND: &str = "file system";
/// What a machine without data needs for its sockets and logs.
const MEMBER_MIN_BYTES: u64 = 16 << 20;
/// A node needs few files, but a directory without room for a log segment stops it.
const INODES_MIN: u64 = 1000;

/// How much there is.
#[derive(Clone, Copy, Debug)]
struct Room {
    total: u64,
    free: u64,
    /// 0: they are made as they are needed.
    inodes: u64,
    inodes_free: u64,
    read_only: bool,
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let dir = existing(&ground.config.node.data_dir);
    let mut found = Vec::new();
    match mounts::all() {
        Ok(table) => {
            let real = std::fs::canonicalize(&dir).unwrap_or_else(|_| dir.clone());
            let at = table
                .iter()
                .map(|one| (one.path.as_path(), one.kind.as_str()));
            found.extend(holder(&real, at).map(|(at, kind)| kind_of(at, kind)));
        }
        Err(error) => found.push(Finding::warn(
            KIND,
            format!("/proc/self/mountinfo cannot be read: {error}"),
            "mount /proc",
        )),
    }
    match statvfs(&dir) {
        Ok(told) => {
            let unit = told.fragment_size();
            let room = Room {
                total: told.blocks().saturating_mul(unit),
                free: told.blocks_available().saturating_mul(unit),
                inodes: told.files(),
                inodes_free: told.files_available(),
                read_only: told.flags().contains(FsFlags::ST_RDONLY),
            };
            found.extend(judge(&dir, room, ground.is_node()));
        }
        Err(error) => found.push(Finding::fail(
            DISK,
            format!(
                "the file system of {} does not answer: {error}",
                dir.display()
            ),
            "see dmesg; is its disk or server gone?",
        )),
    }
    found
}

/// The nearest directory that is there.
fn existing(path: &Path) -> PathBuf {
    let mut above = path.ancestors();
    let found = above.find(|path| path.exists());
    found.unwrap_or(Path::new("/")).to_owned()
}

/// The mount that a path lies in: of those above it the deepest, of those at one place the last.
fn holder<'a>(
    path: &Path,
    table: impl Iterator<Item = (&'a Path, &'a str)>,
) -> Option<(&'a Path, &'a str)> {
    let above = table.filter(|(at, _)| path.starts_with(at));
    above.max_by_key(|(at, _)| at.components().count())
}

fn kind_of(at: &Path, kind: &str) -> Finding {
    let at = at.display();
    let local = "keep the data on a local file system, as ext4, XFS, Btrfs or ZFS";
    match kind {
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "afs" | "lustre" | "virtiofs"
        | "fuse.glusterfs" | "fuse.sshfs" | "fuse.mfs" | "fuse.juicefs" => Finding::warn(
            KIND,
            format!(
                "the data is on a network file system ({kind} at {at}): slow, and what fsync promises there is not known"
            ),
            local,
        ),
        "fuse.wolfdisk" => Finding::fail(
            KIND,
            format!("the data is on a mount of WolfDisk itself ({at})"),
            local,
        ),
        "tmpfs" | "ramfs" => Finding::warn(
            KIND,
            format!("the data is in memory ({kind} at {at}): it is lost when the machine goes off"),
            local,
        ),
        "overlay" | "aufs" | "fuse.fuse-overlayfs" => Finding::warn(
            KIND,
            format!(
                "the data is on a layer of a container ({kind} at {at}): it is lost with the container"
            ),
            "give the container a volume for it",
        ),
        "vfat" | "exfat" | "msdos" | "ntfs" | "ntfs3" | "fuseblk" => Finding::fail(
            KIND,
            format!("{kind} at {at} keeps neither owners nor modes, and the keys are open to all"),
            local,
        ),
        kind => Finding::ok(KIND, format!("{kind} at {at}")),
    }
}

fn judge(dir: &Path, room: Room, is_node: bool) -> Vec<Finding> {
    let path = dir.display();
    let mut found = Vec::new();
    if room.read_only {
        found.push(Finding::fail(
            DISK,
            format!("{path} is mounted read-only"),
            "see dmesg for an error of the disk; then: mount -o remount,rw and its mount point",
        ));
    }
    let kept = match is_node {
        true => reserve_bytes(room.total),
        false => MEMBER_MIN_BYTES,
    };
    let (free, total) = (bytes(room.free), bytes(room.total));
    let todo = format!(
        "delete files of the volume or others on that disk, or move {path} to a larger one"
    );
    found.push(if room.free < kept {
        Finding::fail(
            DISK,
            format!("the disk of {path} is full: {free} free of {total}, and {} are kept free: new data is refused", bytes(kept)),
            todo,
        )
    } else if room.free < 2 * kept {
        Finding::warn(
            DISK,
            format!("the disk of {path} is nearly full: {free} free of {total}; below {} new data is refused", bytes(kept)),
            todo,
        )
    } else {
        Finding::ok(DISK, format!("{free} free of {total} at {path}"))
    });
    if room.inodes != 0 && room.inodes_free < INODES_MIN.min(room.inodes / 20) {
        found.push(Finding::fail(
            DISK,
            format!("the file system of {path} has {} inodes left of {}", room.inodes_free, room.inodes),
            "delete files that are not needed there, or make it anew with more inodes (mkfs.ext4 -N)",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn level(room: Room, is_node: bool) -> Level {
        let found = judge(Path::new("/d"), room, is_node);
        let fails = |level| found.iter().any(|one| one.level == level);
        match (fails(Level::Fail), fails(Level::Warn)) {
            (true, _) => Level::Fail,
            (false, true) => Level::Warn,
            (false, false) => Level::Ok,
        }
    }

    #[test]
    fn less_than_the_reserve_is_full() {
        let room = |total, free| Room {
            total,
            free,
            inodes: 0,
            inodes_free: 0,
            read_only: false,
        };
        for (total, free, is_node, expected) in [
            (100 * GIB, 50 * GIB, true, Level::Ok),
            (100 * GIB, 5 * GIB, true, Level::Warn),
            (100 * GIB, 3 * GIB, true, Level::Fail),
            (100 * GIB, 3 * GIB, false, Level::Ok),
            (GIB / 8, GIB / 4096, true, Level::Fail),
            (100 * GIB, 1 << 20, false, Level::Fail),
        ] {
            assert_eq!(
                level(room(total, free), is_node),
                expected,
                "{free} of {total}"
            );
        }
        let inodes = |inodes, inodes_free| Room {
            inodes,
            inodes_free,
            ..room(100 * GIB, 50 * GIB)
        };
        assert_eq!(level(inodes(1 << 20, 10), true), Level::Fail);
        assert_eq!(level(inodes(1 << 20, 5000), true), Level::Ok);
        assert_eq!(level(inodes(400, 300), true), Level::Ok);
        let read_only = Room {
            read_only: true,
            ..room(100 * GIB, 50 * GIB)
        };
        assert_eq!(level(read_only, true), Level::Fail);
    }

    #[test]
    fn kinds_are_told_apart() {
        for (kind, expected) in [
            ("ext4", Level::Ok),
            ("zfs", Level::Ok),
            ("nfs4", Level::Warn),
            ("overlay", Level::Warn),
            ("tmpfs", Level::Warn),
            ("vfat", Level::Fail),
            ("fuse.wolfdisk", Level::Fail),
        ] {
            assert_eq!(kind_of(Path::new("/"), kind).level, expected, "{kind}");
        }
    }

    #[test]
    fn the_deepest_and_last_mount_counts() {
        let table = [
            ("/", "ext4"),
            ("/srv", "xfs"),
            ("/srv", "tmpfs"),
            ("/s", "nfs"),
        ];
        let of = |path| {
            let table = table.iter().map(|(at, kind)| (Path::new(*at), *kind));
            holder(Path::new(path), table).map(|(_, kind)| kind)
        };
        assert_eq!(of("/srv/data"), Some("tmpfs"));
        assert_eq!(of("/var"), Some("ext4"));
    }
}
