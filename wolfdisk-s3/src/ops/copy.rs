//! Copying an object within the volume.

use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_client::ObjectKey;
use wolfdisk_common::ids::Ino;

use super::headers::{given_metadata, given_tags, kept_headers};
use super::refuse::wishes;
use super::sums::{checksum_type, show_checksum};
use super::{Gateway, key, key_to_read, only_version, shown};
use crate::condition::{Conditions, Purpose, Verdict};
use crate::error::{Failure, Result};
use crate::moment;
use crate::range::Span;
use crate::store::OpenFile;
use crate::store::upload::Received;
use crate::store::view::View;
use crate::stored::Stored;

/// The conditions on the source of a copy, of whichever type the request is.
macro_rules! source_conditions {
    ($input:expr) => {
        $crate::condition::Conditions {
            if_match: $input.copy_source_if_match.clone(),
            if_none_match: $input.copy_source_if_none_match.clone(),
            if_modified_since: $input
                .copy_source_if_modified_since
                .as_ref()
                .map($crate::moment::seconds),
            if_unmodified_since: $input
                .copy_source_if_unmodified_since
                .as_ref()
                .map($crate::moment::seconds),
        }
    };
}

pub(super) use source_conditions;

/// An object that is copied from.
#[derive(Debug)]
pub(super) struct Source {
    bucket: Ino,
    key: ObjectKey,
    pub(super) view: View,
    /// None of a directory.
    pub(super) file: Option<OpenFile>,
}

impl Gateway {
    /// Opens the source of a copy, if the conditions on it hold.
    pub(super) async fn source(
        &self,
        named: &CopySource,
        conditions: &Conditions,
    ) -> Result<Source> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = named
        else {
            return Err(Failure::NotImplemented("an access point"));
        };
        only_version(version_id.as_deref().map(str::to_owned).as_ref())?;
        let bucket = self.store.bucket(bucket).await?;
        let key = key_to_read(key)?;
        let opened = self.store.open(bucket, key.clone()).await;
        let (object, file) = opened.map_err(Failure::missing_if_impossible)?;
        let view = View::of(&object)?;
        match conditions.evaluate(Some(&view.current()), Purpose::Source) {
            Verdict::Proceed => Ok(Source {
                bucket,
                key,
                view,
                file,
            }),
            Verdict::NotModified | Verdict::Failed | Verdict::Missing => {
                Err(Failure::PreconditionFailed)
            }
        }
    }

    pub(super) async fn copy(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> Result<CopyObjectOutput> {
        let input = request.input;
        wishes!(input).check()?;
        let replace = replaces(
            input
                .metadata_directive
                .as_ref()
                .map(MetadataDirective::as_str),
        )?;
        let replace_tags = replaces(
            input
                .tagging_directive
                .as_ref()
                .map(TaggingDirective::as_str),
        )?;
        let target = key(&input.key)?;
        if !replace && !replace_tags && is_itself(&input) {
            return Err(Failure::Request(
                "an object is copied onto itself only with a directive to replace metadata or tags",
            ));
        }
        let source = self
            .source(&input.copy_source, &source_conditions!(input))
            .await?;
        let kept = &source.view.stored;
        let (headers, metadata) = match replace {
            true => (
                kept_headers!(input),
                given_metadata(input.metadata.as_ref()),
            ),
            false => (kept.headers.clone(), kept.metadata.clone()),
        };
        let stored = Stored {
            headers,
            metadata,
            tags: match replace_tags {
                true => given_tags(input.tagging.as_deref())?,
                false => kept.tags.clone(),
            },
            etag: kept.etag,
            checksum: kept.checksum.clone(),
            parts: kept.parts.clone(),
            upload: None,
        };
        let bucket = self.store.bucket(&input.bucket).await?;
        let content = self.content_for(&target, &source, bucket).await?;
        let stored = match self.is_unchanged(&source).await? {
            true => stored,
            // What was copied may be what a mount wrote meanwhile.
            false => stored.without_content(),
        };
        let conditions = Conditions::default();
        let done = self
            .store
            .publish(bucket, &target, &content, &stored, &conditions)
            .await?;
        let view = View::of(&done)?;
        let checksum = view.stored.checksum.as_ref();
        let mut result = CopyObjectResult {
            e_tag: Some(shown(view.etag())),
            last_modified: Some(moment::shown(view.attr().mtime)),
            checksum_type: checksum_type(checksum),
            ..CopyObjectResult::default()
        };
        show_checksum!(result, checksum);
        Ok(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        })
    }

    /// The content of a source is still the one that its view is of.
    async fn is_unchanged(&self, source: &Source) -> Result<bool> {
        let now = self.store.find(source.bucket, source.key.clone()).await?;
        let seen = source.view.attr();
        Ok(now.is_some_and(|now| {
            (now.attr.ino, now.attr.content_version) == (seen.ino, seen.content_version)
        }))
    }

    /// What is to be at the target.
    async fn content_for(
        &self,
        target: &ObjectKey,
        source: &Source,
        bucket: Ino,
    ) -> Result<Received> {
        let span = Span::whole(source.view.size());
        match (target.is_marker(), &source.file) {
            (true, _) if span.length > 0 => Err(Failure::Argument(
                "a key that ends in `/` is a directory and holds no content",
            )),
            (true, _) => Ok(Received::Nothing),
            (false, None) => Ok(Received::Small(bytes::Bytes::new())),
            (false, Some(file)) => self.store.copied(bucket, file, span).await,
        }
    }
}

fn replaces(directive: Option<&str>) -> Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(Failure::Argument("a directive is COPY or REPLACE")),
    }
}

fn is_itself(input: &CopyObjectInput) -> bool {
    matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. }
        if **bucket == *input.bucket && **key == *input.key)
}
