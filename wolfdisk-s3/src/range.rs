//! Which bytes of an object a request is for.

use s3s::dto::Range;

/// Bytes `[start, start + length)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub start: u64,
    /// How many.
    pub length: u64,
}

impl Span {
    /// All of an object.
    pub fn whole(size: u64) -> Span {
        Span {
            start: 0,
            length: size,
        }
    }

    /// What a `Range` means for an object of `size` bytes; `None`: nothing of it (416).
    pub fn of(range: &Range, size: u64) -> Option<Span> {
        let (start, end) = match *range {
            Range::Int { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first, end)
            }
            Range::Suffix { length } => (size.saturating_sub(length), size),
        };
        let span = Span {
            start,
            length: end.checked_sub(start)?,
        };
        (span.length > 0).then_some(span)
    }

    /// The value of `Content-Range`.
    pub fn content_range(&self, size: u64) -> String {
        let last = (self.start + self.length).saturating_sub(1);
        format!("bytes {}-{last}/{size}", self.start)
    }

    /// The bytes of `x-amz-copy-source-range`, which must lie within the source; `None`: they do not.
    pub fn of_source(text: &str, size: u64) -> Option<Span> {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return None;
        }
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        let good = first <= last && last < size;
        good.then(|| Span {
            start: first,
            length: last - first + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, size: u64) -> Option<(u64, u64)> {
        let range = Range::parse(text).expect("a range");
        Span::of(&range, size).map(|span| (span.start, span.length))
    }

    #[test]
    fn ranges_are_cut_at_the_end_and_refused_beyond_it() {
        assert_eq!(of("bytes=0-0", 10), Some((0, 1)));
        assert_eq!(of("bytes=2-", 10), Some((2, 8)));
        assert_eq!(of("bytes=2-400", 10), Some((2, 8)));
        assert_eq!(of("bytes=9-9", 10), Some((9, 1)));
        assert_eq!(of("bytes=10-", 10), None);
        assert_eq!(of("bytes=11-20", 10), None);
        assert_eq!(of("bytes=-3", 10), Some((7, 3)));
        assert_eq!(of("bytes=-30", 10), Some((0, 10)));
        assert_eq!(of("bytes=-0", 10), None);
        assert_eq!(of("bytes=0-", 0), None);
        assert_eq!(of("bytes=-5", 0), None);
        assert_eq!(of(&format!("bytes=0-{}", i64::MAX), 10), Some((0, 10)));
        assert_eq!(
            Span {
                start: 2,
                length: 8
            }
            .content_range(10),
            "bytes 2-9/10"
        );
    }

    #[test]
    fn the_range_of_a_source_must_lie_within_it() {
        let of = |text| Span::of_source(text, 10).map(|span| (span.start, span.length));
        assert_eq!(of("bytes=0-9"), Some((0, 10)));
        assert_eq!(of("bytes=3-3"), Some((3, 1)));
        for bad in [
            "bytes=0-10",
            "bytes=3-2",
            "bytes=-3",
            "bytes=3-",
            "0-3",
            "bytes=+1-2",
            "bytes=0-1,2-3",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
