//! Buckets: directories right below the root, and folders that are mapped to a name.

use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_client::{Content, Error as VolumeError, Expected, FileKind, ObjectKey};

use super::{Gateway, REGION, owner};
use crate::access::grant::Grant;
use crate::bucket::BucketName;
use crate::error::{Failure, Result};
use crate::limits::LIST_MAX;
use crate::moment;
use crate::store::buckets::{Found, Kind, mapped_buckets};
use crate::stored::Stored;
use crate::token;

impl Gateway {
    pub(super) async fn buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> Result<ListBucketsOutput> {
        let grant = Grant::of(&request.extensions)?;
        let input = request.input;
        let max = match input.max_buckets {
            None => usize::MAX,
            Some(max) => usize::try_from(max)
                .ok()
                .filter(|max| (1..=10_000).contains(max))
                .ok_or(Failure::Argument("max-buckets is from 1 to 10000"))?,
        };
        let after = match &input.continuation_token {
            None => Vec::new(),
            Some(text) => token::decode(text)
                .ok_or(Failure::Argument("the continuation token is not valid"))?,
        };
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut found = self.all_buckets().await?;
        found.retain(|(name, _)| {
            let name = name.as_str();
            grant.reaches(name) && name.starts_with(&prefix) && name.as_bytes() > after.as_slice()
        });
        let more = found.len() > max;
        found.truncate(max);
        let next = found
            .last()
            .filter(|_| more)
            .map(|(name, _)| token::encode(name.as_str().as_bytes()));
        let buckets = found.into_iter().map(|(name, made)| Bucket {
            bucket_region: Some(REGION.to_owned()),
            creation_date: Some(made),
            name: Some(name.as_str().to_owned()),
        });
        Ok(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            continuation_token: next,
            owner: Some(owner()),
            prefix: input.prefix,
        })
    }

    /// All of them, in order of their names.
    pub(super) async fn all_buckets(&self) -> Result<Vec<(BucketName, Timestamp)>> {
        self.store
            .run(|volume| {
                let (mut found, mut cookie) = (Vec::new(), 0);
                loop {
                    let page = volume.readdir(volume.root(), cookie, LIST_MAX as usize, true)?;
                    for item in &page.entries {
                        cookie = item.cookie;
                        let name = BucketName::from_bytes(&item.name);
                        let made = item
                            .entry
                            .as_ref()
                            .map(|entry| moment::shown(entry.attr.btime));
                        if let (FileKind::Directory, Some(name)) = (item.kind, name) {
                            found.push((name, made.unwrap_or_default()));
                        }
                    }
                    if page.end || page.entries.is_empty() {
                        break;
                    }
                }
                for mapped in mapped_buckets(volume)? {
                    found.push((mapped.name, moment::shown(mapped.attr.btime)));
                }
                found.sort();
                // A directory hides what is mapped to its name.
                found.dedup_by(|(name, _), (before, _)| name == before);
                Ok(found)
            })
            .await
    }

    pub(super) async fn make_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> Result<CreateBucketOutput> {
        let input = request.input;
        let name = BucketName::parse(&input.bucket).ok_or(Failure::BucketName)?;
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(Failure::NotImplemented("locking of objects"));
        }
        let acl = input.acl.as_ref().map(BucketCannedACL::as_str);
        if acl.is_some_and(|acl| acl != BucketCannedACL::PRIVATE) {
            return Err(Failure::NotImplemented("access by lists"));
        }
        if self.store.is_mapped(&name).await? {
            return Err(Failure::BucketExists);
        }
        let key = ObjectKey::parse(format!("{name}/").as_bytes())?;
        let new = self.store.new_object(Stored::default().encode()?);
        let made = self.store.run(move |volume| {
            Ok(volume.publish(volume.root(), &key, Content::Marker, new, Expected::Absent)?)
        });
        match made.await {
            Ok(_) => Ok(CreateBucketOutput {
                location: Some(format!("/{name}")),
            }),
            Err(Failure::Volume(VolumeError::Changed)) => Err(Failure::BucketExists),
            Err(Failure::Volume(VolumeError::Refused(libc::ENOTDIR | libc::EEXIST))) => {
                Err(Failure::BucketExists)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) async fn look_at_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> Result<HeadBucketOutput> {
        self.store.bucket(&request.input.bucket).await?;
        Ok(HeadBucketOutput {
            bucket_region: Some(REGION.to_owned()),
            ..HeadBucketOutput::default()
        })
    }

    pub(super) async fn remove_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> Result<DeleteBucketOutput> {
        let name = request.input.bucket;
        let Found { ino: bucket, kind } = self.store.find_bucket(&name).await?;
        if kind == Kind::Mapped {
            return Err(Failure::BucketMapped);
        }
        let removed = self.store.run(move |volume| {
            volume.rmdir(volume.root(), name.as_bytes())?;
            volume.fsync_inode(volume.root())?;
            Ok(())
        });
        match removed.await {
            Ok(()) => {}
            Err(Failure::Volume(VolumeError::Refused(libc::ENOTEMPTY))) => {
                return Err(Failure::BucketNotEmpty);
            }
            Err(Failure::Volume(VolumeError::Refused(libc::ENOENT | libc::ENOTDIR))) => {
                return Err(Failure::NoSuchBucket);
            }
            Err(other) => return Err(other),
        }
        // A mount may have given the name to another directory in between, and that is the one that went.
        match self.store.is_there(bucket).await {
            Ok(true) => {}
            Ok(false) => {
                self.abort_all(bucket).await;
                self.unconfigure_all(bucket).await;
            }
            Err(error) => {
                tracing::warn!(bucket = bucket.0, %error, "what was kept of a bucket is swept later");
            }
        }
        Ok(DeleteBucketOutput::default())
    }

    pub(super) async fn location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Result<GetBucketLocationOutput> {
        self.store.bucket(&request.input.bucket).await?;
        // None means us-east-1.
        Ok(GetBucketLocationOutput::default())
    }

    pub(super) async fn versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Result<GetBucketVersioningOutput> {
        self.store.bucket(&request.input.bucket).await?;
        Ok(GetBucketVersioningOutput::default())
    }
}
