//! Putting an object in one piece.

use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_common::ids::Ino;

use super::headers::{given_metadata, given_tags, kept_headers};
use super::refuse::wishes;
use super::sums::{Announced, checksum_type, given_checksums, show_checksum};
use super::{Gateway, key, shown};
use crate::condition::Conditions;
use crate::digest::Summary;
use crate::error::{Failure, Result};
use crate::etag::ETag as Tag;
use crate::limits::PUT_MAX_BYTES;
use crate::store::upload::{Received, check_length};
use crate::stored::Stored;

impl Gateway {
    pub(crate) async fn put(&self, request: S3Request<PutObjectInput>) -> Result<PutObjectOutput> {
        let S3Request {
            input,
            headers,
            trailing_headers,
            ..
        } = request;
        wishes!(input).check()?;
        if input.write_offset_bytes.is_some() {
            return Err(Failure::NotImplemented("appending"));
        }
        let key = key(&input.key)?;
        let named = input
            .checksum_algorithm
            .as_ref()
            .map(ChecksumAlgorithm::as_str);
        let given = given_checksums!(input);
        let announced = Announced::new(given, named, &headers, input.content_md5.as_deref())?;
        let mut stored = Stored {
            headers: kept_headers!(input),
            metadata: given_metadata(input.metadata.as_ref()),
            tags: given_tags(input.tagging.as_deref())?,
            ..Stored::default()
        };
        // What cannot be kept is refused before the content is taken in.
        stored.encode()?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            ..Conditions::default()
        };
        let bucket = self.store.bucket(&input.bucket).await?;
        let max = if key.is_marker() { 0 } else { PUT_MAX_BYTES };
        let body = Body {
            stream: input.body,
            declared: input.content_length,
            max,
        };
        let (received, summary) = match self.take_in(bucket, body, &announced).await {
            Err(Failure::EntityTooLarge) if key.is_marker() => {
                return Err(Failure::Argument(
                    "a key that ends in `/` is a directory and holds no content",
                ));
            }
            other => other?,
        };
        let checksum = announced.check(&summary, trailing_headers.as_ref())?;
        stored.etag = Some(Tag::Md5(summary.md5));
        stored.checksum = Some(checksum.clone());
        let received = if key.is_marker() {
            Received::Nothing
        } else {
            received
        };
        self.store
            .publish(bucket, &key, &received, &stored, &conditions)
            .await?;
        let mut output = PutObjectOutput {
            e_tag: Some(shown(Tag::Md5(summary.md5))),
            checksum_type: checksum_type(Some(&checksum)),
            ..PutObjectOutput::default()
        };
        show_checksum!(output, Some(&checksum));
        Ok(output)
    }

    /// Takes in a whole body, as long as it was announced.
    pub(super) async fn take_in(
        &self,
        root: Ino,
        body: Body,
        announced: &Announced,
    ) -> Result<(Received, Summary)> {
        let too_long = |length: i64| u64::try_from(length).is_ok_and(|length| length > body.max);
        if body.declared.is_some_and(too_long) {
            return Err(Failure::EntityTooLarge);
        }
        let algorithms = [announced.algorithm];
        let taken = self
            .store
            .receive(root, body.stream, &algorithms, body.max)
            .await?;
        check_length(body.declared, &taken.1)?;
        Ok(taken)
    }
}

/// A body and how long it is and may be.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) stream: Option<StreamingBlob>,
    pub(super) declared: Option<i64>,
    pub(super) max: u64,
}
