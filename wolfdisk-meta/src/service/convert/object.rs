//! Keys, and what is asked about objects.

use bytes::Bytes;
use wolfdisk_common::ids::Version;
use wolfdisk_common::limits::{
    LIST_KEYS_MAX, LOG_DATA_MAX_BYTES, OBJECT_KEY_MAX_BYTES, OBJECT_S3_MAX_BYTES,
};
use wolfdisk_common::name::NameError;
use wolfdisk_common::object_key::{KeyError, ObjectKey};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::expected::Kind;
use wolfdisk_proto::v1::publish::Content;

use super::ino;
use super::mutation::time;
use crate::index::ListKeys;
use crate::index::op::{Expected, Publish, PublishContent, RemoveObject, SetTime};

/// Where a listing goes on: no key is longer, nor what a listing says of where it ended.
const AFTER_MAX_BYTES: usize = 2 * OBJECT_KEY_MAX_BYTES;

/// A key.
///
/// # Errors
/// The errno that Linux gives for such a path.
pub fn key(bytes: &Bytes) -> Result<ObjectKey, Failure> {
    ObjectKey::parse(bytes).map_err(|error| match error {
        KeyError::Empty => Failure::Errno(libc::ENOENT),
        KeyError::TooLong(_) | KeyError::Name(NameError::TooLong(_)) => {
            Failure::Errno(libc::ENAMETOOLONG)
        }
        KeyError::Name(NameError::Empty | NameError::Reserved) => Failure::Errno(libc::EINVAL),
    })
}

/// What is to be listed. What lies beyond the longest key is as good as its end.
pub fn list_keys(request: &v1::ListKeysRequest) -> ListKeys {
    let after = request.after.len().min(AFTER_MAX_BYTES);
    ListKeys {
        prefix: request.prefix.clone(),
        after: request.after.slice(..after),
        delimiter: request.delimiter,
        max: request.max.min(LIST_KEYS_MAX) as usize,
        as_nobody: false,
    }
}

/// What S3 keeps may be so long.
pub(super) fn s3_fits(length: usize) -> Result<(), Failure> {
    match length > OBJECT_S3_MAX_BYTES {
        true => Err(Failure::Errno(libc::E2BIG)),
        false => Ok(()),
    }
}

fn expected(expected: Option<v1::Expected>) -> Result<Expected, Failure> {
    let Some(expected) = expected else {
        return Ok(Expected::Anything);
    };
    Ok(match expected.kind() {
        Kind::Anything => Expected::Anything,
        Kind::Absent => Expected::Absent,
        Kind::Exactly => Expected::Exactly {
            ino: ino(expected.ino)?,
            stamp: Version(expected.attr_version),
        },
    })
}

pub(super) fn publish(publish: v1::Publish) -> Result<Publish, Failure> {
    s3_fits(publish.s3.len())?;
    let key = key(&publish.key)?;
    let content = match publish.content {
        Some(Content::Data(data)) if data.len() <= LOG_DATA_MAX_BYTES => {
            PublishContent::Data { data }
        }
        Some(Content::Data(data)) => {
            let length = data.len();
            return Err(Failure::Invalid(format!("an object with {length} bytes")));
        }
        Some(Content::Staged(staged)) => PublishContent::Staged { ino: ino(staged)? },
        None => PublishContent::Directory,
    };
    if key.is_marker() != matches!(content, PublishContent::Directory) {
        return Err(Failure::Errno(libc::EINVAL));
    }
    Ok(Publish {
        root: ino(publish.root)?,
        key,
        content,
        permissions: publish.mode & 0o7777,
        directory_permissions: publish.directory_mode & 0o7777,
        uid: publish.uid,
        gid: publish.gid,
        s3: publish.s3,
        mtime: publish.mtime.map_or(Ok(SetTime::Now), time)?,
        expected: expected(publish.expected)?,
        openers: Vec::new(),
    })
}

pub(super) fn remove(remove: v1::RemoveObject) -> Result<RemoveObject, Failure> {
    Ok(RemoveObject {
        root: ino(remove.root)?,
        key: key(&remove.key)?,
        expected: expected(remove.expected)?,
        openers: Vec::new(),
    })
}
