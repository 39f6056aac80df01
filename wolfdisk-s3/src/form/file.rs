//! The file of a form, as the body of a Put: within the lengths that the policy allows, or it ends with an error.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use multer::Field;

use super::error::FormError;
use crate::error::Failure;

/// See the module.
#[derive(Debug)]
pub struct File {
    field: Field<'static>,
    lengths: RangeInclusive<u64>,
    passed: u64,
    ended: bool,
}

/// Why a file ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Larger than allowed.
    #[error("the file is larger than allowed")]
    TooLarge,
    /// Smaller than allowed.
    #[error("the file is smaller than allowed")]
    TooSmall,
    /// Its client was too slow.
    #[error("the file came too slowly")]
    Slow,
    /// Its end did not come.
    #[error("the form ends within the file")]
    Broken,
}

impl FileError {
    /// What the upload fails with.
    pub fn failure(self) -> Failure {
        match self {
            FileError::TooLarge => FormError::FileTooLarge.into(),
            FileError::TooSmall => FormError::FileTooSmall.into(),
            FileError::Slow => Failure::SlowBody,
            FileError::Broken => Failure::IncompleteBody,
        }
    }
}

impl File {
    /// Of a field, with so many bytes.
    pub fn new(field: Field<'static>, lengths: RangeInclusive<u64>) -> File {
        File {
            field,
            lengths,
            passed: 0,
            ended: false,
        }
    }

    fn next(&mut self, polled: Option<multer::Result<Bytes>>) -> Option<Result<Bytes, FileError>> {
        let next = match polled {
            Some(Ok(bytes)) => {
                self.passed += bytes.len() as u64;
                match self.passed > *self.lengths.end() {
                    true => Some(Err(FileError::TooLarge)),
                    false => Some(Ok(bytes)),
                }
            }
            Some(Err(error)) => Some(Err(match FormError::from(error) {
                FormError::Slow => FileError::Slow,
                _ => FileError::Broken,
            })),
            None if self.passed < *self.lengths.start() => Some(Err(FileError::TooSmall)),
            None => None,
        };
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Stream for File {
    type Item = Result<Bytes, FileError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.field).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(polled) => Poll::Ready(self.next(polled)),
        }
    }
}
