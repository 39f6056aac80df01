//! What S3 calls the content of an object: the entity tag, in its three forms.
//!
//! * the MD5 of the content, for what was put in one piece;
//! * the MD5 of the MD5s of the parts, a dash and their number, for what was put in parts;
//! * inode and content version, a dash and a zero, for content whose MD5 nobody knows: written by a mount.
//!   Clients take a tag with a dash for something that is no MD5. A version names one state of the content, so
//!   the form is as good as another for conditions, and it goes on to mean that state when an MD5 is known.

use std::fmt;

use md5::{Digest, Md5};
use wolfdisk_common::ids::{Ino, Version};

/// The MD5 of no bytes: what an empty file or a directory always has.
pub const EMPTY_MD5: [u8; 16] = [
    0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e,
];

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ETag {
    /// The MD5 of the content.
    Md5([u8; 16]),
    /// The MD5 of the parts' MD5s.
    Parts {
        /// That MD5.
        md5: [u8; 16],
        /// How many parts.
        count: u16,
    },
    /// The state of a file.
    Opaque {
        /// Which file.
        ino: Ino,
        /// Which content.
        version: Version,
    },
}

impl ETag {
    /// Of an object that was put in parts with these MD5s.
    pub fn of_parts(parts: &[[u8; 16]]) -> ETag {
        let mut hasher = Md5::new();
        parts.iter().for_each(|part| hasher.update(part));
        ETag::Parts {
            md5: hasher.finalize().into(),
            count: u16::try_from(parts.len()).unwrap_or(u16::MAX),
        }
    }
}

/// As clients see it, without the quotes.
impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ETag::Md5(md5) => f.write_str(&hex(md5)),
            ETag::Parts { md5, count } => write!(f, "{}-{count}", hex(md5)),
            ETag::Opaque { ino, version } => write!(f, "{:016x}{:016x}-0", ino.0, version.0),
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(halves.filter_map(|half| char::from_digit(u32::from(half), 16)));
    text
}

/// The MD5 that hexadecimal digits stand for.
pub fn parse_md5(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_written_as_clients_know_it() {
        let empty = ETag::Md5(EMPTY_MD5);
        assert_eq!(empty.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(<[u8; 16]>::from(Md5::digest(b"")), EMPTY_MD5);
        // Two parts, "a" and "b": md5(md5(a) + md5(b)).
        let parts = [Md5::digest(b"a").into(), Md5::digest(b"b").into()];
        assert_eq!(
            ETag::of_parts(&parts).to_string(),
            "96e024ba2074fe77e8e965ba43a704be-2"
        );
        let opaque = ETag::Opaque {
            ino: Ino(5),
            version: Version(0x1f),
        };
        assert_eq!(opaque.to_string(), "0000000000000005000000000000001f-0");
    }

    #[test]
    fn an_md5_comes_back() {
        assert_eq!(parse_md5(&hex(&EMPTY_MD5)), Some(EMPTY_MD5));
        for bad in [
            "",
            "d41d",
            "+41d8cd98f00b204e9800998ecf8427e",
            &"g".repeat(32),
            &"a".repeat(33),
        ] {
            assert_eq!(parse_md5(bad), None);
        }
    }
}
