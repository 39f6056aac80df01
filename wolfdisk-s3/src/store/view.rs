//! An object as S3 shows it: what the index says of the inode, and of what S3 keeps what is still true.

use wolfdisk_client::{Attr, Expected, FileKind, Object};

use crate::condition::Current;
use crate::error::Result;
use crate::etag::{EMPTY_MD5, ETag};
use crate::moment;
use crate::stored::Stored;

/// See the module.
#[derive(Clone, Debug)]
pub struct View {
    attr: Attr,
    /// What is kept of it and still holds.
    pub stored: Stored,
}

impl View {
    /// Reads what is kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(object: &Object) -> Result<View> {
        let stored = match &object.s3 {
            None => Stored::default(),
            Some(bytes) => Stored::decode(bytes)?,
        };
        let current = object.s3_version == object.attr.content_version;
        let stored = if current {
            stored
        } else {
            stored.without_content()
        };
        Ok(View {
            attr: object.attr.clone(),
            stored,
        })
    }

    /// The same for lists, which go on where something cannot be read.
    pub fn lenient(object: &Object) -> View {
        View::of(object).unwrap_or_else(|error| {
            tracing::warn!(ino = object.attr.ino.0, %error, "listed without what S3 keeps of it");
            View {
                attr: object.attr.clone(),
                stored: Stored::default(),
            }
        })
    }

    /// Bytes of content.
    pub fn size(&self) -> u64 {
        match self.attr.kind {
            FileKind::Directory => 0,
            _ => self.attr.size,
        }
    }

    /// The tag of the content.
    pub fn etag(&self) -> ETag {
        match (self.stored.etag, self.size()) {
            (Some(etag), size) if size > 0 || matches!(etag, ETag::Parts { .. }) => etag,
            (_, 0) => ETag::Md5(EMPTY_MD5),
            (_, _) => self.opaque(),
        }
    }

    /// The tag that means the content whether its MD5 is known or not.
    fn opaque(&self) -> ETag {
        ETag::Opaque {
            ino: self.attr.ino,
            version: self.attr.content_version,
        }
    }

    /// When the content was last modified.
    pub fn modified(&self) -> s3s::dto::Timestamp {
        moment::shown(self.attr.mtime)
    }

    /// For conditions.
    pub fn current(&self) -> Current {
        Current {
            etags: vec![self.etag().to_string(), self.opaque().to_string()],
            modified: moment::seconds(&self.modified()),
        }
    }

    /// This very state.
    pub fn expected(&self) -> Expected {
        Expected::Exactly {
            ino: self.attr.ino,
            attr_version: self.attr.attr_version,
        }
    }

    /// What the index says.
    pub fn attr(&self) -> &Attr {
        &self.attr
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use wolfdisk_common::ids::{Ino, Version};

    use super::*;

    /// A file that a mount wrote.
    pub(crate) fn object(size: u64) -> Object {
        let time = Default::default();
        let attr = Attr {
            ino: Ino(7),
            kind: FileKind::File,
            permissions: 0o644,
            uid: 0,
            gid: 0,
            nlink: 1,
            size,
            allocated: size,
            atime: time,
            mtime: time,
            ctime: time,
            btime: time,
            rdev: 0,
            content_version: Version(3),
            parent: Ino(1),
            has_xattr: false,
            symlink: bytes::Bytes::new(),
            attr_version: Version(4),
        };
        Object {
            attr,
            s3: None,
            s3_version: Version(3),
        }
    }
}
