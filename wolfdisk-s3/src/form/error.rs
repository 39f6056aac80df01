//! Why a form is refused, and what S3 calls that.

use s3s::{S3Error, S3ErrorCode};

use super::policy::{Denial, PolicyError};
use crate::error::Failure;
use crate::limits::FORM_FIELDS_MAX_BYTES;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// No form.
    #[error("the form is malformed: {0}")]
    Malformed(&'static str),
    /// Its client was too slow.
    #[error("the form came too slowly")]
    Slow,
    /// The fields before the file are too many or too long.
    #[error("the fields before the file are more than {FORM_FIELDS_MAX_BYTES} bytes, or too many")]
    TooLong,
    /// No file.
    #[error("a form has exactly one file, in a field named `file`")]
    NoFile,
    /// A form goes to a bucket.
    #[error("a form is sent to a bucket")]
    Method,
    /// A field is not there.
    #[error(
        "the form has no field named `{0}`; if it is specified, please check the order of the fields"
    )]
    Missing(&'static str),
    /// A field is there twice.
    #[error("the form has two fields named `{}`", .0.escape_debug())]
    Twice(String),
    /// A field that cannot be what it is.
    #[error("the field `{}` is not valid", .0.escape_debug())]
    Field(String),
    /// Signed the old way.
    #[error("the form is signed by version 2, which is not supported; please use AWS4-HMAC-SHA256")]
    Old,
    /// Signed for another time.
    #[error("the form was signed too long ago, or the clocks differ too much")]
    Skewed,
    /// Not signed by the key that it names.
    #[error("the signature does not match the policy")]
    Signature,
    /// Not signed at all.
    #[error("the form must be signed")]
    Unsigned,
    /// The policy cannot be read.
    #[error("invalid policy: {0}")]
    Policy(#[from] PolicyError),
    /// The policy does not let it through.
    #[error("invalid according to policy: {0}")]
    Denied(#[from] Denial),
    /// The file is larger than the policy allows.
    #[error("the file is larger than the policy allows")]
    FileTooLarge,
    /// The file is smaller than the policy allows.
    #[error("the file is smaller than the policy allows")]
    FileTooSmall,
}

impl FormError {
    /// The table.
    pub fn code(&self) -> S3ErrorCode {
        match self {
            FormError::Malformed(_) => S3ErrorCode::MalformedPOSTRequest,
            FormError::Slow => S3ErrorCode::RequestTimeout,
            FormError::TooLong => S3ErrorCode::MaxPostPreDataLengthExceededError,
            FormError::NoFile => S3ErrorCode::IncorrectNumberOfFilesInPostRequest,
            FormError::Method => S3ErrorCode::MethodNotAllowed,
            FormError::Missing(_) | FormError::Twice(_) | FormError::Field(_) => {
                S3ErrorCode::InvalidArgument
            }
            FormError::Old => S3ErrorCode::InvalidRequest,
            FormError::Skewed => S3ErrorCode::RequestTimeTooSkewed,
            FormError::Signature => S3ErrorCode::SignatureDoesNotMatch,
            FormError::Unsigned | FormError::Denied(_) => S3ErrorCode::AccessDenied,
            FormError::Policy(_) => S3ErrorCode::InvalidPolicyDocument,
            FormError::FileTooLarge => S3ErrorCode::EntityTooLarge,
            FormError::FileTooSmall => S3ErrorCode::EntityTooSmall,
        }
    }
}

impl From<FormError> for S3Error {
    fn from(error: FormError) -> S3Error {
        Failure::from(error).into()
    }
}

impl From<multer::Error> for FormError {
    fn from(error: multer::Error) -> FormError {
        match error {
            multer::Error::StreamReadFailed(cause) => match cause.downcast::<FormError>() {
                Ok(own) => *own,
                Err(_) => FormError::Malformed("it broke off"),
            },
            multer::Error::IncompleteStream
            | multer::Error::IncompleteFieldData { .. }
            | multer::Error::IncompleteHeaders => FormError::Malformed("it ends too early"),
            _ => FormError::Malformed("a part of it cannot be read"),
        }
    }
}
