//! What each operation of S3 does to what is stored: the one table by which rights are enforced.
//!
//! It holds every operation that the library can tell apart, whether it is implemented here or not; a test compares it
//! with the table of those that are. What is in neither list counts as a write.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It shows what is stored.
    Read,
    /// It shows what is being written: uploads in parts and their parts. Not for strangers, whose names for uploads
    /// would be known to them.
    ReadUploads,
    /// It changes something, or may.
    Write,
}

/// In order.
const READS: &[&str] = &[
    "GetBucketAccelerateConfiguration",
    "GetBucketAcl",
    "GetBucketAnalyticsConfiguration",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration",
    "GetBucketLifecycleConfiguration",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketMetadataTableConfiguration",
    "GetBucketMetricsConfiguration",
    "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketReplication",
    "GetBucketRequestPayment",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectLockConfiguration",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "GetPublicAccessBlock",
    "HeadBucket",
    "HeadObject",
    "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations",
    "ListBuckets",
    "ListDirectoryBuckets",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "SelectObjectContent",
];

/// In order.
const READS_OF_UPLOADS: &[&str] = &["ListMultipartUploads", "ListParts"];

/// In order.
const WRITES: &[&str] = &[
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateBucketMetadataTableConfiguration",
    "CreateMultipartUpload",
    "CreateSession",
    "DeleteBucket",
    "DeleteBucketAnalyticsConfiguration",
    "DeleteBucketCors",
    "DeleteBucketEncryption",
    "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration",
    "DeleteBucketLifecycle",
    "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetricsConfiguration",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketReplication",
    "DeleteBucketTagging",
    "DeleteBucketWebsite",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "DeletePublicAccessBlock",
    "PostObject",
    "PutBucketAccelerateConfiguration",
    "PutBucketAcl",
    "PutBucketAnalyticsConfiguration",
    "PutBucketCors",
    "PutBucketEncryption",
    "PutBucketIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketMetricsConfiguration",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketReplication",
    "PutBucketRequestPayment",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "RestoreObject",
    "UploadPart",
    "UploadPartCopy",
    "WriteGetObjectResponse",
];

impl Effect {
    /// That of an operation, by its name in S3.
    pub fn of(operation: &str) -> Effect {
        let among = |list: &[&str]| list.binary_search(&operation).is_ok();
        if among(READS) {
            Effect::Read
        } else if among(READS_OF_UPLOADS) {
            Effect::ReadUploads
        } else {
            if !among(WRITES) {
                tracing::warn!(
                    operation,
                    "nobody has said what it does: it counts as a write"
                );
            }
            Effect::Write
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_that_is_answered_has_its_effect_and_only_one() {
        let lists = [READS, READS_OF_UPLOADS, WRITES];
        for list in lists {
            assert!(list.is_sorted());
        }
        let table = include_str!("../ops/mod.rs").lines();
        let answered = table.filter_map(|line| {
            let types = line.split_once('(')?.1;
            Some(types.split_once("Input) ->")?.0)
        });
        let mut count = 0;
        for operation in answered.chain(["PostObject"]) {
            let listed = lists.iter().filter(|list| list.contains(&operation));
            assert_eq!(listed.count(), 1, "{operation} needs a place in one list");
            count += 1;
        }
        assert!(count > 20, "the table is found");
    }

    #[test]
    fn names_say_what_operations_do() {
        let reads = |name: &str| {
            let beginnings = ["Get", "Head", "List", "Select"];
            beginnings.iter().any(|word| name.starts_with(word))
        };
        assert!(READS.iter().chain(READS_OF_UPLOADS).all(|name| reads(name)));
        assert!(!WRITES.iter().any(|name| reads(name)));
        assert_eq!(Effect::of("ListParts"), Effect::ReadUploads);
        assert_eq!(Effect::of("PutObject"), Effect::Write);
        assert_eq!(Effect::of("InventedObject"), Effect::Write);
    }
}
