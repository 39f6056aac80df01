//! Names of buckets, by the rules of S3.
//!
//! A bucket is a directory right below the root. A directory whose name breaks a rule is no bucket: it is not
//! listed and cannot be reached, and nothing is renamed for it.

use std::fmt;
use std::net::Ipv4Addr;

/// Shortest and longest name.
const LENGTHS: std::ops::RangeInclusive<usize> = 3..=63;
/// Beginnings that S3 keeps for itself.
const RESERVED_BEGINNINGS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
/// Endings that S3 keeps for itself.
const RESERVED_ENDINGS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// A name that has been checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

impl BucketName {
    /// Checks and keeps `name`.
    pub fn parse(name: &str) -> Option<BucketName> {
        let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_inner = |byte: &u8| is_edge(byte) || matches!(byte, b'.' | b'-');
        let bytes = name.as_bytes();
        let good = LENGTHS.contains(&bytes.len())
            && bytes.iter().all(is_inner)
            && bytes.first().is_some_and(is_edge)
            && bytes.last().is_some_and(is_edge)
            && !name.contains("..")
            && name.parse::<Ipv4Addr>().is_err()
            && !RESERVED_BEGINNINGS
                .iter()
                .any(|part| name.starts_with(part))
            && !RESERVED_ENDINGS.iter().any(|part| name.ends_with(part));
        good.then(|| BucketName(name.to_owned()))
    }

    /// The name of a directory, if it is one that a bucket may have.
    pub fn from_bytes(name: &[u8]) -> Option<BucketName> {
        std::str::from_utf8(name).ok().and_then(BucketName::parse)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_s3_are_kept() {
        let longest = "a".repeat(63);
        for good in [
            "abc",
            "a-b.c",
            "1bucket1",
            "192.168.1",
            "my.example.bucket",
            &longest,
        ] {
            assert_eq!(
                BucketName::parse(good).map(|name| name.to_string()),
                Some(good.to_owned())
            );
        }
        let too_long = "a".repeat(64);
        for bad in [
            "",
            "ab",
            &too_long,
            "Photos",
            "under_score",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.1.1",
            "xn--abc",
            "abc-s3alias",
            "a/b",
            "a b",
            "..",
            "a\0b",
            "b\u{fc}cher",
        ] {
            assert_eq!(BucketName::parse(bad), None, "{bad:?}");
        }
        assert_eq!(BucketName::from_bytes(b"a\xffb"), None);
    }
}
