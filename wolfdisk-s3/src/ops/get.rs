//! Getting an object, whole or a range of it, and looking at one.

use s3s::S3Request;
use s3s::dto::*;

use super::headers::show_object;
use super::sums::{checksum_type, show_checksum};
use super::{Gateway, key_to_read, only_version};
use crate::condition::{Conditions, Purpose, Verdict};
use crate::error::{Failure, Result};
use crate::moment;
use crate::range::Span;
use crate::store::view::View;

/// What is wanted of an object.
#[derive(Debug, Default)]
struct Wanted {
    conditions: Conditions,
    range: Option<Range>,
    part: Option<i32>,
}

/// What of it there is.
#[derive(Debug)]
struct Chosen {
    view: View,
    span: Span,
    /// The span is less than the object.
    partial: bool,
}

impl Wanted {
    /// # Errors
    /// A condition does not hold, or nothing is in the range.
    fn choose(&self, view: View) -> Result<Chosen> {
        match self
            .conditions
            .evaluate(Some(&view.current()), Purpose::Read)
        {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                return Err(Failure::NotModified {
                    etag: format!("\"{}\"", view.etag()),
                    last_modified: moment::http_date(&view.modified()),
                });
            }
            Verdict::Failed | Verdict::Missing => return Err(Failure::PreconditionFailed),
        }
        let size = view.size();
        let (span, partial) = match (&self.range, self.part) {
            (None, None) => (Span::whole(size), false),
            (Some(_), Some(_)) => {
                return Err(Failure::Request(
                    "a range and a part cannot be asked for at once",
                ));
            }
            (Some(range), None) => (Span::of(range, size).ok_or(Failure::Range(size))?, true),
            (None, Some(part)) => (part_span(&view, part)?, size > 0),
        };
        Ok(Chosen {
            view,
            span,
            partial,
        })
    }
}

/// Where a part is. An object whose parts are not known is one part.
fn part_span(view: &View, part: i32) -> Result<Span> {
    let number = u32::try_from(part).ok().filter(|number| *number > 0);
    let number = number.ok_or(Failure::Argument("part numbers begin at 1"))?;
    let size = view.size();
    let place = match view.stored.parts.count() {
        0 if number == 1 => Some((0, size)),
        0 => None,
        _ => view.stored.parts.place(number),
    };
    let (start, length) = place.ok_or(Failure::Range(size))?;
    let within = start.checked_add(length).is_some_and(|end| end <= size);
    within
        .then_some(Span { start, length })
        .ok_or(Failure::Range(size))
}

/// What Get and Head have in common in their requests.
macro_rules! wanted {
    ($input:expr) => {
        Wanted {
            conditions: Conditions {
                if_match: $input.if_match.clone(),
                if_none_match: $input.if_none_match.clone(),
                if_modified_since: $input.if_modified_since.as_ref().map(moment::seconds),
                if_unmodified_since: $input.if_unmodified_since.as_ref().map(moment::seconds),
            },
            range: $input.range.clone(),
            part: $input.part_number,
        }
    };
}

/// And in their answers.
macro_rules! show_chosen {
    ($output:expr, $chosen:expr, $input:expr) => {{
        let Chosen {
            view,
            span,
            partial,
        } = &$chosen;
        show_object!($output, view, &$input.key);
        $output.content_length = i64::try_from(span.length).ok();
        if *partial {
            $output.content_range = Some(span.content_range(view.size()));
        }
        let parts = view.stored.parts.count();
        if $input.part_number.is_some() && parts > 0 {
            $output.parts_count = i32::try_from(parts).ok();
        }
        let asked = $input
            .checksum_mode
            .as_ref()
            .is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        if asked && !*partial {
            let checksum = view.stored.checksum.as_ref();
            $output.checksum_type = checksum_type(checksum);
            show_checksum!($output, checksum);
        }
    }};
}

impl Gateway {
    pub(super) async fn get(&self, request: S3Request<GetObjectInput>) -> Result<GetObjectOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        let bucket = self.store.bucket(&input.bucket).await?;
        let key = key_to_read(&input.key)?;
        let wanted = wanted!(input);
        let opened = self.store.download(bucket, key, move |object| {
            let chosen = wanted.choose(View::of(object)?)?;
            Ok((chosen.span, chosen))
        });
        let opened = opened.await.map_err(Failure::missing_if_impossible)?;
        let mut output = GetObjectOutput {
            body: Some(opened.body),
            ..GetObjectOutput::default()
        };
        show_chosen!(output, opened.decided, input);
        let tags = opened.decided.view.stored.tags.pairs().len();
        output.tag_count = i32::try_from(tags).ok().filter(|count| *count > 0);
        Ok(output)
    }

    pub(super) async fn head(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> Result<HeadObjectOutput> {
        let input = request.input;
        only_version(input.version_id.as_ref())?;
        let bucket = self.store.bucket(&input.bucket).await?;
        let object = self
            .store
            .tagged_object(bucket, key_to_read(&input.key)?)
            .await?;
        let chosen = wanted!(input).choose(View::of(&object)?)?;
        let mut output = HeadObjectOutput::default();
        show_chosen!(output, chosen, input);
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::{PartSizes, Stored};
    use wolfdisk_client::Object;
    use wolfdisk_common::ids::Version;

    fn object(size: u64, parts: &[u64]) -> Object {
        let stored = Stored {
            etag: Some(crate::etag::ETag::Md5([7; 16])),
            parts: PartSizes::new(parts.iter().copied()),
            ..Stored::default()
        };
        Object {
            s3: Some(stored.encode().expect("small").into()),
            ..crate::store::view::tests::object(size)
        }
    }

    fn choose(object: &Object, wanted: Wanted) -> Result<(u64, u64, bool)> {
        let chosen = wanted.choose(View::of(object)?)?;
        Ok((chosen.span.start, chosen.span.length, chosen.partial))
    }

    #[test]
    fn parts_are_ranges_of_their_object() {
        let parts = object(12, &[5, 5, 2]);
        let of = |number| {
            choose(
                &parts,
                Wanted {
                    part: Some(number),
                    ..Wanted::default()
                },
            )
            .ok()
        };
        assert_eq!(of(1), Some((0, 5, true)));
        assert_eq!(of(3), Some((10, 2, true)));
        assert_eq!(of(4), None);
        assert_eq!(of(0), None);
        let whole = object(12, &[]);
        let of = |number| {
            choose(
                &whole,
                Wanted {
                    part: Some(number),
                    ..Wanted::default()
                },
            )
            .ok()
        };
        assert_eq!(of(1), Some((0, 12, true)));
        assert_eq!(of(2), None);
    }

    #[test]
    fn content_that_a_mount_changed_has_another_tag_and_both_forms_name_it() {
        let kept = View::of(&object(12, &[])).expect("readable");
        assert_eq!(kept.etag().to_string(), "07".repeat(16));
        assert_eq!(kept.current().etags.len(), 2);
        let mut changed = object(12, &[]);
        changed.attr.content_version = Version(9);
        let view = View::of(&changed).expect("readable");
        assert_eq!(
            view.etag().to_string(),
            "00000000000000070000000000000009-0"
        );
        changed.attr.size = 0;
        let view = View::of(&changed).expect("readable");
        assert_eq!(view.etag().to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        changed.s3 = Some(bytes::Bytes::from_static(b"\xff"));
        assert!(View::of(&changed).is_err());
    }
}
