//! Deleting objects, one or many.

use futures_util::StreamExt;
use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_client::ObjectKey;
use wolfdisk_common::ids::Ino;

use super::{Gateway, key, only_version};
use crate::condition::Conditions;
use crate::error::{Failure, Result};
use crate::limits::{CALLS_OF_A_REQUEST, DELETE_MAX};

impl Gateway {
    pub(super) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> Result<DeleteObjectOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
            return Err(Failure::NotImplemented("a condition on size or time"));
        }
        let bucket = self.store.bucket(&input.bucket).await?;
        let conditions = Conditions {
            if_match: input.if_match,
            ..Conditions::default()
        };
        self.store
            .remove(bucket, &key(&input.key)?, &conditions)
            .await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_many(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> Result<DeleteObjectsOutput> {
        let input = request.input;
        let objects = input.delete.objects;
        if objects.is_empty() || objects.len() > DELETE_MAX {
            return Err(Failure::Xml("a Delete names 1 to 1000 keys"));
        }
        let bucket = self.store.bucket(&input.bucket).await?;
        let removals = objects
            .into_iter()
            .map(|object| self.remove_one(bucket, object));
        let done: Vec<_> = futures_util::stream::iter(removals)
            .buffered(CALLS_OF_A_REQUEST)
            .collect()
            .await;
        let quiet = input.delete.quiet.unwrap_or(false);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (key, outcome) in done {
            match outcome {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(key),
                    ..DeletedObject::default()
                }),
                Err(failure) => {
                    let error = s3s::S3Error::from(failure);
                    errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(key),
                        message: error.message().map(str::to_owned),
                        ..Error::default()
                    });
                }
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        })
    }

    async fn remove_one(&self, bucket: Ino, object: ObjectIdentifier) -> (String, Result<()>) {
        let remove = async {
            only_version(object.version_id.as_ref())?;
            if object.size.is_some() || object.last_modified_time.is_some() {
                return Err(Failure::NotImplemented("a condition on size or time"));
            }
            let parsed: ObjectKey = key(&object.key)?;
            let if_match = object.e_tag.clone().map(ETagCondition::ETag);
            let conditions = Conditions {
                if_match,
                ..Conditions::default()
            };
            self.store.remove(bucket, &parsed, &conditions).await
        };
        let outcome = remove.await;
        (object.key, outcome)
    }
}
