//! Making an object of the parts of an upload: their extents, one after the other, in a file that is published whole.

use std::collections::BTreeMap;
use std::time::Duration;

use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_client::{ObjectKey, Volume};
use wolfdisk_common::ids::Ino;

use super::super::shown;
use super::super::sums::{checksum_type, given_checksums, show_checksum};
use super::{Gateway, Upload, UploadId, part_number};
use crate::checksum::Checksum;
use crate::condition::Conditions;
use crate::error::{Failure, Result};
use crate::etag::ETag as Tag;
use crate::limits::{PART_MIN_BYTES, PARTS_AT_ONCE, PARTS_MAX};
use crate::range::Span;
use crate::store::OpenFile;
use crate::store::copy::copy;
use crate::store::upload::Received;
use crate::store::view::View;
use crate::stored::{PartSizes, Stored};

/// A part that the object is to be made of.
#[derive(Clone, Debug)]
struct Chosen {
    number: u16,
    size: u64,
    md5: [u8; 16],
    checksum: Option<Checksum>,
}

impl Gateway {
    pub(crate) async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Result<CompleteMultipartUploadOutput> {
        let input = request.input;
        let upload = self
            .upload(&input.bucket, &input.key, &input.upload_id)
            .await?;
        self.touch(&upload).await?;
        let named = input
            .multipart_upload
            .as_ref()
            .and_then(|list| list.parts.as_deref());
        let there = self.parts_of(upload.system, &upload.id).await?;
        let parts = choose(named.unwrap_or_default(), &there)?;
        let total = parts.iter().map(|part| part.size).sum::<u64>();
        if input
            .mpu_object_size
            .is_some_and(|size| u64::try_from(size) != Ok(total))
        {
            return Err(Failure::Request(
                "the size of the object is not that of its parts",
            ));
        }
        let md5s: Vec<[u8; 16]> = parts.iter().map(|part| part.md5).collect();
        let checksum = whole_checksum(&upload, &parts)?;
        check_announced(&input, checksum.as_ref())?;
        let etag = Tag::of_parts(&md5s);
        let stored = Stored {
            etag: Some(etag),
            checksum,
            parts: PartSizes::new(parts.iter().map(|part| part.size)),
            upload: None,
            ..upload.view.stored.clone()
        };
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            ..Conditions::default()
        };
        let key = super::super::key(&input.key)?;
        let content = Received::Large(self.put_together(&upload, &parts).await?);
        self.store
            .publish(upload.id.bucket, &key, &content, &stored, &conditions)
            .await?;
        self.end_completed(&upload).await;
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(shown(etag)),
            checksum_type: checksum_type(stored.checksum.as_ref()),
            ..CompleteMultipartUploadOutput::default()
        };
        show_checksum!(output, stored.checksum.as_ref());
        Ok(output)
    }

    /// The parts that are there, by their numbers.
    pub(super) async fn parts_of(&self, system: Ino, id: &UploadId) -> Result<BTreeMap<u16, View>> {
        let found = self
            .own_keys(system, &id.parts(), usize::from(PARTS_MAX))
            .await?;
        let number = |key: &str| key.rsplit('/').next()?.parse::<u16>().ok();
        let parts = found
            .into_iter()
            .filter_map(|(key, object)| Some((number(&key)?, object)));
        parts
            .map(|(number, object)| Ok((number, View::of(&object)?)))
            .collect()
    }

    async fn put_together(&self, upload: &Upload, parts: &[Chosen]) -> Result<OpenFile> {
        let whole = self.store.stage(upload.id.bucket).await?;
        let mut place = 0;
        for some in parts.chunks(PARTS_AT_ONCE) {
            let keyed = some
                .iter()
                .map(|part| Ok((upload.id.part(part.number)?, part.clone())));
            let keyed = keyed.collect::<Result<Vec<_>>>()?;
            let (system, target) = (upload.system, whole.clone());
            let begin = place;
            place += some.iter().map(|part| part.size).sum::<u64>();
            self.store
                .run(move |volume| append_parts(volume, system, &keyed, &target, begin))
                .await?;
        }
        Ok(whole)
    }

    /// The object is there: the upload goes. A failure is no failure of the request, and is swept later.
    async fn end_completed(&self, upload: &Upload) {
        let ended = async {
            let place = upload.id.place()?;
            self.store
                .remove(upload.system, &place, &Conditions::default())
                .await
        };
        if let Err(error) = ended.await {
            tracing::warn!(%error, "a completed upload is left");
            return;
        }
        let (gateway, system, id) = (self.clone(), upload.system, upload.id.clone());
        // Nobody waits for them: they cannot be seen any more.
        tokio::spawn(async move {
            if let Err(error) = gateway.remove_parts(system, &id, Duration::ZERO).await {
                tracing::warn!(%error, "parts of a completed upload are left");
            }
        });
    }
}

