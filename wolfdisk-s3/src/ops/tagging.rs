//! Tags of objects.

use s3s::S3Request;
use s3s::dto::*;

use super::{Gateway, key, key_to_read, only_version};
use crate::error::Result;
use crate::store::view::View;
use crate::tags::Tags;

impl Gateway {
    pub(super) async fn tags(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> Result<GetObjectTaggingOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        let bucket = self.store.bucket(&input.bucket).await?;
        let object = self.store.object(bucket, key_to_read(&input.key)?).await?;
        let view = View::of(&object)?;
        let pairs = view.stored.tags.pairs().iter();
        let tag_set = pairs.map(|(key, value)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        });
        Ok(GetObjectTaggingOutput {
            tag_set: tag_set.collect(),
            ..GetObjectTaggingOutput::default()
        })
    }

    pub(super) async fn set_tags(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> Result<PutObjectTaggingOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        let given = input.tagging.tag_set.into_iter();
        let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let tags = Tags::new(given.map(pair).collect())?;
        self.replace_tags(&input.bucket, &input.key, tags).await?;
        Ok(PutObjectTaggingOutput::default())
    }

    pub(super) async fn remove_tags(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> Result<DeleteObjectTaggingOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        self.replace_tags(&input.bucket, &input.key, Tags::default())
            .await?;
        Ok(DeleteObjectTaggingOutput::default())
    }

    async fn replace_tags(&self, bucket: &str, name: &str, tags: Tags) -> Result<()> {
        let bucket = self.store.bucket(bucket).await?;
        self.store
            .change(bucket, &key(name)?, |stored| stored.tags = tags.clone())
            .await
    }
}
