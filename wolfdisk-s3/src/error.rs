//! Why a request failed, and the one table that turns it into an S3 error.

use s3s::{S3Error, S3ErrorCode};
use wolfdisk_client::Error as VolumeError;
use wolfdisk_common::bucket_map::BadFolderPath;
use wolfdisk_common::name::NameError;
use wolfdisk_common::object_key::KeyError;

use crate::configuration::unset::Unset;
use crate::digest::Ending;
use crate::form::error::FormError;
use crate::stored::{TooLarge, Unreadable};
use crate::tags::TagError;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Failure>;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The volume refused or failed.
    #[error("{0}")]
    Volume(#[from] VolumeError),
    /// A key that no file can have.
    #[error("{0}: here keys are paths of files, see the documentation")]
    Key(#[from] KeyError),
    /// Nobody has such a key, any more or yet.
    #[error("the access key does not exist")]
    NoSuchAccessKey,
    /// Nothing goes without a signature here.
    #[error("the request must be signed")]
    Unsigned,
    /// The access key has no right to it.
    #[error("the access key may not do that here")]
    Denied,
    /// No such bucket.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// No such object.
    #[error("the object does not exist")]
    NoSuchKey,
    /// No such upload in parts.
    #[error("the upload does not exist; it may have been completed or aborted")]
    NoSuchUpload,
    /// There is a bucket of that name.
    #[error("the bucket exists")]
    BucketExists,
    /// The bucket is a folder somewhere else, and stays.
    #[error("the bucket is mapped to a folder; unmap it: wolfdiskctl s3 bucket unmap NAME")]
    BucketMapped,
    /// What a bucket is mapped to cannot be read.
    #[error("the folder of the bucket is not known: {0}")]
    BucketMap(#[from] BadFolderPath),
    /// A name that no bucket can have.
    #[error("the name breaks the rules for names of buckets")]
    BucketName,
    /// The bucket has objects.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// No byte of the object is in the range.
    #[error("the range is not within the object of {0} bytes")]
    Range(u64),
    /// The client has it.
    #[error("the object was not modified")]
    NotModified {
        /// Its tag, quoted.
        etag: String,
        /// When it was modified, as a header says it.
        last_modified: String,
    },
    /// A condition does not hold.
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    /// The object was changed again and again while conditions were looked at.
    #[error("the object is being changed by others; try again")]
    Contended,
    /// The bytes are not what was announced.
    #[error("the {0} that was sent does not match the content")]
    BadDigest(&'static str),
    /// No digest.
    #[error("the {0} is not valid")]
    InvalidDigest(&'static str),
    /// The signed hash is not that of the body.
    #[error("the x-amz-content-sha256 that was signed does not match the content")]
    ContentHash,
    /// A signature in the body is wrong.
    #[error("a signature in the body does not match")]
    ChunkSignature,
    /// The body is shorter or longer than announced, or its client went away.
    #[error("the body is not as long as announced")]
    IncompleteBody,
    /// The client took too long.
    #[error("the body came too slowly")]
    SlowBody,
    /// The length of the body is not known.
    #[error("the length of the body must be announced")]
    NoLength,
    /// Too much.
    #[error("the content is larger than allowed")]
    EntityTooLarge,
    /// A part that is not the last.
    #[error("a part that is not the last is smaller than allowed")]
    EntityTooSmall,
    /// A part that is not there, or another than was named.
    #[error("part {0} was not found, or its entity tag differs")]
    InvalidPart(u32),
    /// Parts are to be listed in order.
    #[error("the parts are not in ascending order")]
    PartOrder,
    /// Headers, metadata or tags that are too large.
    #[error("{0}")]
    TooLarge(#[from] TooLarge),
    /// Tags that break a rule.
    #[error("{0}")]
    Tag(#[from] TagError),
    /// An argument that cannot be.
    #[error("{0}")]
    Argument(&'static str),
    /// Arguments that do not go together.
    #[error("{0}")]
    Request(&'static str),
    /// XML that says nothing.
    #[error("{0}")]
    Xml(&'static str),
    /// The bucket has none of what is asked for.
    #[error("{0}")]
    Unset(#[from] Unset),
    /// No web page may do this.
    #[error("CORSResponse: {0}")]
    Cors(&'static str),
    /// A preflight that does not say what is to follow.
    #[error("{0}")]
    Preflight(&'static str),
    /// An access list must be named in one way.
    #[error("your request was missing a required header: x-amz-acl")]
    NoAcl,
    /// What is not done here.
    #[error("{0} is not implemented")]
    NotImplemented(&'static str),
    /// A class of storage that there is not.
    #[error("there is one class of storage: STANDARD")]
    StorageClass,
    /// A form that is no good.
    #[error("{0}")]
    Form(#[from] FormError),
    /// What is kept of the object cannot be read.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// Nobody answered in time.
    #[error("the volume does not answer; try again")]
    Overdue,
    /// The gateway stops.
    #[error("{0}")]
    Ending(#[from] Ending),
}

impl Failure {
    /// The table.
    fn code(&self) -> S3ErrorCode {
        match self {
            Failure::Volume(error) => volume_code(error),
            Failure::Key(KeyError::TooLong(_) | KeyError::Name(NameError::TooLong(_))) => {
                S3ErrorCode::KeyTooLongError
            }
            Failure::Key(
                KeyError::Empty | KeyError::Name(NameError::Empty | NameError::Reserved),
            ) => S3ErrorCode::InvalidArgument,
            Failure::NoSuchAccessKey => S3ErrorCode::InvalidAccessKeyId,
            Failure::Unsigned | Failure::Denied => S3ErrorCode::AccessDenied,
            Failure::NoSuchBucket => S3ErrorCode::NoSuchBucket,
            Failure::NoSuchKey => S3ErrorCode::NoSuchKey,
            Failure::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            Failure::BucketExists => S3ErrorCode::BucketAlreadyOwnedByYou,
            Failure::BucketMapped => S3ErrorCode::InvalidBucketState,
            Failure::BucketMap(_) => S3ErrorCode::InternalError,
            Failure::BucketName => S3ErrorCode::InvalidBucketName,
            Failure::BucketNotEmpty => S3ErrorCode::BucketNotEmpty,
            Failure::Range(_) => S3ErrorCode::InvalidRange,
            Failure::NotModified { .. } => S3ErrorCode::NotModified,
            Failure::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            Failure::Contended => S3ErrorCode::ConditionalRequestConflict,
            Failure::BadDigest(_) => S3ErrorCode::BadDigest,
            Failure::InvalidDigest("Content-MD5") => S3ErrorCode::InvalidDigest,
            Failure::InvalidDigest(_) => S3ErrorCode::InvalidRequest,
            Failure::ContentHash => S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            Failure::ChunkSignature => S3ErrorCode::SignatureDoesNotMatch,
            Failure::IncompleteBody => S3ErrorCode::IncompleteBody,
            Failure::SlowBody => S3ErrorCode::RequestTimeout,
            Failure::NoLength => S3ErrorCode::MissingContentLength,
            Failure::EntityTooLarge => S3ErrorCode::EntityTooLarge,
            Failure::EntityTooSmall => S3ErrorCode::EntityTooSmall,
            Failure::InvalidPart(_) => S3ErrorCode::InvalidPart,
            Failure::PartOrder => S3ErrorCode::InvalidPartOrder,
            Failure::TooLarge(_) => S3ErrorCode::MetadataTooLarge,
            Failure::Tag(TagError::TooMany(_)) => S3ErrorCode::Custom("BadRequest".into()),
            Failure::Tag(TagError::Encoding) => S3ErrorCode::InvalidArgument,
            Failure::Tag(
                TagError::Key | TagError::Value | TagError::Twice | TagError::Reserved,
            ) => S3ErrorCode::InvalidTag,
            Failure::Argument(_) => S3ErrorCode::InvalidArgument,
            Failure::Request(_) => S3ErrorCode::InvalidRequest,
            Failure::Xml(_) => S3ErrorCode::MalformedXML,
            Failure::Unset(unset) => unset.code(),
            Failure::Cors(_) => S3ErrorCode::Custom("AccessForbidden".into()),
            Failure::Preflight(_) => S3ErrorCode::Custom("BadRequest".into()),
            Failure::NoAcl => S3ErrorCode::MissingSecurityHeader,
            Failure::NotImplemented(_) => S3ErrorCode::NotImplemented,
            Failure::StorageClass => S3ErrorCode::InvalidStorageClass,
            Failure::Form(error) => error.code(),
            Failure::Unreadable(_) => S3ErrorCode::InternalError,
            Failure::Ending(_) | Failure::Overdue => S3ErrorCode::ServiceUnavailable,
        }
    }

    /// As [`Failure::NoSuchKey`] where a key that no file can have is only looked for.
    pub fn missing_if_impossible(self) -> Failure {
        match self {
            Failure::Key(_) => Failure::NoSuchKey,
            Failure::Volume(error) if is_absence(&error) => Failure::NoSuchKey,
            other => other,
        }
    }
}

/// Nothing is at a key because something else is on the way to it.
fn is_absence(error: &VolumeError) -> bool {
    matches!(error.errno(), libc::ENOENT | libc::ENOTDIR | libc::EISDIR)
}

fn volume_code(error: &VolumeError) -> S3ErrorCode {
    match error {
        VolumeError::Changed => S3ErrorCode::ConditionalRequestConflict,
        VolumeError::Refused(errno) => errno_code(*errno),
        VolumeError::Failed(_) if error.errno() == libc::EIO => S3ErrorCode::ServiceUnavailable,
        VolumeError::Failed(_) => errno_code(error.errno()),
        VolumeError::ShutDown | VolumeError::Interrupted => S3ErrorCode::ServiceUnavailable,
        VolumeError::NoHandle(_)
        | VolumeError::Damaged { .. }
        | VolumeError::LocksLost(_)
        | VolumeError::System { .. }
        | VolumeError::Malformed(_) => S3ErrorCode::InternalError,
    }
}

fn errno_code(errno: i32) -> S3ErrorCode {
    match errno {
        libc::ENOENT => S3ErrorCode::NoSuchKey,
        // A key that is a file and the beginning of another.
        libc::ENOTDIR | libc::EISDIR => S3ErrorCode::InvalidRequest,
        libc::ENOSPC | libc::EDQUOT => S3ErrorCode::Custom("InsufficientStorage".into()),
        libc::ENAMETOOLONG => S3ErrorCode::KeyTooLongError,
        libc::EFBIG => S3ErrorCode::EntityTooLarge,
        libc::EROFS | libc::EACCES | libc::EPERM => S3ErrorCode::AccessDenied,
        libc::ESTALE => S3ErrorCode::ServiceUnavailable,
        _ => S3ErrorCode::InternalError,
    }
}

/// The status of the codes that s3s does not know, or knows another of.
fn status(code: &S3ErrorCode) -> Option<http::StatusCode> {
    match code.as_str() {
        "InsufficientStorage" => Some(http::StatusCode::INSUFFICIENT_STORAGE),
        "XAmzContentSHA256Mismatch" | "BadRequest" => Some(http::StatusCode::BAD_REQUEST),
        "AccessForbidden" => Some(http::StatusCode::FORBIDDEN),
        "NoSuchPublicAccessBlockConfiguration"
        | "ServerSideEncryptionConfigurationNotFoundError" => Some(http::StatusCode::NOT_FOUND),
        _ => None,
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> S3Error {
        let code = failure.code();
        let status = status(&code);
        let serious = status
            .or(code.status_code())
            .is_none_or(|status| status.is_server_error());
        let asked = matches!(failure, Failure::NotImplemented(_));
        if serious && !asked {
            tracing::warn!(code = code.as_str(), error = %failure, "a request failed");
        }
        let message = match (&failure, &code) {
            (Failure::Volume(VolumeError::Refused(libc::ENOTDIR | libc::EISDIR)), _) => {
                "a key cannot be that of an object and the beginning of other keys: it is a file or a directory"
                    .to_owned()
            }
            // What is wrong inside is for the log.
            (_, S3ErrorCode::InternalError) => "the gateway's log says more".to_owned(),
            (failure, _) => failure.to_string(),
        };
        let mut error = S3Error::with_message(code, message);
        if let Some(status) = status {
            error.set_status_code(status);
        }
        if let Failure::NotModified {
            etag,
            last_modified,
        } = &failure
        {
            let mut headers = http::HeaderMap::new();
            for (name, value) in [
                (http::header::ETAG, etag),
                (http::header::LAST_MODIFIED, last_modified),
            ] {
                if let Ok(value) = value.parse() {
                    headers.insert(name, value);
                }
            }
            error.set_headers(headers);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_understand_what_a_volume_refuses() {
        let cases = [
            (libc::ENOSPC, "InsufficientStorage", 507),
            (libc::ENOTDIR, "InvalidRequest", 400),
            (libc::EISDIR, "InvalidRequest", 400),
            (libc::EROFS, "AccessDenied", 403),
            (libc::EINVAL, "InternalError", 500),
        ];
        for (errno, code, status) in cases {
            let error = S3Error::from(Failure::from(VolumeError::Refused(errno)));
            assert_eq!(error.code().as_str(), code);
            assert_eq!(
                error.status_code().map(|status| status.as_u16()),
                Some(status),
                "{code}"
            );
        }
    }

    #[test]
    fn an_impossible_key_is_missing_to_a_reader_and_refused_to_a_writer() {
        let failure = || Failure::from(KeyError::Name(NameError::Reserved));
        assert_eq!(S3Error::from(failure()).code().as_str(), "InvalidArgument");
        assert_eq!(
            S3Error::from(failure().missing_if_impossible())
                .code()
                .as_str(),
            "NoSuchKey"
        );
        let long = Failure::from(KeyError::TooLong(2000));
        assert_eq!(S3Error::from(long).code().as_str(), "KeyTooLongError");
    }

    #[test]
    fn what_is_not_modified_says_which_it_is() {
        let error = S3Error::from(Failure::NotModified {
            etag: "\"a\"".to_owned(),
            last_modified: "Thu, 01 Jan 1970 00:00:00 GMT".to_owned(),
        });
        assert_eq!(error.status_code().map(|status| status.as_u16()), Some(304));
        let headers = error.headers().expect("headers");
        assert_eq!(
            headers.get("etag").map(http::HeaderValue::as_bytes),
            Some(&b"\"a\""[..])
        );
    }
}
