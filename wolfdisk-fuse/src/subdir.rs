//! `subdir=`: a directory of the volume as the root of a mount.
//!
//! It is looked up once. After that the mount follows the directory, however it is renamed. It keeps nobody out: who
//! mounts may as well mount the whole. What a machine may see is said by its token.

use std::fmt;
use std::str::FromStr;

use wolfdisk_client::{FileKind, Lookup, Volume};
use wolfdisk_common::ids::Ino;

use crate::error::FuseError;
use crate::options::OptionError;

/// How a path is to be written.
const ALLOWED: &str = "the path of a directory from the root of the volume, without ..; in it `\\,` is a comma, `\\\\` a \
                       backslash, and a backslash with three octal digits any byte but zero, as `\\040` a space";
/// Octal digits of a byte.
const DIGITS: usize = 3;

/// A path from the root of the volume; the root itself if it is empty. Names are bytes, as everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subdir {
    names: Vec<Vec<u8>>,
}

impl FromStr for Subdir {
    type Err = OptionError;

    fn from_str(value: &str) -> Result<Subdir, OptionError> {
        let refused = || OptionError::Value {
            name: "subdir",
            value: value.to_owned(),
            allowed: ALLOWED,
        };
        let path = unescaped(value.as_bytes()).ok_or_else(refused)?;
        let names = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty() && *name != b".");
        let names: Vec<_> = names.map(<[u8]>::to_vec).collect();
        match names.iter().any(|name| name == b"..") {
            false => Ok(Subdir { names }),
            true => Err(refused()),
        }
    }
}

/// A value without its escapes; none if one is none.
fn unescaped(mut value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    while let Some((first, rest)) = value.split_first() {
        value = match (first, rest.first()) {
            (b'\\', Some(escaped @ (b',' | b'\\'))) => {
                bytes.push(*escaped);
                rest.get(1..)?
            }
            (b'\\', _) => {
                let digits = std::str::from_utf8(rest.get(..DIGITS)?).ok()?;
                // A sign is no digit.
                let digits = digits
                    .bytes()
                    .all(|digit| digit.is_ascii_digit())
                    .then_some(digits)?;
                let byte = u8::from_str_radix(digits, 8).ok()?;
                bytes.push(Some(byte).filter(|byte| *byte != 0)?);
                rest.get(DIGITS..)?
            }
            _ => {
                bytes.push(*first);
                rest
            }
        };
    }
    Some(bytes)
}

impl fmt::Display for Subdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.names.join(&b'/')))
    }
}

impl Subdir {
    /// The directory's inode.
    ///
    /// # Errors
    /// It is not there, or something on the way is no directory; or the volume cannot be asked.
    pub fn find(&self, volume: &Volume) -> Result<Ino, FuseError> {
        let mut at = volume.root();
        for (depth, name) in self.names.iter().enumerate() {
            let refused = |why| FuseError::NoSubdir {
                place: Subdir {
                    names: self.names.iter().take(depth + 1).cloned().collect(),
                },
                why,
            };
            match volume.lookup(at, name) {
                Ok(Lookup::Found(entry)) if entry.attr.kind == FileKind::Directory => {
                    at = entry.attr.ino
                }
                Ok(Lookup::Found(_)) => {
                    return Err(refused("is no directory; symbolic links are not followed"));
                }
                Ok(Lookup::Missing { .. }) => {
                    return Err(refused(
                        "is not there; make it through a mount without subdir=",
                    ));
                }
                Err(error) if error.errno() == libc::ENAMETOOLONG => {
                    return Err(refused("has a name that is too long"));
                }
                Err(error) => return Err(FuseError::Volume(error)),
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bytes() {
        let read = Subdir::from_str(r"\377\376/b");
        let names = read.map(|subdir| subdir.names);
        assert_eq!(names, Ok(vec![b"\xff\xfe".to_vec(), b"b".to_vec()]));
    }

    #[test]
    fn a_path_is_read_from_the_root_however_it_is_written() {
        for (written, shown) in [
            ("", "/"),
            ("/", "/"),
            ("a/b", "/a/b"),
            ("/a//b/./", "/a/b"),
            ("with space/\u{e4}", "/with space/\u{e4}"),
            (r"a\,b/c\\d", r"/a,b/c\d"),
            (r"\054\303\244", "/,\u{e4}"),
        ] {
            let read = written.parse().map(|subdir: Subdir| subdir.to_string());
            assert_eq!(read.as_deref(), Ok(shown), "{written}");
        }
        let refused = [
            "..",
            "a/../b",
            "/..",
            r"a\057..",
            r"\056\056",
            r"a\",
            r"a\b",
            r"a\40",
            r"a\400",
            r"a\+40",
            r"a\000",
            "a\\\u{e4}",
        ];
        for refused in refused {
            let error = Subdir::from_str(refused).map_err(|error| error.to_string());
            assert!(
                error.is_err_and(|text| text.contains("without ..")),
                "{refused}"
            );
        }
    }
}
