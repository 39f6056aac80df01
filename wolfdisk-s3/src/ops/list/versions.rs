//! Listing versions. Buckets have never had any, so every object is its own and only one, which S3 calls `null`.

use s3s::S3Request;
use s3s::dto::*;

use super::{Gateway, Query, Shown, Written, readable_beginning};
use crate::error::{Failure, Result};

/// The name of the only version.
const NULL: &str = "null";

impl Gateway {
    pub(in crate::ops) async fn list_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Result<ListObjectVersionsOutput> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let mut query = Query::new(
            input.prefix.as_ref(),
            input.delimiter.as_ref(),
            input.max_keys,
            encoding,
        )?;
        let key_marker = input.key_marker.unwrap_or_default();
        let version_marker = input.version_id_marker.unwrap_or_default();
        match version_marker.as_str() {
            "" => {}
            NULL if !key_marker.is_empty() => {}
            NULL => {
                return Err(Failure::Argument(
                    "a version-id marker cannot be specified without a key marker",
                ));
            }
            _ => return Err(Failure::Argument("there are no versions but `null`")),
        }
        query.start_after(&key_marker);
        let bucket = self.store.bucket(&input.bucket).await?;
        let page = self.page(bucket, &query).await?;
        let written = Written {
            url: encoding.is_some(),
            with_owner: true,
        };
        let truncated = page.next.is_some();
        let next = page.next.as_deref().map(|next| match page.shown.last() {
            Some(Shown::Key(text, _)) => (text.clone(), Some(NULL.to_owned())),
            Some(Shown::Prefix(text)) => (text.clone(), None),
            None => (readable_beginning(next), None),
        });
        let (next_key, next_version) = next.unzip();
        let (contents, prefixes) = written.page(page);
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(written.text(query.prefix)),
            key_marker: Some(written.text(key_marker)),
            version_id_marker: Some(version_marker),
            max_keys: i32::try_from(query.max).ok(),
            is_truncated: Some(truncated),
            versions: Some(contents.into_iter().map(version).collect()),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.map(|text| written.text(text)),
            next_key_marker: next_key.map(|text| written.text(text)),
            next_version_id_marker: next_version.flatten(),
            encoding_type: input.encoding_type,
            ..ListObjectVersionsOutput::default()
        })
    }
}

fn version(object: Object) -> ObjectVersion {
    ObjectVersion {
        checksum_algorithm: object.checksum_algorithm,
        checksum_type: object.checksum_type,
        e_tag: object.e_tag,
        is_latest: Some(true),
        key: object.key,
        last_modified: object.last_modified,
        owner: object.owner,
        restore_status: None,
        size: object.size,
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(NULL.to_owned()),
    }
}
