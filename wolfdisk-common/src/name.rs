//! A file name that has been checked: the only type by which names enter the index.

use std::fmt;
use std::sync::Arc;

use crate::limits::NAME_MAX_BYTES;

/// One component of a path: 1 to 255 bytes, no `/`, no NUL, neither `.` nor `..`. Bytes are kept as
/// they are; names are case-sensitive and need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<[u8]>);

/// Why bytes are no file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes at all.
    #[error("a file name is empty")]
    Empty,
    /// More than 255 bytes.
    #[error("a file name of {0} bytes is longer than 255")]
    TooLong(usize),
    /// `/`, NUL, `.` or `..`.
    #[error("a file name is '.', '..' or holds '/' or NUL")]
    Reserved,
}

impl FileName {
    /// Checks and keeps `bytes`.
    ///
    /// # Errors
    /// Says which rule the bytes break.
    pub fn new(bytes: &[u8]) -> Result<FileName, NameError> {
        match bytes {
            [] => Err(NameError::Empty),
            long if long.len() > NAME_MAX_BYTES => Err(NameError::TooLong(long.len())),
            b"." | b".." => Err(NameError::Reserved),
            other if other.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(NameError::Reserved),
            good => Ok(FileName(Arc::from(good))),
        }
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for FileName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_kept() {
        assert_eq!(FileName::new(b""), Err(NameError::Empty));
        assert_eq!(FileName::new(&[b'x'; 256]), Err(NameError::TooLong(256)));
        for bad in [&b"."[..], b"..", b"a/b", b"a\0b"] {
            assert_eq!(FileName::new(bad), Err(NameError::Reserved));
        }
        for good in [&b"..."[..], b"\xff\xfe", b" ", &[b'x'; 255]] {
            assert_eq!(FileName::new(good).expect("a name").as_bytes(), good);
        }
    }
}
