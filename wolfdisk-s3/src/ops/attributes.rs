//! What is known of an object, without its content and its headers: only what is asked for is told.

use s3s::S3Request;
use s3s::dto::*;

use super::sums::{checksum_type, show_checksum};
use super::{Gateway, key_to_read, only_version, shown};
use crate::error::{Failure, Result};
use crate::limits::LIST_MAX;
use crate::store::view::View;
use crate::stored::PartSizes;

impl Gateway {
    pub(super) async fn attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> Result<GetObjectAttributesOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        let bucket = self.store.bucket(&input.bucket).await?;
        let object = self
            .store
            .tagged_object(bucket, key_to_read(&input.key)?)
            .await?;
        let view = View::of(&object)?;
        // s3s leaves a header that names several as it is.
        let asks = |name: &'static str| {
            let asked = input.object_attributes.iter();
            let mut names = asked.flat_map(|names| names.as_str().split(','));
            names.any(|asked| asked.trim() == name)
        };
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(view.modified()),
            ..GetObjectAttributesOutput::default()
        };
        if asks(ObjectAttributes::ETAG) {
            output.e_tag = Some(shown(view.etag()));
        }
        if asks(ObjectAttributes::OBJECT_SIZE) {
            output.object_size = i64::try_from(view.size()).ok();
        }
        if asks(ObjectAttributes::STORAGE_CLASS) {
            output.storage_class = Some(StorageClass::from_static(StorageClass::STANDARD));
        }
        if asks(ObjectAttributes::CHECKSUM) && view.stored.checksum.is_some() {
            let kept = view.stored.checksum.as_ref();
            let mut checksum = Checksum {
                checksum_type: checksum_type(kept),
                ..Checksum::default()
            };
            show_checksum!(checksum, kept);
            output.checksum = Some(checksum);
        }
        if asks(ObjectAttributes::OBJECT_PARTS) && view.stored.parts.count() > 0 {
            let page = page(
                &view.stored.parts,
                input.part_number_marker,
                input.max_parts,
            )?;
            output.object_parts = Some(page);
        }
        Ok(output)
    }
}

/// The parts behind number `marker`.
fn page(
    parts: &PartSizes,
    marker: Option<i32>,
    max: Option<i32>,
) -> Result<GetObjectAttributesParts> {
    let number = |given: Option<i32>, or: u32| match given {
        None => Ok(or),
        Some(given) => {
            u32::try_from(given).map_err(|_| Failure::Argument("numbers of parts are not negative"))
        }
    };
    let (behind, most) = (number(marker, 0)?, number(max, LIST_MAX)?.min(LIST_MAX));
    let last = behind.saturating_add(most).min(parts.count());
    let shown = (behind.saturating_add(1)..=last).filter_map(|number| {
        let (_, size) = parts.place(number)?;
        Some(ObjectPart {
            part_number: i32::try_from(number).ok(),
            size: i64::try_from(size).ok(),
            ..ObjectPart::default()
        })
    });
    let is_truncated = last < parts.count();
    let next = i32::try_from(last).ok().filter(|_| is_truncated);
    Ok(GetObjectAttributesParts {
        is_truncated: Some(is_truncated),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: next,
        part_number_marker: i32::try_from(behind).ok(),
        parts: Some(shown.collect()),
        total_parts_count: i32::try_from(parts.count()).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(marker: Option<i32>, max: Option<i32>) -> (Vec<i64>, Option<i32>) {
        let parts = PartSizes::new([5, 5, 5, 2]);
        let page = page(&parts, marker, max).expect("numbers");
        assert_eq!(page.total_parts_count, Some(4));
        let shown = page.parts.into_iter().flatten();
        let next = page.next_part_number_marker;
        (shown.filter_map(|part| part.size).collect(), next)
    }

    #[test]
    fn parts_come_by_pages() {
        assert_eq!(sizes(None, None), (vec![5, 5, 5, 2], None));
        assert_eq!(sizes(None, Some(2)), (vec![5, 5], Some(2)));
        assert_eq!(sizes(Some(2), Some(2)), (vec![5, 2], None));
        assert_eq!(sizes(Some(9), None), (vec![], None));
        assert_eq!(sizes(Some(i32::MAX), Some(i32::MAX)), (vec![], None));
        let parts = PartSizes::default();
        assert!(page(&parts, Some(-1), None).is_err());
        assert!(page(&parts, None, Some(-1)).is_err());
    }
}
