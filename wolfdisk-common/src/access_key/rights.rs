//! What an access key may do: read or also write, in all buckets or in some.

use std::collections::BTreeSet;

use crate::bucket::BucketName;
use crate::limits::ACCESS_KEY_BUCKETS_MAX;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    read_only: bool,
    /// None: all there are and all that come.
    buckets: Option<BTreeSet<BucketName>>,
}

/// Buckets that a key cannot be limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRights {
    /// It could do nothing.
    #[error("a key that is limited to no bucket can do nothing")]
    NoBucket,
    /// More than are kept.
    #[error("a key can be limited to {ACCESS_KEY_BUCKETS_MAX} buckets at the most, not {0}")]
    TooMany(usize),
}

impl Rights {
    /// Everything, everywhere.
    pub const FULL: Rights = Rights {
        read_only: false,
        buckets: None,
    };
    /// Reading, everywhere.
    pub const READING: Rights = Rights {
        read_only: true,
        buckets: None,
    };

    /// Rights of their own.
    ///
    /// # Errors
    /// No bucket, or too many.
    pub fn new(
        read_only: bool,
        buckets: Option<BTreeSet<BucketName>>,
    ) -> Result<Rights, BadRights> {
        match buckets.as_ref().map(BTreeSet::len) {
            Some(0) => Err(BadRights::NoBucket),
            Some(count) if count > ACCESS_KEY_BUCKETS_MAX => Err(BadRights::TooMany(count)),
            Some(_) | None => Ok(Rights { read_only, buckets }),
        }
    }

    /// Whether it may do nothing but read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The buckets that it is limited to.
    pub fn buckets(&self) -> Option<&BTreeSet<BucketName>> {
        self.buckets.as_ref()
    }

    /// Whether it may use a bucket at all.
    pub fn reach(&self, bucket: &str) -> bool {
        let named = self.buckets.as_ref();
        named.is_none_or(|named| named.contains(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: impl IntoIterator<Item = String>) -> Option<BTreeSet<BucketName>> {
        let parsed = names.into_iter().map(|name| BucketName::parse(&name));
        parsed.collect()
    }

    #[test]
    fn a_key_reaches_the_buckets_that_it_is_limited_to() {
        let some = Rights::new(true, named(["abc".to_owned()])).expect("rights");
        assert!(some.reach("abc") && !some.reach("abcd") && !some.reach(""));
        assert!(Rights::FULL.reach("anything") && !Rights::FULL.is_read_only());
        assert!(Rights::READING.reach("anything") && Rights::READING.is_read_only());
    }

    #[test]
    fn it_is_limited_to_one_bucket_at_least_and_not_to_too_many() {
        let many = |count: usize| named((0..count).map(|number| format!("bucket-{number}")));
        assert_eq!(Rights::new(false, many(0)), Err(BadRights::NoBucket));
        assert!(Rights::new(false, many(ACCESS_KEY_BUCKETS_MAX)).is_ok());
        let beyond = ACCESS_KEY_BUCKETS_MAX + 1;
        assert_eq!(
            Rights::new(false, many(beyond)),
            Err(BadRights::TooMany(beyond))
        );
    }
}
