//! Objects: files and directories by their keys, and what S3 keeps of them.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::time::Timestamp;

use crate::types::{Attr, HandleId};

/// What is at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its attributes.
    pub attr: Attr,
    /// What S3 keeps of it; nothing of what was made through a mount.
    pub s3: Option<Bytes>,
    /// The content version that `s3` was stored with. Of a file whose content has changed since, that of `attr` is
    /// greater; that of a directory grows with its names.
    pub s3_version: Version,
}

/// What must be at a key for a change of it to be made; else [`crate::Error::Changed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is.
    Anything,
    /// No object.
    Absent,
    /// This object, of which nothing has changed since.
    Exactly {
        /// Its inode.
        ino: Ino,
        /// The version of its attributes.
        attr_version: Version,
    },
}

/// What is put at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file of these bytes, at most [`wolfdisk_common::limits::LOG_DATA_MAX_BYTES`].
    Bytes(Bytes),
    /// A file that was staged and written, with all that was written before.
    Staged(HandleId),
    /// The directory that the key, a marker, means.
    Marker,
}

/// What is made at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Permissions of a file.
    pub mode: u32,
    /// Permissions of directories that are made.
    pub directory_mode: u32,
    /// Owner of all that is made.
    pub uid: u32,
    /// Group, unless the directory is set-gid.
    pub gid: u32,
    /// What S3 keeps of it, at most [`wolfdisk_common::limits::OBJECT_S3_MAX_BYTES`].
    pub s3: Bytes,
    /// Its modification time; none: now.
    pub mtime: Option<Timestamp>,
}

/// Which keys to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListKeys {
    /// Those that begin with this.
    pub prefix: Bytes,
    /// Entries that are greater than this, which need not be a key.
    pub after: Bytes,
    /// Keys with a `/` behind the prefix are one entry, up to there.
    pub delimiter: bool,
    /// So many at the most, and no more than [`wolfdisk_common::limits::LIST_KEYS_MAX`].
    pub max: u32,
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// In the order of their bytes.
    pub entries: Vec<KeyEntry>,
    /// There may be more, also if there are no entries.
    pub more: bool,
    /// Where to go on, as [`ListKeys::after`].
    pub last: Bytes,
}

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyEntry {
    /// A key and its object.
    Object {
        /// The key.
        key: Bytes,
        /// The object.
        object: Box<Object>,
    },
    /// What several keys have in common, up to a `/`.
    Prefix(Bytes),
}
