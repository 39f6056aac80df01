//! What a bucket has none of, with S3's own word for that.

use s3s::S3ErrorCode;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum Unset {
    #[error("the bucket has no tags")]
    Tags,
    #[error("the bucket has no CORS configuration")]
    Cors,
    #[error("the bucket has no lifecycle configuration")]
    Lifecycle,
    #[error("the bucket has no policy")]
    Policy,
    #[error("the bucket has no encryption by the server")]
    Encryption,
    #[error("the bucket has no website configuration")]
    Website,
    #[error("the bucket has no configuration for locks of objects")]
    ObjectLock,
    #[error("the bucket has no replication configuration")]
    Replication,
    #[error("the bucket has no configuration for public access")]
    PublicAccessBlock,
    #[error("the bucket has no ownership controls")]
    OwnershipControls,
}

impl Unset {
    /// As S3 says it.
    pub fn code(self) -> S3ErrorCode {
        match self {
            Unset::Tags => S3ErrorCode::NoSuchTagSet,
            Unset::Cors => S3ErrorCode::NoSuchCORSConfiguration,
            Unset::Lifecycle => S3ErrorCode::NoSuchLifecycleConfiguration,
            Unset::Policy => S3ErrorCode::NoSuchBucketPolicy,
            Unset::Encryption => S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
            Unset::Website => S3ErrorCode::NoSuchWebsiteConfiguration,
            Unset::ObjectLock => S3ErrorCode::ObjectLockConfigurationNotFoundError,
            Unset::Replication => S3ErrorCode::ReplicationConfigurationNotFoundError,
            Unset::PublicAccessBlock => {
                S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into())
            }
            Unset::OwnershipControls => S3ErrorCode::OwnershipControlsNotFoundError,
        }
    }
}
