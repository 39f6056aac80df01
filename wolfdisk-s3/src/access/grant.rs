//! What a request may do, decided once and carried with it.

use std::sync::Arc;

use http::Extensions;
use s3s::dto::CopySource;
use wolfdisk_common::access_key::rights::Rights;

use super::effect::Effect;
use crate::error::{Failure, Result};

/// See the module.
#[derive(Clone, Debug)]
pub struct Grant(Arc<Rights>);

impl Grant {
    /// By the rights of a key, or of those who have none.
    pub fn new(rights: Arc<Rights>) -> Grant {
        Grant(rights)
    }

    /// That of a request which has been let in.
    ///
    /// # Errors
    /// It has not: then it may do nothing.
    pub fn of(extensions: &Extensions) -> Result<&Grant> {
        extensions.get().ok_or(Failure::Denied)
    }

    /// Lets an operation be done in a bucket; none: above all of them.
    ///
    /// # Errors
    /// [`Failure::Denied`], whether there is such a bucket or not.
    pub fn check(&self, effect: Effect, bucket: Option<&str>) -> Result<()> {
        let writes = effect == Effect::Write;
        let reaches = match bucket {
            Some(bucket) => self.0.reach(bucket),
            // What is listed there is only what it reaches.
            None => !writes || self.0.buckets().is_none(),
        };
        match reaches && !(writes && self.0.is_read_only()) {
            true => Ok(()),
            false => Err(Failure::Denied),
        }
    }

    /// Whether a bucket may be used at all, and is to be listed.
    pub fn reaches(&self, bucket: &str) -> bool {
        self.0.reach(bucket)
    }

    /// Lets the source of a copy be read.
    ///
    /// # Errors
    /// As [`Grant::check`].
    pub fn check_source(&self, source: &CopySource) -> Result<()> {
        match source {
            CopySource::Bucket { bucket, .. } => self.check(Effect::Read, Some(bucket)),
            // Nothing is there; only who is limited to nothing is told so.
            CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => match self.0.buckets() {
                None => Ok(()),
                Some(_) => Err(Failure::Denied),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wolfdisk_common::bucket::BucketName;

    fn grant(read_only: bool, bucket: Option<&str>) -> Grant {
        let named = bucket.map(|name| BucketName::parse(name).into_iter().collect());
        Grant::new(Arc::new(Rights::new(read_only, named).expect("rights")))
    }

    #[test]
    fn a_key_does_what_its_rights_say_where_they_say_it() {
        use Effect::{Read, ReadUploads, Write};
        for (read_only, only, effect, bucket, allowed) in [
            (false, None, Write, Some("any"), true),
            (false, None, Write, None, true),
            (true, None, Read, Some("any"), true),
            (true, None, ReadUploads, Some("any"), true),
            (true, None, Write, Some("any"), false),
            (true, None, Write, None, false),
            (true, None, Read, None, true),
            (false, Some("own"), Write, Some("own"), true),
            (false, Some("own"), Write, Some("other"), false),
            (false, Some("own"), Read, Some("other"), false),
            (false, Some("own"), ReadUploads, Some("other"), false),
            (false, Some("own"), Read, None, true),
            (false, Some("own"), Write, None, false),
            (true, Some("own"), Read, Some("own"), true),
            (true, Some("own"), Write, Some("own"), false),
        ] {
            let decided = grant(read_only, only).check(effect, bucket).is_ok();
            assert_eq!(
                decided, allowed,
                "{read_only} {only:?} {effect:?} {bucket:?}"
            );
        }
    }

    #[test]
    fn nothing_is_copied_out_of_a_bucket_that_may_not_be_read() {
        let source = |text: &str| CopySource::parse(text).expect("a source");
        let own = grant(false, Some("own"));
        assert!(own.check_source(&source("own/key")).is_ok());
        assert!(own.check_source(&source("/other/key")).is_err());
        assert!(own.check_source(&source("other/../own/key")).is_err());
        let point = "arn:aws:s3:us-east-1:123456789012:accesspoint/point/object/key";
        assert!(own.check_source(&source(point)).is_err());
        assert!(grant(true, None).check_source(&source("other/key")).is_ok());
    }

    #[test]
    fn a_request_that_was_not_let_in_may_do_nothing() {
        let mut extensions = Extensions::new();
        assert!(matches!(Grant::of(&extensions), Err(Failure::Denied)));
        extensions.insert(grant(false, None));
        assert!(Grant::of(&extensions).is_ok_and(|grant| grant.reaches("any")));
    }
}
