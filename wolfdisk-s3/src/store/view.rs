//! An object as S3 shows it: what the index says of the inode, and of what S3 keeps what is still true.

use wolfdisk_client::{Attr, Expected, FileKind, Object};

use crate::condition::Current;
use crate::error::Result;
use crate::etag::{EMPTY_MD5, ETag};
use crate::moment;
use crate::stored::{OfContent, Stored};

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

    /// Bytes of content.
    pub fn size(&self) -> u64 {
        size(&self.attr)
    }

    /// The tag of the content.
    pub fn etag(&self) -> ETag {
        etag(&self.attr, self.stored.etag)
    }

    /// When the content was last modified.
    pub fn modified(&self) -> s3s::dto::Timestamp {
        moment::shown(self.attr.mtime)
    }

    /// For conditions.
    pub fn current(&self) -> Current {
        Current {
            etags: vec![self.etag().to_string(), opaque(&self.attr).to_string()],
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

/// What lists show of an object: less, and of many. They go on where something cannot be read.
#[derive(Debug)]
pub struct Listed<'a> {
    attr: &'a Attr,
    /// What is kept of the content and still holds.
    pub content: OfContent,
}

impl Listed<'_> {
    /// Reads what is kept.
    pub fn of(object: &Object) -> Listed<'_> {
        let attr = &object.attr;
        let current = object.s3_version == attr.content_version;
        let content = match object.s3.as_ref().filter(|_| current) {
            None => OfContent::default(),
            Some(bytes) => OfContent::decode(bytes).unwrap_or_else(|error| {
                tracing::warn!(ino = attr.ino.0, %error, "listed without what S3 keeps of it");
                OfContent::default()
            }),
        };
        Listed { attr, content }
    }

    /// Bytes of content.
    pub fn size(&self) -> u64 {
        size(self.attr)
    }

    /// The tag of the content.
    pub fn etag(&self) -> ETag {
        etag(self.attr, self.content.etag)
    }

    /// When the content was last modified.
    pub fn modified(&self) -> s3s::dto::Timestamp {
        moment::shown(self.attr.mtime)
    }
}

fn size(attr: &Attr) -> u64 {
    match attr.kind {
        FileKind::Directory => 0,
        _ => attr.size,
    }
}

/// The tag of the content, of which `kept` is what S3 keeps.
fn etag(attr: &Attr, kept: Option<ETag>) -> ETag {
    match (kept, size(attr)) {
        (Some(etag), size) if size > 0 || matches!(etag, ETag::Parts { .. }) => etag,
        (_, 0) => ETag::Md5(EMPTY_MD5),
        (_, _) => opaque(attr),
    }
}

/// The tag that means the content whether its MD5 is known or not.
fn opaque(attr: &Attr) -> ETag {
    ETag::Opaque {
        ino: attr.ino,
        version: attr.content_version,
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
