//! What `/proc/self/mountinfo` says about one path (`proc_pid_mountinfo(5)`).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The list of this process's mounts.
const FILE: &str = "/proc/self/mountinfo";
/// The type of our mounts there.
const OUR_TYPE: &str = "fuse.wolfdisk";

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

/// The topmost mount at exactly `path`, if there is one. Touches no file system but `/proc`.
///
/// # Errors
/// `/proc` cannot be read.
pub fn mounted_at(path: &Path) -> io::Result<Option<Mounted>> {
    let table = std::fs::read(FILE)?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .rfind(|mount| mount.path == path))
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

/// Whether `inner` lies at or below `outer`; both absolute.
pub fn contains(outer: &Path, inner: &Path) -> bool {
    debug_assert!(outer.as_os_str().as_bytes().starts_with(b"/"));
    inner.starts_with(outer)
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
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn the_root_is_mounted() {
        let root = mounted_at(Path::new("/")).expect("/proc").expect("a root");
        assert!(!root.is_ours());
    }
}
