//! The tags of an object or a bucket: a few pairs of texts, by the rules of S3.

use crate::limits::{BUCKET_TAGS_MAX, TAG_KEY_MAX_CHARS, TAG_VALUE_MAX_CHARS, TAGS_MAX};

/// What S3 keeps for tags of its own.
const RESERVED_BEGINNING: &str = "aws:";

/// Pairs that have been checked, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

/// Why pairs are no tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Too many.
    #[error("there are at most {0} tags")]
    TooMany(usize),
    /// A key that is empty or too long.
    #[error("the key of a tag has 1 to {TAG_KEY_MAX_CHARS} characters")]
    Key,
    /// A value that is too long.
    #[error("the value of a tag has at most {TAG_VALUE_MAX_CHARS} characters")]
    Value,
    /// A key that only S3 gives.
    #[error("the key of a tag does not begin with `{RESERVED_BEGINNING}`")]
    Reserved,
    /// One key twice.
    #[error("two tags have one key")]
    Twice,
    /// No pairs in the form of a query.
    #[error("the tags are not encoded as a query")]
    Encoding,
}

impl Tags {
    /// Checks pairs of an object.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Tags, TagError> {
        Tags::checked(pairs, TAGS_MAX)
    }

    /// Checks pairs of a bucket.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn of_bucket(pairs: Vec<(String, String)>) -> Result<Tags, TagError> {
        if pairs
            .iter()
            .any(|(key, _)| key.starts_with(RESERVED_BEGINNING))
        {
            return Err(TagError::Reserved);
        }
        Tags::checked(pairs, BUCKET_TAGS_MAX)
    }

    fn checked(pairs: Vec<(String, String)>, max: usize) -> Result<Tags, TagError> {
        if pairs.len() > max {
            return Err(TagError::TooMany(max));
        }
        for (place, (key, value)) in pairs.iter().enumerate() {
            if key.is_empty() || key.chars().count() > TAG_KEY_MAX_CHARS {
                return Err(TagError::Key);
            }
            if value.chars().count() > TAG_VALUE_MAX_CHARS {
                return Err(TagError::Value);
            }
            if pairs.iter().take(place).any(|(other, _)| other == key) {
                return Err(TagError::Twice);
            }
        }
        Ok(Tags(pairs))
    }

    /// Reads the value of `x-amz-tagging`: `key=value&key=value`.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn from_query(text: &str) -> Result<Tags, TagError> {
        let pair = |item: &str| {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            Some((decode(key)?, decode(value)?))
        };
        let items = text.split('&').filter(|item| !item.is_empty());
        let pairs = items.map(pair).collect::<Option<Vec<_>>>();
        Tags::new(pairs.ok_or(TagError::Encoding)?)
    }

    /// The pairs.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A part of a query; `None`: it is none, or no UTF-8.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&text);
    decoded.decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_a_query() {
        let tags = Tags::from_query("a=1&b+c=d%3De&empty=&flag").expect("tags");
        let wanted = [("a", "1"), ("b c", "d=e"), ("empty", ""), ("flag", "")];
        let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(tags.pairs(), wanted);
        assert_eq!(Tags::from_query(""), Ok(Tags::default()));
        assert_eq!(Tags::from_query("a=%ff"), Err(TagError::Encoding));
    }

    #[test]
    fn the_rules_of_s3_are_kept() {
        let pairs = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect();
        assert!(Tags::new(pairs(10)).is_ok());
        assert_eq!(Tags::new(pairs(11)), Err(TagError::TooMany(10)));
        assert!(Tags::of_bucket(pairs(50)).is_ok());
        assert_eq!(Tags::of_bucket(pairs(51)), Err(TagError::TooMany(50)));
        let own = vec![("aws:x".to_owned(), String::new())];
        assert_eq!(Tags::of_bucket(own), Err(TagError::Reserved));
        let one = |key: &str, value: &str| Tags::new(vec![(key.to_owned(), value.to_owned())]);
        assert!(one(&"\u{e4}".repeat(128), &"v".repeat(256)).is_ok());
        assert_eq!(one("", ""), Err(TagError::Key));
        assert_eq!(one(&"k".repeat(129), ""), Err(TagError::Key));
        assert_eq!(one("k", &"v".repeat(257)), Err(TagError::Value));
        assert_eq!(Tags::from_query("a=1&a=2"), Err(TagError::Twice));
    }
}
