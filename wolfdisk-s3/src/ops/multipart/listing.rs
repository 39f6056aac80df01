//! Listing the parts of an upload, and the uploads of a bucket.

use std::collections::BTreeSet;

use s3s::S3Request;
use s3s::dto::*;

use super::super::sums::show_checksum;
use super::super::{OWNER, owner, shown};
use super::{Gateway, uploads_of};
use crate::error::{Failure, Result};
use crate::limits::{LIST_MAX, UPLOADS_SORTED_MAX};
use crate::store::view::View;
use crate::url_encoding::encode;

/// An upload as it is listed: its key, its name, and when it was begun.
type Listed = (
    String,
    String,
    Timestamp,
    Option<(crate::checksum::Algorithm, bool)>,
);

impl Gateway {
    pub(crate) async fn parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> Result<ListPartsOutput> {
        let input = request.input;
        let max = count(input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or_default();
        let upload = self
            .upload(&input.bucket, &input.key, &input.upload_id)
            .await?;
        let there = self.parts_of(upload.system, &upload.id).await?;
        let mut after = there
            .iter()
            .filter(|(number, _)| i32::from(**number) > marker);
        let parts: Vec<Part> = after
            .by_ref()
            .take(max)
            .map(|(number, view)| part(*number, view))
            .collect();
        let truncated = max > 0 && after.next().is_some();
        let checksum = upload.of.checksum;
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: checksum
                .map(|(algorithm, _)| ChecksumAlgorithm::from_static(algorithm.name())),
            checksum_type: checksum.map(|(_, whole)| kind(whole)),
            initiator: Some(initiator()),
            owner: Some(owner()),
            is_truncated: Some(truncated),
            max_parts: i32::try_from(max).ok(),
            part_number_marker: Some(marker),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            parts: Some(parts),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..ListPartsOutput::default()
        })
    }

    pub(crate) async fn uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Result<ListMultipartUploadsOutput> {
        let input = request.input;
        let max = count(input.max_uploads)?;
        let bucket = self.store.bucket(&input.bucket).await?;
        let system = self.store.system_root().await?;
        let found = self
            .own_keys(system, &uploads_of(bucket), UPLOADS_SORTED_MAX)
            .await?;
        let mut all: Vec<Listed> = Vec::with_capacity(found.len());
        for (key, object) in found {
            let view = View::of(&object)?;
            let id = key.rsplit('/').next().unwrap_or_default().to_owned();
            if let Some(of) = &view.stored.upload {
                all.push((of.key.clone(), id, view.modified(), of.checksum));
            }
        }
        all.sort();
        let page = Page::of(&all, &input, max);
        let url = input.encoding_type.is_some();
        let text = |text: String| if url { encode(&text) } else { text };
        let uploads = page
            .uploads
            .into_iter()
            .map(|(key, id, begun, checksum)| MultipartUpload {
                checksum_algorithm: checksum
                    .map(|(algorithm, _)| ChecksumAlgorithm::from_static(algorithm.name())),
                checksum_type: checksum.map(|(_, whole)| kind(whole)),
                initiated: Some(begun),
                initiator: Some(initiator()),
                key: Some(text(key)),
                owner: Some(owner()),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                upload_id: Some(id),
            });
        let uploads = uploads.collect();
        let prefixes = page.prefixes.into_iter().map(|prefix| CommonPrefix {
            prefix: Some(text(prefix)),
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: Some(prefixes.collect()),
            delimiter: input.delimiter.map(text),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.next.is_some()),
            key_marker: Some(text(input.key_marker.unwrap_or_default())),
            max_uploads: i32::try_from(max).ok(),
            next_key_marker: page.next.as_ref().map(|(key, _)| text(key.clone())),
            next_upload_id_marker: page.next.map(|(_, id)| id),
            prefix: Some(text(input.prefix.unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            uploads: Some(uploads),
            ..ListMultipartUploadsOutput::default()
        })
    }
}

/// What of the uploads of a bucket is shown.
#[derive(Debug, Default)]
struct Page {
    uploads: Vec<Listed>,
    prefixes: BTreeSet<String>,
    next: Option<(String, String)>,
}

