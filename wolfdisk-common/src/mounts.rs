//! What the kernel says is mounted (`proc_pid_mountinfo(5)`), and how to take a mount off. Looks into no
//! mount: one whose process hangs would hang the question too.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::notify;

/// The list of this process's mounts.
const FILE: &str = "/proc/self/mountinfo";
/// The type of our mounts there.
const OUR_TYPE: &str = "fuse.wolfdisk";
/// Where the kernel has a switch for each FUSE connection.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";
/// What does the unmounting for ordinary users.
const HELPER: &str = "fusermount3";

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Device, as `major:minor`: the name of its readahead settings.
    pub device: String,
    /// Where.
    pub path: PathBuf,
    /// Its type.
    pub kind: String,
}

impl Mounted {
    /// Whether one of us made it.
    pub fn is_ours(&self) -> bool {
        self.kind == OUR_TYPE
    }
}

/// All mounts, in the order they were made.
///
/// # Errors
/// `/proc` cannot be read.
pub fn all() -> io::Result<Vec<Mounted>> {
    let table = std::fs::read(FILE)?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// The mount points of all mounts of ours, in the order they were made.
///
/// # Errors
/// `/proc` cannot be read.
pub fn ours() -> io::Result<Vec<PathBuf>> {
    let ours = all()?.into_iter().filter(Mounted::is_ours);
    Ok(ours.map(|mount| mount.path).collect())
}

/// The topmost mount at exactly `path`, if there is one.
///
/// # Errors
/// `/proc` cannot be read.
pub fn at(path: &Path) -> io::Result<Option<Mounted>> {
    let found = all()?.into_iter().rfind(|mount| mount.path == path);
    Ok(found)
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

/// Ends a mount whose process is dead: who waits for an answer is told that there is none, and it is taken
/// off. Only taking it off would leave them waiting if a thread of the dead cannot let go of its device.
///
/// # Errors
/// What the system says.
pub fn end(path: &Path) -> io::Result<()> {
    let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
    match umount2(path, flags) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => {
            abort(path)?;
            by_helper(path, true)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// What who made a mount may do without being root.
fn abort(path: &Path) -> io::Result<()> {
    let mounted = at(path)?.ok_or(io::ErrorKind::NotFound)?;
    match std::fs::write(connection(&mounted.device).join("abort"), "1") {
        // The file system of these switches is not mounted.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

/// How many requests the kernel waits for on the FUSE mount that is this device.
///
/// # Errors
/// The file system that says so is not mounted, or the mount is somebody else's.
pub fn waiting(device: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(connection(device).join("waiting"))?;
    text.trim().parse().map_err(io::Error::other)
}

fn connection(device: &str) -> PathBuf {
    let minor = device.rsplit(':').next().unwrap_or_default();
    Path::new(CONNECTIONS).join(minor)
}

fn by_helper(path: &Path, lazy: bool) -> io::Result<()> {
    let mut command = Command::new(HELPER);
    command
        .arg("-u")
        .args(lazy.then_some("-z"))
        .arg("--")
        .arg(path);
    let output = notify::hide(&mut command).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match text.ends_with("busy") {
        true => Err(Errno::EBUSY.into()),
        false => Err(io::Error::other(text)),
    }
}

/// Whether ordinary users can mount: `fusermount3` is there.
pub fn has_helper() -> bool {
    let mut command = Command::new(HELPER);
    let found = notify::hide(command.arg("-V")).output();
    found.is_ok_and(|output| output.status.success())
}

fn parse(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let path = fields.nth(1)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mounted {
        device: String::from_utf8_lossy(device).into_owned(),
        path: PathBuf::from(OsString::from_vec(unescape(path))),
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Space, tab, newline and backslash stand there as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match (first, code) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_optional_fields_and_escapes_is_read() {
        let line = br"36 35 0:52 / /mnt/a\040b\134c rw,noatime master:1 shared:2 - fuse.wolfdisk wolfdisk rw";
        let mount = parse(line).expect("a mount");
        assert_eq!(mount.device, "0:52");
        assert_eq!(mount.path, Path::new(r"/mnt/a b\c"));
        assert!(mount.is_ours());
        let other = parse(b"36 35 0:52 / /mnt rw - ext4 /dev/sda rw").expect("a mount");
        assert!(!other.is_ours());
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn the_root_is_mounted() {
        let root = at(Path::new("/")).expect("/proc").expect("a root");
        assert!(!root.is_ours());
    }
}
