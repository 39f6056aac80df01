//! Beginning an upload, and giving one up.

use std::time::Duration;

use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_client::Expected;
use wolfdisk_common::ids::Ino;

use super::super::headers::{given_metadata, given_tags, kept_headers};
use super::super::refuse::wishes;
use super::{Gateway, UploadId};
use crate::checksum::Algorithm;
use crate::condition::Conditions;
use crate::error::{Failure, Result};
use crate::store::upload::Received;
use crate::stored::{Stored, UploadOf};

impl Gateway {
    pub(crate) async fn begin_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Result<CreateMultipartUploadOutput> {
        let input = request.input;
        wishes!(input).check()?;
        let key = super::super::key(&input.key)?;
        if key.is_marker() {
            return Err(Failure::Argument(
                "a key that ends in `/` is a directory and holds no content",
            ));
        }
        let stored = Stored {
            headers: kept_headers!(input),
            metadata: given_metadata(input.metadata.as_ref()),
            tags: given_tags(input.tagging.as_deref())?,
            upload: Some(UploadOf {
                key: input.key.clone(),
                checksum: wanted_checksum(&input)?,
            }),
            ..Stored::default()
        };
        let bucket = self.store.bucket(&input.bucket).await?;
        let system = self.store.system_root().await?;
        let id = UploadId::new(bucket);
        let nothing = Received::Small(bytes::Bytes::new());
        let place = id.place()?;
        self.store
            .publish(system, &place, &nothing, &stored, &Conditions::default())
            .await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.name),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(crate) async fn abort(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Result<AbortMultipartUploadOutput> {
        let input = request.input;
        let upload = self
            .upload(&input.bucket, &input.key, &input.upload_id)
            .await?;
        // Whoever puts a part meanwhile changes the record, which is no reason to let it be.
        let (system, anything) = (upload.system, Expected::Anything);
        match self
            .end_upload(system, &upload.id, anything, Duration::ZERO)
            .await?
        {
            true => Ok(AbortMultipartUploadOutput::default()),
            false => Err(Failure::NoSuchUpload),
        }
    }

    /// Ends all uploads of a bucket that is gone. What fails is swept later.
    pub(crate) async fn abort_all(&self, bucket: Ino) {
        let ended = self.end_uploads(bucket, Duration::ZERO, |_| Some(Expected::Anything));
        if let Err(error) = ended.await {
            tracing::warn!(%error, bucket = bucket.0, "uploads of a removed bucket are left");
        }
    }
}

/// The checksum that the parts are to have, and whether that of the whole object is wanted.
fn wanted_checksum(input: &CreateMultipartUploadInput) -> Result<Option<(Algorithm, bool)>> {
    let named = input
        .checksum_algorithm
        .as_ref()
        .map(ChecksumAlgorithm::as_str);
    let kind = input.checksum_type.as_ref().map(ChecksumType::as_str);
    let Some(name) = named else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(Failure::Request(
                "a checksum type needs a checksum algorithm",
            )),
        };
    };
    let algorithm =
        Algorithm::parse(name).ok_or(Failure::Request("the checksum algorithm is unknown"))?;
    let whole = match kind {
        // CRC-64 has no other.
        None => algorithm == Algorithm::Crc64Nvme,
        Some(ChecksumType::FULL_OBJECT) => true,
        Some(ChecksumType::COMPOSITE) => false,
        Some(_) => return Err(Failure::Request("the checksum type is unknown")),
    };
    let possible = if whole {
        algorithm.is_cyclic()
    } else {
        algorithm != Algorithm::Crc64Nvme
    };
    match possible {
        true => Ok(Some((algorithm, whole))),
        false => Err(Failure::Request(
            "the checksum type does not go with the algorithm",
        )),
    }
}