impl Page {
    fn of(all: &[Listed], input: &ListMultipartUploadsInput, max: usize) -> Page {
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let key_marker = input.key_marker.clone().unwrap_or_default();
        let id_marker = input.upload_id_marker.clone().unwrap_or_default();
        let is_after = |key: &str, id: &str| match key == key_marker {
            true => !id_marker.is_empty() && id > id_marker.as_str(),
            false => key > key_marker.as_str(),
        };
        let mut page = Page::default();
        let mut last = None;
        for listed in all {
            let (key, id) = (&listed.0, &listed.1);
            if !key.starts_with(&prefix) || !is_after(key, id) {
                continue;
            }
            let rest = key.get(prefix.len()..).filter(|_| !delimiter.is_empty());
            let end = rest.and_then(|rest| rest.find(&delimiter));
            let common = end.and_then(|end| key.get(..prefix.len() + end + delimiter.len()));
            let known =
                common.is_some_and(|common| page.prefixes.contains(common) || common == key_marker);
            if known {
                last = last.map(|_| (key.clone(), id.clone()));
                continue;
            }
            if page.uploads.len() + page.prefixes.len() == max {
                page.next = last;
                return page;
            }
            match common {
                Some(common) => drop(page.prefixes.insert(common.to_owned())),
                None => page.uploads.push(listed.clone()),
            }
            last = Some((key.clone(), id.clone()));
        }
        page
    }
}

fn count(max: Option<i32>) -> Result<usize> {
    let max = u32::try_from(max.unwrap_or(LIST_MAX as i32));
    let max = max.map_err(|_| Failure::Argument("a count is not negative"))?;
    Ok(max.min(LIST_MAX) as usize)
}

fn kind(whole: bool) -> ChecksumType {
    ChecksumType::from_static(match whole {
        true => ChecksumType::FULL_OBJECT,
        false => ChecksumType::COMPOSITE,
    })
}

fn initiator() -> Initiator {
    Initiator {
        display_name: Some(OWNER.to_owned()),
        id: Some(OWNER.to_owned()),
    }
}

fn part(number: u16, view: &View) -> Part {
    let mut part = Part {
        e_tag: Some(shown(view.etag())),
        last_modified: Some(view.modified()),
        part_number: Some(i32::from(number)),
        size: i64::try_from(view.size()).ok(),
        ..Part::default()
    };
    show_checksum!(part, view.stored.checksum.as_ref());
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&str], input: ListMultipartUploadsInput, max: usize) -> Page {
        let listed = |key: &&str| {
            (
                (*key).to_owned(),
                format!("id-{key}"),
                Timestamp::default(),
                None,
            )
        };
        let all: Vec<Listed> = keys.iter().map(listed).collect();
        Page::of(&all, &input, max)
    }

    fn query(prefix: &str, delimiter: &str, marker: &str) -> ListMultipartUploadsInput {
        ListMultipartUploadsInput {
            bucket: "bucket".to_owned(),
            prefix: Some(prefix.to_owned()),
            delimiter: Some(delimiter.to_owned()),
            key_marker: Some(marker.to_owned()),
            ..ListMultipartUploadsInput::default()
        }
    }

    #[test]
    fn pages_together_show_everything_once() {
        let keys = ["a", "b/1", "b/2", "c", "d/1", "e"];
        let (mut marker, mut shown) = (String::new(), Vec::new());
        loop {
            let page = page(&keys, query("", "/", &marker), 2);
            shown.extend(page.uploads.into_iter().map(|listed| listed.0));
            shown.extend(page.prefixes);
            match page.next {
                Some((key, _)) => marker = key,
                None => break,
            }
        }
        shown.sort();
        assert_eq!(shown, ["a", "b/", "c", "d/", "e"]);
        assert_eq!(page(&keys, query("b/", "", ""), 10).uploads.len(), 2);
        assert_eq!(page(&keys, query("", "", "c"), 10).uploads.len(), 2);
    }
}
