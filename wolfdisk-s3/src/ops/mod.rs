//! The operations of S3, a file for each family; here is the table. What is not in it is answered `NotImplemented`.

mod acl;
mod attributes;
mod buckets;
mod configuration;
mod copy;
mod delete;
mod get;
mod headers;
mod lifecycle;
mod list;
mod multipart;
mod put;
mod refuse;
pub(crate) mod sums;
mod tagging;
mod unset;

use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use wolfdisk_client::ObjectKey;

use crate::error::{Failure, Result};
use crate::etag::ETag as Tag;
use crate::server::metrics;
use crate::store::Store;

pub use lifecycle::expire;
pub use multipart::sweep;

/// Who owns everything, as S3 shows it: a volume has users, S3's owners are accounts.
pub const OWNER: &str = "wolfdisk";
/// Where everything is, as S3 shows it. Clients that are told nothing believe in this region.
pub const REGION: &str = "us-east-1";

/// See the module.
#[derive(Clone, Debug)]
pub struct Gateway {
    store: Store,
}

impl Gateway {
    /// Over a store.
    pub fn new(store: Store) -> Gateway {
        Gateway { store }
    }

    /// What it is over.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// One line for each operation: its name, its types, and which method answers.
macro_rules! table {
    ($($name:ident($input:ty) -> $output:ty = $method:ident;)*) => {
        #[async_trait]
        impl S3 for Gateway {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                metrics::name(&request.extensions, stringify!($name));
                let output = self.$method(request).await.map_err(S3Error::from)?;
                Ok(S3Response::new(output))
            })*

            async fn post_object(
                &self,
                _: S3Request<PostObjectInput>,
            ) -> S3Result<S3Response<PostObjectOutput>> {
                Err(S3Error::with_message(S3ErrorCode::NotImplemented, "forms do not get here"))
            }
        }
    };
}

table! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets;
    create_bucket(CreateBucketInput) -> CreateBucketOutput = make_bucket;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = look_at_bucket;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = remove_bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = versioning;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = bucket_tags;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = set_bucket_tags;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = remove_bucket_tags;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = set_cors;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = remove_cors;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = lifecycle;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = set_lifecycle;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = remove_lifecycle;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = bucket_acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = set_bucket_acl;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = set_acl;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = acceleration;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = notifications;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = payer;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = policy_status;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = encryption;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = website;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = object_lock;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = replication;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = public_access;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = ownership;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = no_policy;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = no_website;
    delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput = no_replication;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = no_public_access;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = no_ownership;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list_first;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_second;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list_versions;
    put_object(PutObjectInput) -> PutObjectOutput = put;
    get_object(GetObjectInput) -> GetObjectOutput = get;
    head_object(HeadObjectInput) -> HeadObjectOutput = head;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete_many;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tags;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = set_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = remove_tags;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = begin_upload;
    upload_part(UploadPartInput) -> UploadPartOutput = put_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy_part;
    list_parts(ListPartsInput) -> ListPartsOutput = parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = uploads;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = abort;
}

/// The key of a request.
fn key(text: &str) -> Result<ObjectKey> {
    Ok(ObjectKey::parse(text.as_bytes())?)
}

/// The same, of a request that only looks.
fn key_to_read(text: &str) -> Result<ObjectKey> {
    key(text).map_err(Failure::missing_if_impossible)
}

/// A tag as s3s shows it.
fn shown(etag: Tag) -> ETag {
    ETag::Strong(etag.to_string())
}

fn owner() -> Owner {
    Owner {
        display_name: Some(OWNER.to_owned()),
        id: Some(OWNER.to_owned()),
    }
}

/// There is one version of everything, which S3 calls `null` where versions were never switched on.
fn only_version(id: Option<&String>) -> Result<()> {
    match id.is_none_or(|id| id == "null") {
        true => Ok(()),
        false => Err(Failure::Argument("there are no versions but `null`")),
    }
}
