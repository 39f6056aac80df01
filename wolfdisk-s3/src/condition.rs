//! Conditional requests as a pure function of the conditions and of what is there, in the order of RFC 9110,
//! section 13.2.2.
//!
//! Where a condition decides about a write, the driver makes the write depend on the very state that was looked
//! at; see [`crate::ops`].

use s3s::dto::ETagCondition;

/// What a request asks of the state.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// `If-Match`.
    pub if_match: Option<ETagCondition>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagCondition>,
    /// `If-Modified-Since`, in seconds since 1970.
    pub if_modified_since: Option<i64>,
    /// `If-Unmodified-Since`, in seconds since 1970.
    pub if_unmodified_since: Option<i64>,
}

/// The state of an object.
#[derive(Clone, Debug)]
pub struct Current {
    /// The tags that mean its content: the one that is shown, and the opaque one.
    pub etags: Vec<String>,
    /// Last modification, in seconds since 1970.
    pub modified: i64,
}

/// What is asked for under the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Get and Head: what is not modified is not sent again.
    Read,
    /// Put, Delete, Complete: only tags count.
    Write,
    /// The source of a copy: a condition that does not hold is a failure.
    Source,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// The client has it: 304.
    NotModified,
    /// A condition does not hold: 412.
    Failed,
    /// A tag was named, and there is no object: 404.
    Missing,
}

impl Conditions {
    /// Nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }

    /// Whether and how to go on with what is there; `None`: nothing is.
    pub fn evaluate(&self, current: Option<&Current>, purpose: Purpose) -> Verdict {
        let dates = purpose != Purpose::Write;
        let unmodified_since = self.if_unmodified_since.filter(|_| dates);
        match (&self.if_match, unmodified_since, current) {
            (Some(_), _, None) => return Verdict::Missing,
            (Some(tags), _, Some(current)) if !current.is_named(tags, Comparison::Strong) => {
                return Verdict::Failed;
            }
            (None, Some(time), Some(current)) if current.modified > time => return Verdict::Failed,
            (Some(_) | None, _, _) => {}
        }
        let Some(current) = current else {
            return Verdict::Proceed;
        };
        let refusal = match purpose {
            Purpose::Read => Verdict::NotModified,
            Purpose::Write | Purpose::Source => Verdict::Failed,
        };
        let modified_since = self.if_modified_since.filter(|_| dates);
        match (&self.if_none_match, modified_since) {
            (Some(tags), _) if current.is_named(tags, Comparison::Weak) => refusal,
            (None, Some(time)) if current.modified <= time => refusal,
            (Some(_) | None, _) => Verdict::Proceed,
        }
    }
}

/// How tags are compared (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

impl Current {
    fn is_named(&self, condition: &ETagCondition, comparison: Comparison) -> bool {
        let Some(tag) = condition.as_etag() else {
            return true;
        };
        // A list of tags arrives as one: between its first and its last quote.
        let weak_first = tag.as_weak().is_some();
        tag.value().split(',').enumerate().any(|(place, item)| {
            let item = item.trim();
            let (weak, value) = match item.strip_prefix("W/") {
                Some(value) => (true, value),
                None => (place == 0 && weak_first, item),
            };
            let value = value.trim_matches('"');
            let comparable = !weak || comparison == Comparison::Weak;
            value == "*" || comparable && self.etags.iter().any(|etag| etag == value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<ETagCondition> {
        Some(text.parse().expect("a tag"))
    }

    fn current() -> Current {
        Current {
            etags: vec!["aaa".to_owned(), "0001-0".to_owned()],
            modified: 1000,
        }
    }

    #[test]
    fn tags_decide_reads_and_writes() {
        let there = current();
        let matching = |text: &str| Conditions {
            if_match: tag(text),
            ..Conditions::default()
        };
        let none = |text: &str| Conditions {
            if_none_match: tag(text),
            ..Conditions::default()
        };
        let cases = [
            (matching("\"aaa\""), Verdict::Proceed, Verdict::Proceed),
            (matching("aaa"), Verdict::Proceed, Verdict::Proceed),
            (matching("\"0001-0\""), Verdict::Proceed, Verdict::Proceed),
            (matching("*"), Verdict::Proceed, Verdict::Proceed),
            (matching("\"bbb\""), Verdict::Failed, Verdict::Failed),
            (matching("W/\"aaa\""), Verdict::Failed, Verdict::Failed),
            (
                matching("\"bbb\", \"aaa\""),
                Verdict::Proceed,
                Verdict::Proceed,
            ),
            (none("\"aaa\""), Verdict::NotModified, Verdict::Failed),
            (none("W/\"aaa\""), Verdict::NotModified, Verdict::Failed),
            (none("*"), Verdict::NotModified, Verdict::Failed),
            (
                none("\"bbb\",W/\"aaa\""),
                Verdict::NotModified,
                Verdict::Failed,
            ),
            (none("\"bbb\""), Verdict::Proceed, Verdict::Proceed),
        ];
        for (conditions, read, write) in cases {
            assert_eq!(
                conditions.evaluate(Some(&there), Purpose::Read),
                read,
                "{conditions:?}"
            );
            assert_eq!(
                conditions.evaluate(Some(&there), Purpose::Write),
                write,
                "{conditions:?}"
            );
        }
        assert_eq!(
            matching("*").evaluate(None, Purpose::Write),
            Verdict::Missing
        );
        assert_eq!(none("*").evaluate(None, Purpose::Write), Verdict::Proceed);
        assert_eq!(
            Conditions::default().evaluate(None, Purpose::Read),
            Verdict::Proceed
        );
    }

    #[test]
    fn dates_count_where_no_tag_says_otherwise() {
        let there = current();
        let dated = |modified: Option<i64>, unmodified: Option<i64>| Conditions {
            if_modified_since: modified,
            if_unmodified_since: unmodified,
            ..Conditions::default()
        };
        let read = |conditions: &Conditions| conditions.evaluate(Some(&there), Purpose::Read);
        assert_eq!(read(&dated(Some(1000), None)), Verdict::NotModified);
        assert_eq!(read(&dated(Some(999), None)), Verdict::Proceed);
        assert_eq!(read(&dated(None, Some(999))), Verdict::Failed);
        assert_eq!(read(&dated(None, Some(1000))), Verdict::Proceed);
        let source = dated(Some(1000), None).evaluate(Some(&there), Purpose::Source);
        assert_eq!(source, Verdict::Failed);
        assert_eq!(
            dated(None, Some(1)).evaluate(Some(&there), Purpose::Write),
            Verdict::Proceed
        );
        // A tag that matches outweighs a date that does not, each in its pair.
        let mut both = dated(None, Some(999));
        both.if_match = tag("\"aaa\"");
        assert_eq!(read(&both), Verdict::Proceed);
        let mut both = dated(Some(1000), None);
        both.if_none_match = tag("\"bbb\"");
        assert_eq!(read(&both), Verdict::Proceed);
    }
}
