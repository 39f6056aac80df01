//! What an inode's field `s3` holds: a value of its own, `implied, described, value`, with the format byte of every
//! value before it. An inode without any of it has no such field.

use bytes::Bytes;
use wolfdisk_common::ids::Version;

use super::Inode;
use crate::index::codec::{DecodeError, decode, encode, wire_struct};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRecord {
    /// A directory that exists only because keys below it do: it is no key itself as long as anything is in it.
    pub implied: bool,
    /// The content version that `value` was stored with: of a file whose content has changed since it is older
    /// than the inode's.
    pub described: Version,
    /// What S3 keeps of the object, in a form of its own.
    pub value: Option<Bytes>,
}

wire_struct!(ObjectRecord {
    implied,
    described,
    value
});

impl Inode {
    /// What is kept of it as an object.
    ///
    /// # Errors
    /// The field is damaged, or of a newer format.
    pub fn object(&self) -> Result<ObjectRecord, DecodeError> {
        match &self.s3 {
            None => Ok(ObjectRecord::default()),
            Some(value) => decode(value.clone()),
        }
    }

    /// Replaces what is kept of it as an object.
    pub fn set_object(&mut self, object: &ObjectRecord) {
        let any = object.implied || object.value.is_some();
        self.s3 = any.then(|| encode(object));
    }

    /// From now on `value` is what S3 keeps of it, as it is now: it is there in its own right.
    pub fn describe(&mut self, value: Option<Bytes>) {
        self.set_object(&ObjectRecord {
            implied: false,
            described: self.content_version,
            value,
        });
    }

    /// Whether it is what a key means: a file, or, with `marker`, a directory that is empty or not implied.
    ///
    /// # Errors
    /// As [`Inode::object`].
    pub fn is_object(&self, marker: bool) -> Result<bool, DecodeError> {
        Ok(match marker {
            false => self.kind == crate::index::op::Kind::File,
            true => self.is_directory() && (self.entries == 0 || !self.object()?.implied),
        })
    }
}
