//! The key of an object below a directory, checked: the only type by which keys enter the index.

use std::fmt;

use crate::limits::OBJECT_KEY_MAX_BYTES;
use crate::name::{FileName, NameError};

/// A path of at least one name, of at most 1024 bytes: names with `/` between them. One that ends in `/` is a
/// *marker* and means a directory itself; any other means a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    parents: Vec<FileName>,
    name: FileName,
    marker: bool,
}

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No name at all.
    #[error("a key is empty")]
    Empty,
    /// More than 1024 bytes.
    #[error("a key of {0} bytes is longer than {OBJECT_KEY_MAX_BYTES}")]
    TooLong(usize),
    /// A part between two `/` is no file name.
    #[error("a part of a key cannot be used: {0}")]
    Name(#[from] NameError),
}

impl ObjectKey {
    /// Checks and takes apart `key`.
    ///
    /// # Errors
    /// Says which rule the bytes break.
    pub fn parse(key: &[u8]) -> Result<ObjectKey, KeyError> {
        if key.len() > OBJECT_KEY_MAX_BYTES {
            return Err(KeyError::TooLong(key.len()));
        }
        let (path, marker) = match key.strip_suffix(b"/") {
            Some(path) => (path, true),
            None => (key, false),
        };
        if path.is_empty() {
            return Err(KeyError::Empty);
        }
        let names = path.split(|byte| *byte == b'/');
        let names = names.map(FileName::new).collect::<Result<_, _>>()?;
        ObjectKey::new(names, marker)
    }

    /// The key with these names.
    ///
    /// # Errors
    /// There are none, or it is too long.
    pub fn new(mut names: Vec<FileName>, marker: bool) -> Result<ObjectKey, KeyError> {
        let name = names.pop().ok_or(KeyError::Empty)?;
        let parents = names;
        let key = ObjectKey {
            parents,
            name,
            marker,
        };
        match key.len() {
            length if length > OBJECT_KEY_MAX_BYTES => Err(KeyError::TooLong(length)),
            _ => Ok(key),
        }
    }

    fn len(&self) -> usize {
        let parents = self.parents.iter().map(|name| name.as_bytes().len() + 1);
        parents.sum::<usize>() + self.name.as_bytes().len() + usize::from(self.marker)
    }

    /// The directories on the way to it.
    pub fn parents(&self) -> &[FileName] {
        &self.parents
    }

    /// Its name in the last of them.
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &FileName> {
        self.parents.iter().chain([&self.name])
    }

    /// It means a directory itself.
    pub fn is_marker(&self) -> bool {
        self.marker
    }

    /// The key as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        for parent in &self.parents {
            bytes.extend_from_slice(parent.as_bytes());
            bytes.push(b'/');
        }
        bytes.extend_from_slice(self.name.as_bytes());
        if self.marker {
            bytes.push(b'/');
        }
        bytes
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        write!(f, "{}", String::from_utf8_lossy(&bytes).escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_as_it_was_written() {
        for key in [&b"a"[..], b"a/", b"a/b", b"a/b/", b"..a/b..", b"\xff/ "] {
            let parsed = ObjectKey::parse(key).expect("a key");
            assert_eq!(parsed.to_bytes(), key);
            assert_eq!(parsed.is_marker(), key.ends_with(b"/"));
            let names = parsed.names().cloned().collect();
            assert_eq!(ObjectKey::new(names, parsed.is_marker()), Ok(parsed));
        }
    }

    #[test]
    fn every_rule_is_kept() {
        let (long, last) = ([b'x'; 255], [b'y']);
        let longest = [&long[..], &long, &long, &long, &last];
        assert_eq!(longest.join(&b'/').len(), 1025);
        for key in [&longest.join(&b'/')[1..], b"x"] {
            assert!(ObjectKey::parse(key).is_ok());
        }
        let reserved = Err(KeyError::Name(NameError::Reserved));
        let empty = Err(KeyError::Name(NameError::Empty));
        assert_eq!(ObjectKey::parse(b""), Err(KeyError::Empty));
        assert_eq!(ObjectKey::parse(b"/"), Err(KeyError::Empty));
        assert_eq!(
            ObjectKey::parse(&longest.join(&b'/')),
            Err(KeyError::TooLong(1025))
        );
        assert_eq!(ObjectKey::parse(b"/a"), empty);
        assert_eq!(ObjectKey::parse(b"a//b"), empty);
        assert_eq!(ObjectKey::parse(b"a//"), empty);
        for key in [&b"."[..], b"a/..", b"./a", b"a/../b", b"a\0"] {
            assert_eq!(ObjectKey::parse(key), reserved);
        }
        assert_eq!(
            ObjectKey::parse(&[b'x'; 256]),
            Err(KeyError::Name(NameError::TooLong(256)))
        );
        assert_eq!(ObjectKey::new(Vec::new(), true), Err(KeyError::Empty));
    }
}
