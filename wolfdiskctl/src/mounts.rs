//! The mounts of WolfDisk on this machine, as the kernel lists them, and how to take them off. Nothing
//! here looks into a mount: one whose process hangs would hang the question too.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// The type of our mounts in the kernel's table.
const OUR_TYPE: &[u8] = b"fuse.wolfdisk";

/// The mount points of all mounts of ours, in the order they were made.
///
/// # Errors
/// `/proc` cannot be read.
pub fn ours() -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(our_mount_point)
        .collect())
}

/// The mount point of a line of mountinfo, if the mount is one of ours.
fn our_mount_point(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let path = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    (kind == OUR_TYPE).then(|| PathBuf::from(OsString::from_vec(unescaped(path))))
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = field.iter().copied();
    let mut out = Vec::with_capacity(field.len());
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            let digits = bytes.by_ref().take(3);
            out.push(digits.fold(0, |sum: u8, digit| {
                sum.wrapping_mul(8).wrapping_add(digit & 7)
            }));
        } else {
            out.push(byte);
        }
    }
    out
}

/// Takes a mount off; `lazy`: also when it is in use.
///
/// # Errors
/// `ResourceBusy` if it is in use, else what the system says.
pub fn take_off(path: &Path, lazy: bool) -> io::Result<()> {
    let flags = if lazy {
        MntFlags::MNT_DETACH
    } else {
        MntFlags::empty()
    };
    match umount2(path, flags | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(()),
        // Only root may; the helper is root and knows who mounted.
        Err(Errno::EPERM) => by_helper(path, lazy),
        Err(errno) => Err(errno.into()),
    }
}

fn by_helper(path: &Path, lazy: bool) -> io::Result<()> {
    let mut command = Command::new("fusermount3");
    command
        .arg("-u")
        .args(lazy.then_some("-z"))
        .arg("--")
        .arg(path);
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match text.ends_with("busy") {
        true => Err(Errno::EBUSY.into()),
        false => Err(io::Error::other(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_lines_count_and_escapes_are_undone() {
        let ours = br"36 35 0:52 / /mnt/a\040b\134c rw shared:2 - fuse.wolfdisk wolfdisk rw";
        assert_eq!(our_mount_point(ours), Some(PathBuf::from(r"/mnt/a b\c")));
        let other = b"36 35 0:52 / /mnt rw - ext4 /dev/sda rw";
        assert_eq!(our_mount_point(other), None);
        assert_eq!(our_mount_point(b""), None);
    }
}