/// Copies parts into a staged file, one after the other, if they are still those that were chosen.
fn append_parts(
    volume: &Volume,
    system: Ino,
    parts: &[(ObjectKey, Chosen)],
    target: &OpenFile,
    mut place: u64,
) -> Result<()> {
    for (key, part) in parts {
        let number = u32::from(part.number);
        let opened = volume.open_object(system, key)?;
        let (object, handle) = opened.ok_or(Failure::InvalidPart(number))?;
        let same = View::of(&object)?.stored.etag == Some(Tag::Md5(part.md5));
        let span = Span::whole(part.size);
        let copied = match same && object.attr.size == part.size {
            true => copy(volume, handle, span, target.handle(), place),
            false => Err(Failure::InvalidPart(number)),
        };
        volume.release(handle)?;
        copied?;
        place += part.size;
    }
    Ok(())
}

/// The parts that a request names, of those that are there.
fn choose(named: &[CompletedPart], there: &BTreeMap<u16, View>) -> Result<Vec<Chosen>> {
    if named.is_empty() {
        return Err(Failure::Xml("a Complete names at least one part"));
    }
    let mut chosen: Vec<Chosen> = Vec::with_capacity(named.len());
    for part in named {
        let number = part_number(part.part_number.unwrap_or_default())?;
        if chosen.last().is_some_and(|last| last.number >= number) {
            return Err(Failure::PartOrder);
        }
        let missing = || Failure::InvalidPart(u32::from(number));
        let view = there.get(&number).ok_or_else(missing)?;
        let Some(Tag::Md5(md5)) = view.stored.etag else {
            return Err(missing());
        };
        let named_tag = part.e_tag.as_ref().map(ETag::value);
        if named_tag.is_some_and(|tag| tag != crate::etag::hex(&md5)) {
            return Err(missing());
        }
        let checksum = view.stored.checksum.clone();
        for (algorithm, text) in given_checksums!(part) {
            let known = checksum
                .as_ref()
                .filter(|known| known.algorithm == algorithm);
            if text.is_some_and(|text| known.is_none_or(|known| known.encode() != text)) {
                return Err(missing());
            }
        }
        chosen.push(Chosen {
            number,
            size: view.size(),
            md5,
            checksum,
        });
    }
    let others = chosen.len() - 1;
    match chosen
        .iter()
        .take(others)
        .any(|part| part.size < PART_MIN_BYTES)
    {
        true => Err(Failure::EntityTooSmall),
        false => Ok(chosen),
    }
}

/// The checksum of the object, from those of the parts: the one that the upload was begun with, or CRC-64.
fn whole_checksum(upload: &Upload, parts: &[Chosen]) -> Result<Option<Checksum>> {
    let (algorithm, whole) = match upload.of.checksum {
        Some(wanted) => wanted,
        None => {
            let first = parts.first().and_then(|part| part.checksum.as_ref());
            let algorithm = first.map(|checksum| checksum.algorithm);
            match algorithm.filter(|algorithm| algorithm.is_cyclic()) {
                Some(algorithm) => (algorithm, true),
                None => return Ok(None),
            }
        }
    };
    let sums = parts.iter().map(|part| {
        let known = part
            .checksum
            .as_ref()
            .filter(|known| known.algorithm == algorithm);
        Some((known?.value.clone(), part.size))
    });
    match (sums.collect::<Option<Vec<_>>>(), upload.of.checksum) {
        (Some(sums), _) => Ok(Checksum::of_parts(algorithm, &sums, whole)),
        // Parts with different ones, of which nothing was said.
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Failure::Request(
            "a part has another checksum than the upload",
        )),
    }
}

/// The checksum that a request says the object will have.
fn check_announced(
    input: &CompleteMultipartUploadInput,
    checksum: Option<&Checksum>,
) -> Result<()> {
    for (algorithm, text) in given_checksums!(input) {
        let Some(text) = text else {
            continue;
        };
        let known = checksum.filter(|known| known.algorithm == algorithm);
        // Clients leave out the number of parts.
        let matches = known.is_some_and(|known| {
            let full = known.encode();
            full == text || full.split('-').next() == Some(text)
        });
        if !matches {
            return Err(Failure::BadDigest(algorithm.header()));
        }
    }
    Ok(())
}
