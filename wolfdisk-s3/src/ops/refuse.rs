//! What a request may ask for beside its purpose and does not get: refused, since who asks for encryption or for a
//! lock must not be told that it was done.

use crate::error::{Failure, Result};

/// Such wishes of a request.
#[derive(Debug, Default)]
pub(super) struct Wishes<'a> {
    pub(super) acl: Option<&'a str>,
    pub(super) grants: bool,
    pub(super) encryption: bool,
    pub(super) lock: bool,
    pub(super) storage_class: Option<&'a str>,
}

/// Those of a request that creates an object, of whichever type that is.
macro_rules! wishes {
    ($input:expr) => {
        $crate::ops::refuse::Wishes {
            acl: $input.acl.as_ref().map(|acl| acl.as_str()),
            grants: $input.grant_full_control.is_some()
                || $input.grant_read.is_some()
                || $input.grant_read_acp.is_some()
                || $input.grant_write_acp.is_some(),
            encryption: $input.server_side_encryption.is_some()
                || $input.sse_customer_algorithm.is_some()
                || $input.sse_customer_key.is_some()
                || $input.ssekms_key_id.is_some(),
            lock: $input.object_lock_mode.is_some()
                || $input.object_lock_legal_hold_status.is_some()
                || $input.object_lock_retain_until_date.is_some(),
            storage_class: $input.storage_class.as_ref().map(|class| class.as_str()),
        }
    };
}

pub(super) use wishes;

/// Canned lists that give nobody more than there is: one owner has everything.
pub(super) const PRIVATE: [&str; 3] = ["private", "bucket-owner-full-control", "bucket-owner-read"];
/// Classes of storage that are all the same here.
const CLASSES: [&str; 2] = ["STANDARD", "REDUCED_REDUNDANCY"];

impl Wishes<'_> {
    /// # Errors
    /// The first that is not granted.
    pub(super) fn check(&self) -> Result<()> {
        if self.grants || self.acl.is_some_and(|acl| !PRIVATE.contains(&acl)) {
            return Err(Failure::NotImplemented("access by lists"));
        }
        if self.encryption {
            return Err(Failure::NotImplemented("encryption by the server"));
        }
        if self.lock {
            return Err(Failure::NotImplemented("locking of objects"));
        }
        if self
            .storage_class
            .is_some_and(|class| !CLASSES.contains(&class))
        {
            return Err(Failure::StorageClass);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::S3Error;

    #[test]
    fn nothing_is_promised_that_is_not_done() {
        let code = |wishes: Wishes<'_>| {
            wishes
                .check()
                .err()
                .map(|error| S3Error::from(error).code().as_str().to_owned())
        };
        assert_eq!(code(Wishes::default()), None);
        assert_eq!(
            code(Wishes {
                acl: Some("private"),
                ..Wishes::default()
            }),
            None
        );
        assert_eq!(
            code(Wishes {
                storage_class: Some("STANDARD"),
                ..Wishes::default()
            }),
            None
        );
        let refused = Some("NotImplemented".to_owned());
        assert_eq!(
            code(Wishes {
                acl: Some("public-read"),
                ..Wishes::default()
            }),
            refused
        );
        assert_eq!(
            code(Wishes {
                grants: true,
                ..Wishes::default()
            }),
            refused
        );
        assert_eq!(
            code(Wishes {
                encryption: true,
                ..Wishes::default()
            }),
            refused
        );
        assert_eq!(
            code(Wishes {
                lock: true,
                ..Wishes::default()
            }),
            refused
        );
        let class = Wishes {
            storage_class: Some("GLACIER"),
            ..Wishes::default()
        };
        assert_eq!(code(class), Some("InvalidStorageClass".to_owned()));
    }
}
