//! What S3 keeps of a bucket: tags, rules for web pages of other origins ([`cors`]), rules for the life of objects
//! ([`lifecycle`]). Values that have been checked, and their bytes in the gateways' own tree; the form is in
//! `docs/formats.md`.
//!
//! A record is of the directory, not of its name: it follows a rename in a mount, and a new bucket of the same name has
//! none.

mod codec;
pub mod cors;
pub mod lifecycle;
pub mod unset;

use wolfdisk_client::ObjectKey;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::object_key::KeyError;

use crate::error::Failure;
use crate::limits::CONFIGURATION_MAX_BYTES;
use crate::stored::Unreadable;
use crate::tags::Tags;
use codec::{Reader, Writer};

/// Where records are, in the gateways' own tree.
pub const PLACE: &str = "s3/buckets/";

/// What there can be of a bucket, each in a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tags.
    Tags,
    /// Rules for web pages.
    Cors,
    /// Rules for the life of objects.
    Lifecycle,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Tags, Kind::Cors, Kind::Lifecycle];

    fn name(self) -> &'static str {
        match self {
            Kind::Tags => "tags",
            Kind::Cors => "cors",
            Kind::Lifecycle => "lifecycle",
        }
    }

    fn number(self) -> u8 {
        match self {
            Kind::Tags => 1,
            Kind::Cors => 2,
            Kind::Lifecycle => 3,
        }
    }

    /// The key of the record of a bucket, in the gateways' own tree.
    ///
    /// # Errors
    /// None that can be: names and numbers are short.
    pub fn place(self, bucket: Ino) -> Result<ObjectKey, KeyError> {
        let text = format!("{PLACE}{:016x}/{}", bucket.0, self.name());
        ObjectKey::parse(text.as_bytes())
    }

    /// What a key in the gateways' own tree is the record of.
    pub fn of(key: &[u8]) -> Option<(Ino, Kind)> {
        let key = std::str::from_utf8(key).ok()?;
        let (digits, name) = key.strip_prefix(PLACE)?.split_once('/')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 16 || !digits.bytes().all(is_digit) {
            return None;
        }
        Some((Ino(u64::from_str_radix(digits, 16).ok()?), kind))
    }
}

/// Why a client's configuration is none: the class of the S3 error, and what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nothing that the schema of S3 allows.
    #[error("{0}")]
    Xml(&'static str),
    /// A value that cannot be.
    #[error("{0}")]
    Argument(&'static str),
    /// Values that do not go together, or are too many.
    #[error("{0}")]
    Request(&'static str),
    /// What is not done here.
    #[error("{0} is not implemented")]
    NotImplemented(&'static str),
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Failure {
        match invalid {
            Invalid::Xml(what) => Failure::Xml(what),
            Invalid::Argument(what) => Failure::Argument(what),
            Invalid::Request(what) => Failure::Request(what),
            Invalid::NotImplemented(what) => Failure::NotImplemented(what),
        }
    }
}

/// A configuration with its bytes.
pub trait Configuration: Sized {
    /// Which it is.
    const KIND: Kind;

    /// Writes what stands behind the head.
    fn write(&self, writer: &mut Writer);

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable>;

    /// The bytes to keep.
    ///
    /// # Errors
    /// They are more than are kept.
    fn encode(&self) -> Result<Vec<u8>, Invalid> {
        let mut writer = Writer::new(Self::KIND.number());
        self.write(&mut writer);
        let bytes = writer.finish();
        match bytes.len() <= CONFIGURATION_MAX_BYTES {
            true => Ok(bytes),
            false => Err(Invalid::Request("the configuration is larger than 1 MiB")),
        }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > CONFIGURATION_MAX_BYTES {
            return Err(Unreadable("it is longer than any that is written"));
        }
        let mut reader = Reader::new(bytes, Self::KIND.number())?;
        let read = Self::read(&mut reader)?;
        reader.end()?;
        Ok(read)
    }
}

impl Configuration for Tags {
    const KIND: Kind = Kind::Tags;

    fn write(&self, writer: &mut Writer) {
        writer.list(self.pairs(), |writer, (key, value)| {
            writer.text(key);
            writer.text(value);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Tags, Unreadable> {
        let pairs = reader.list(|reader| Ok((reader.text()?, reader.text()?)))?;
        Tags::of_bucket(pairs).map_err(|_| Unreadable("tags that break a rule"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_by_its_key_and_nothing_else_is_one() {
        for kind in Kind::ALL {
            let place = kind.place(Ino(0x1f)).expect("a key").to_string();
            assert_eq!(
                place,
                format!("s3/buckets/000000000000001f/{}", kind.name())
            );
            assert_eq!(Kind::of(place.as_bytes()), Some((Ino(0x1f), kind)));
        }
        for other in [
            "s3/buckets/1f/cors",
            "s3/buckets/000000000000001F/cors",
            "s3/buckets/+00000000000001f/cors",
            "s3/buckets/000000000000001f/other",
            "s3/buckets/000000000000001f/",
            "s3/uploads/000000000000001f/cors",
            "",
        ] {
            assert_eq!(Kind::of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn tags_of_a_bucket_come_back() {
        let pair = |n: usize| (format!("key {n}"), "\u{e4}".repeat(n));
        let tags = Tags::of_bucket((0..50).map(pair).collect()).expect("tags");
        let bytes = tags.encode().expect("small");
        assert_eq!(Tags::decode(&bytes), Ok(tags));
        assert!(cors::Rules::decode(&bytes).is_err(), "of another kind");
        let cut = bytes.split_last().expect("bytes").1;
        assert!(Tags::decode(cut).is_err());
        assert!(Tags::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}
