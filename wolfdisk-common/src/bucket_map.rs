//! Folders that are buckets under a name of their own: what the index keeps of each, at [`place`] in the tree that no
//! mount shows.

use std::fmt;

use crate::bucket::BucketName;
use crate::limits::BUCKET_MAP_PATH_MAX_BYTES;
use crate::name::{FileName, NameError};
use crate::object_key::{KeyError, ObjectKey};

/// What the keys of all of them begin with.
pub const PREFIX: &str = "s3/maps/";
/// The format, first of the bytes.
const VERSION: u8 = 1;

/// Where a bucket's record is, below the root of the system tree.
///
/// # Errors
/// None for a name of a bucket.
pub fn place(bucket: &BucketName) -> Result<ObjectKey, KeyError> {
    ObjectKey::parse(format!("{PREFIX}{bucket}").as_bytes())
}

/// The bucket of a record at a key.
pub fn bucket_at(key: &[u8]) -> Option<BucketName> {
    BucketName::from_bytes(key.strip_prefix(PREFIX.as_bytes())?)
}

/// The way to a folder from the root of the volume: at least one name, none of them `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderPath(Vec<FileName>);

/// Why bytes are no such way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFolderPath {
    /// The root itself.
    #[error("the root of the volume holds all buckets and cannot be one; name a folder below it")]
    Root,
    /// Longer than any path.
    #[error("a path of {0} bytes is longer than {BUCKET_MAP_PATH_MAX_BYTES}")]
    TooLong(usize),
    /// A part of it is no file name.
    #[error("{0}; give the path from the root of the volume, as photos/2026")]
    Name(#[from] NameError),
    /// Bytes of another release.
    #[error("a version that this release does not know")]
    Version,
}

impl FolderPath {
    /// Takes a path apart; a `/` before and one behind it mean nothing.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(path: &[u8]) -> Result<FolderPath, BadFolderPath> {
        if path.len() > BUCKET_MAP_PATH_MAX_BYTES {
            return Err(BadFolderPath::TooLong(path.len()));
        }
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        if path.is_empty() {
            return Err(BadFolderPath::Root);
        }
        let names = path.split(|byte| *byte == b'/').map(FileName::new);
        Ok(FolderPath(names.collect::<Result<_, _>>()?))
    }

    /// The names on the way, in order.
    pub fn names(&self) -> &[FileName] {
        &self.0
    }

    /// What is kept.
    pub fn encode(&self) -> Vec<u8> {
        let names: Vec<&[u8]> = self.0.iter().map(FileName::as_bytes).collect();
        [&[VERSION][..], &names.join(&b'/')].concat()
    }

    /// Reads what is kept.
    ///
    /// # Errors
    /// It is not what [`FolderPath::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<FolderPath, BadFolderPath> {
        let (version, path) = bytes.split_first().ok_or(BadFolderPath::Version)?;
        if *version != VERSION {
            return Err(BadFolderPath::Version);
        }
        if path.starts_with(b"/") || path.ends_with(b"/") {
            return Err(NameError::Empty.into());
        }
        FolderPath::parse(path)
    }
}

impl fmt::Display for FolderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_back_and_leads_nowhere_else() {
        for (text, shown) in [("a", "a"), ("/a/b/", "a/b"), ("..a/b..", "..a/b..")] {
            let path = FolderPath::parse(text.as_bytes()).expect("a path");
            assert_eq!(path.to_string(), shown);
            assert_eq!(FolderPath::decode(&path.encode()), Ok(path));
        }
        for root in ["", "/", "//"] {
            assert!(FolderPath::parse(root.as_bytes()).is_err(), "{root:?}");
        }
        for bad in ["a/../b", "..", "./a", "a//b", "//a", "a\0", "a/."] {
            assert!(
                matches!(
                    FolderPath::parse(bad.as_bytes()),
                    Err(BadFolderPath::Name(_))
                ),
                "{bad:?}"
            );
        }
        let long = vec![b'a'; BUCKET_MAP_PATH_MAX_BYTES + 1];
        assert_eq!(FolderPath::parse(&long), Err(BadFolderPath::TooLong(4096)));
    }

    #[test]
    fn bytes_that_are_not_ours_are_refused() {
        for bad in [
            &b""[..],
            b"\x01",
            b"\x02a",
            b"\x01/a",
            b"\x01a/",
            b"\x01a/../b",
        ] {
            assert!(FolderPath::decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_record_is_at_the_name_of_its_bucket() {
        let bucket = BucketName::parse("photos").expect("a name");
        let key = place(&bucket).expect("a key").to_bytes();
        assert_eq!(key, b"s3/maps/photos");
        assert_eq!(bucket_at(&key), Some(bucket));
        assert_eq!(bucket_at(b"s3/maps/Photos"), None);
        assert_eq!(bucket_at(b"s3/keys/photos"), None);
    }
}
