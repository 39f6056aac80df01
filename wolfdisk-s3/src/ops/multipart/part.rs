//! Parts, sent or copied.

use s3s::S3Request;
use s3s::dto::*;

use super::super::copy::source_conditions;
use super::super::put::Body;
use super::super::shown;
use super::super::sums::{Announced, given_checksums, show_checksum};
use super::{Gateway, Upload, part_number};
use crate::checksum::{Algorithm, Checksum, Scope};
use crate::condition::Conditions;
use crate::digest::Digests;
use crate::error::{Failure, Result};
use crate::etag::ETag as Tag;
use crate::limits::PUT_MAX_BYTES;
use crate::moment;
use crate::range::Span;
use crate::store::upload::Received;
use crate::store::view::View;
use crate::stored::Stored;

impl Gateway {
    pub(crate) async fn put_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> Result<UploadPartOutput> {
        let S3Request {
            input,
            headers,
            trailing_headers,
            ..
        } = request;
        let number = part_number(input.part_number)?;
        let upload = self
            .upload(&input.bucket, &input.key, &input.upload_id)
            .await?;
        self.touch(&upload).await?;
        let wanted = upload.of.checksum.map(|(algorithm, _)| algorithm.name());
        let named = input
            .checksum_algorithm
            .as_ref()
            .map(ChecksumAlgorithm::as_str)
            .or(wanted);
        let given = given_checksums!(input);
        let announced = Announced::new(given, named, &headers, input.content_md5.as_deref())?;
        if wanted.is_some_and(|wanted| wanted != announced.algorithm.name()) {
            return Err(Failure::Request(
                "the upload was begun with another checksum algorithm",
            ));
        }
        let body = Body {
            stream: input.body,
            declared: input.content_length,
            max: PUT_MAX_BYTES,
        };
        let (received, summary) = self.take_in(upload.system, body, &announced).await?;
        let checksum = announced.check(&summary, trailing_headers.as_ref())?;
        let stored = Stored {
            etag: Some(Tag::Md5(summary.md5)),
            checksum: Some(checksum.clone()),
            ..Stored::default()
        };
        self.keep_part(&upload, number, &received, &stored).await?;
        let mut output = UploadPartOutput {
            e_tag: Some(shown(Tag::Md5(summary.md5))),
            ..UploadPartOutput::default()
        };
        show_checksum!(output, Some(&checksum));
        Ok(output)
    }

    /// Publishes a part, unless the upload has ended meanwhile.
    async fn keep_part(
        &self,
        upload: &Upload,
        number: u16,
        content: &Received,
        stored: &Stored,
    ) -> Result<View> {
        let key = upload.id.part(number)?;
        let conditions = Conditions::default();
        let object = self
            .store
            .publish(upload.system, &key, content, stored, &conditions)
            .await?;
        // Whoever ends an upload removes its file first and the parts that it then finds: either it finds this
        // one, or this finds the upload gone.
        match self.touch(upload).await {
            Ok(()) => View::of(&object),
            Err(Failure::NoSuchUpload) => {
                self.store.remove(upload.system, &key, &conditions).await?;
                Err(Failure::NoSuchUpload)
            }
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> Result<UploadPartCopyOutput> {
        let input = request.input;
        let number = part_number(input.part_number)?;
        let upload = self
            .upload(&input.bucket, &input.key, &input.upload_id)
            .await?;
        self.touch(&upload).await?;
        let source = self
            .source(&input.copy_source, &source_conditions!(input))
            .await?;
        let size = source.view.size();
        let span = match &input.copy_source_range {
            None => Span::whole(size),
            Some(text) => Span::of_source(text, size).ok_or(Failure::Argument(
                "the range of the source is not within it",
            ))?,
        };
        if span.length > PUT_MAX_BYTES {
            return Err(Failure::EntityTooLarge);
        }
        let algorithm = upload
            .of
            .checksum
            .map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
        let digests = Digests::new([algorithm]);
        let (content, summary) = match &source.file {
            None => (Received::Small(bytes::Bytes::new()), digests.finish()),
            Some(file) => {
                // No data is moved, but its MD5 belongs to the tag of the whole: that of the copy, since a mount may be
                // writing to the source.
                let content = self.store.copied(upload.system, file, span).await?;
                let digests = self
                    .store
                    .digest_copy(&content, span.length, digests)
                    .await?;
                (content, digests.finish())
            }
        };
        let value = summary
            .sums
            .into_iter()
            .next()
            .map(|(_, value)| value)
            .unwrap_or_default();
        let stored = Stored {
            etag: Some(Tag::Md5(summary.md5)),
            checksum: Some(Checksum {
                algorithm,
                scope: Scope::Whole,
                value,
            }),
            ..Stored::default()
        };
        let view = self.keep_part(&upload, number, &content, &stored).await?;
        let mut result = CopyPartResult {
            e_tag: Some(shown(Tag::Md5(summary.md5))),
            last_modified: Some(moment::shown(view.attr().mtime)),
            ..CopyPartResult::default()
        };
        show_checksum!(result, stored.checksum.as_ref());
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        })
    }
}
