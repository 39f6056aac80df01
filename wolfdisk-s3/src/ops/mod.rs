//! The operations of S3, a file for each family; here is the table. What is not in it is answered `NotImplemented`.

mod attributes;
mod buckets;
mod copy;
mod delete;
mod get;
mod headers;
mod list;
mod multipart;
mod put;
mod refuse;
mod sums;
mod tagging;

use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use wolfdisk_client::ObjectKey;

use crate::error::{Failure, Result};
use crate::etag::ETag as Tag;
use crate::server::metrics;
use crate::store::Store;

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
    list_objects(ListObjectsInput) -> ListObjectsOutput = list_first;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_second;
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
