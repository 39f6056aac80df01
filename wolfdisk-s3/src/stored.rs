//! What S3 keeps of an object beside its content: the value that index and client carry without looking inside.
//!
//! The form is in `docs/formats.md`: a version byte, then fields in ascending order of their numbers, each at most
//! once, with lengths before texts. What cannot be read is refused as a whole. The index keeps beside the value
//! which content it was written for; [`Stored::without_content`] is what of it survives a change by a mount.

mod codec;

use std::collections::BTreeMap;

use crate::checksum::Checksum;
use crate::etag::ETag;
use crate::limits::{METADATA_MAX_BYTES, STORED_MAX_BYTES};
use crate::tags::Tags;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Headers that are given back as they came.
    pub headers: Headers,
    /// `x-amz-meta-*` without the beginning.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
    /// The tag of the content, one of the forms with an MD5.
    pub etag: Option<ETag>,
    /// The checksum of the content.
    pub checksum: Option<Checksum>,
    /// Lengths of the parts it was put in.
    pub parts: PartSizes,
    /// Of an upload in progress: what for.
    pub upload: Option<UploadOf>,
}

/// What of it says something about the content, without the lengths of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfContent {
    /// See [`Stored::etag`].
    pub etag: Option<ETag>,
    /// See [`Stored::checksum`].
    pub checksum: Option<Checksum>,
}

/// See [`Stored::headers`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the headers")]
pub struct Headers {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    /// As the client wrote it.
    pub expires: Option<String>,
    pub website_redirect_location: Option<String>,
}

impl OfContent {
    /// Reads of what was kept no more than this: lists show nothing else, and many of them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<OfContent, Unreadable> {
        codec::decode_of_content(bytes)
    }
}

/// An upload in parts that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadOf {
    /// The key it will have.
    pub key: String,
    /// The checksum that its parts are to have, and whether that of the whole is wanted of them.
    pub checksum: Option<(crate::checksum::Algorithm, bool)>,
}

/// Lengths of parts, in runs of equal ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartSizes(Vec<(u64, u16)>);

impl PartSizes {
    /// Of these parts.
    pub fn new(sizes: impl IntoIterator<Item = u64>) -> PartSizes {
        let mut runs: Vec<(u64, u16)> = Vec::new();
        for size in sizes {
            match runs.last_mut() {
                Some((last, count)) if *last == size && *count < u16::MAX => *count += 1,
                _ => runs.push((size, 1)),
            }
        }
        PartSizes(runs)
    }

    /// How many parts.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(_, count)| u32::from(*count)).sum()
    }

    /// Where part `number` (from 1) begins, and its length.
    pub fn place(&self, number: u32) -> Option<(u64, u64)> {
        let mut start = 0_u64;
        let mut before = number.checked_sub(1)?;
        for &(size, count) in &self.0 {
            let count = u32::from(count);
            if before < count {
                let offset = size.checked_mul(u64::from(before))?;
                return Some((start.checked_add(offset)?, size));
            }
            before -= count;
            start = start.checked_add(size.checked_mul(u64::from(count))?)?;
        }
        None
    }
}

/// Why a value cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The user's metadata.
    #[error("metadata of {0} bytes is larger than {METADATA_MAX_BYTES}")]
    Metadata(usize),
    /// All together.
    #[error("headers, metadata and tags of {0} bytes are larger than {STORED_MAX_BYTES}")]
    All(usize),
}

/// A value that this build cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what S3 keeps of an object cannot be read: {0}")]
pub struct Unreadable(pub &'static str);

impl Stored {
    /// The bytes to keep. Lengths of parts are given up if they have no room.
    ///
    /// # Errors
    /// They are more than are kept.
    pub fn encode(&self) -> Result<Vec<u8>, TooLarge> {
        let metadata = self
            .metadata
            .iter()
            .map(|(name, value)| name.len() + value.len());
        match metadata.sum() {
            size if size > METADATA_MAX_BYTES => return Err(TooLarge::Metadata(size)),
            _ => {}
        }
        let bytes = codec::encode(self);
        if bytes.len() <= STORED_MAX_BYTES {
            return Ok(bytes);
        }
        let bytes = codec::encode(&Stored {
            parts: PartSizes::default(),
            ..self.clone()
        });
        match bytes.len() {
            size if size > STORED_MAX_BYTES => Err(TooLarge::All(size)),
            _ => Ok(bytes),
        }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Stored, Unreadable> {
        codec::decode(bytes)
    }

    /// What still holds when a mount has changed the content.
    pub fn without_content(self) -> Stored {
        Stored {
            etag: None,
            checksum: None,
            parts: PartSizes::default(),
            ..self
        }
    }
}

#[cfg(test)]
#[path = "stored/tests.rs"]
mod tests;
