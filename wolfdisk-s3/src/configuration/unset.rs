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
}

impl Unset {
    /// As S3 says it.
    pub fn code(self) -> S3ErrorCode {
        match self {
            Unset::Tags => S3ErrorCode::NoSuchTagSet,
            Unset::Cors => S3ErrorCode::NoSuchCORSConfiguration,
            Unset::Lifecycle => S3ErrorCode::NoSuchLifecycleConfiguration,
        }
    }
}
