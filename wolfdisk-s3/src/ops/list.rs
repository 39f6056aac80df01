//! Listing keys, in the order of their bytes, in pages.
//!
//! The index answers pages with and without the delimiter `/`. Any other delimiter is put over pages without one here:
//! having found a common prefix, it goes on behind everything that begins with it. Keys that are no UTF-8, which only
//! mounts can make, cannot be written in XML and are not listed.

mod versions;

use bytes::Bytes;
use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_client::{KeyEntry, ListKeys, Object as Found};
use wolfdisk_common::ids::Ino;

use super::{Gateway, owner, shown};
use crate::error::{Failure, Result};
use crate::limits::{LIST_MAX, LIST_ROUNDS_MAX};
use crate::store::view::Listed;
use crate::token;
use crate::url_encoding::encode;

/// Greater than any byte of UTF-8: what begins with a prefix is before the prefix and this.
const AFTER_ALL: u8 = 0xff;

/// What is asked for.
#[derive(Clone, Debug, Default)]
struct Query {
    prefix: String,
    delimiter: String,
    /// Exclusive.
    after: Vec<u8>,
    max: usize,
}

/// What is shown, in order.
#[derive(Debug)]
enum Shown {
    Key(String, Box<Found>),
    Prefix(String),
}

/// A page.
#[derive(Debug, Default)]
struct Page {
    shown: Vec<Shown>,
    /// Where to go on, if there is more.
    next: Option<Vec<u8>>,
}

/// What an entry of the index becomes under a query.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Key,
    /// It is rolled up in this.
    Within(String),
}

impl Query {
    fn new(
        prefix: Option<&String>,
        delimiter: Option<&String>,
        max: Option<i32>,
        encoding: Option<&EncodingType>,
    ) -> Result<Query> {
        if encoding.is_some_and(|encoding| encoding.as_str() != EncodingType::URL) {
            return Err(Failure::Argument("the encoding type is `url`"));
        }
        let max = max.unwrap_or(LIST_MAX as i32);
        let max = u32::try_from(max).map_err(|_| Failure::Argument("max-keys is not negative"))?;
        Ok(Query {
            prefix: prefix.cloned().unwrap_or_default(),
            delimiter: delimiter.cloned().unwrap_or_default(),
            after: Vec::new(),
            max: max.min(LIST_MAX) as usize,
        })
    }

    /// Goes on after a key, or behind all that a common prefix stands for.
    fn start_after(&mut self, text: &str) {
        self.after = text.as_bytes().to_vec();
        if self.place(text) == Place::Within(text.to_owned()) {
            self.after.push(AFTER_ALL);
        }
    }

    /// No common prefix is put over its answers here: it knows whether anything follows.
    fn is_answered_by_index(&self) -> bool {
        matches!(&*self.delimiter, "" | "/")
    }

    fn place(&self, key: &str) -> Place {
        let rest = key
            .strip_prefix(&*self.prefix)
            .filter(|_| !self.delimiter.is_empty());
        let found = rest.and_then(|rest| rest.find(&*self.delimiter));
        let end = found.map(|at| self.prefix.len() + at + self.delimiter.len());
        match end.and_then(|end| key.get(..end)) {
            None => Place::Key,
            Some(prefix) => Place::Within(prefix.to_owned()),
        }
    }
}

impl Gateway {
    async fn page(&self, bucket: Ino, query: &Query) -> Result<Page> {
        let mut page = Page::default();
        let mut after = Bytes::from(query.after.clone());
        for _ in 0..LIST_ROUNDS_MAX {
            let room = query.max - page.shown.len();
            if query.max == 0 {
                break;
            }
            // With no room left it is only looked whether anything follows.
            let answer = self.store.list(
                bucket,
                ListKeys {
                    prefix: Bytes::from(query.prefix.clone()),
                    after: after.clone(),
                    delimiter: query.delimiter == "/",
                    max: u32::try_from(room.max(1)).unwrap_or(LIST_MAX),
                },
            );
            let answer = answer.await?;
            if room == 0 {
                let follows = answer.more || !answer.entries.is_empty();
                page.next = follows.then(|| after.to_vec());
                break;
            }
            let jump = page.take(answer.entries, query);
            match jump {
                Some(jump) => after = jump.into(),
                None if answer.more => after = answer.last,
                None => {
                    page.next = None;
                    break;
                }
            }
            page.next = Some(after.to_vec());
            if page.shown.len() == query.max && query.is_answered_by_index() {
                break;
            }
        }
        Ok(page)
    }

    pub(super) async fn list_second(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Result<ListObjectsV2Output> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let mut query = Query::new(
            input.prefix.as_ref(),
            input.delimiter.as_ref(),
            input.max_keys,
            encoding,
        )?;
        match (&input.continuation_token, &input.start_after) {
            (Some(text), _) => {
                let place = token::decode(text);
                query.after =
                    place.ok_or(Failure::Argument("the continuation token is not valid"))?;
            }
            (None, Some(key)) => query.start_after(key),
            (None, None) => {}
        }
        let bucket = self.store.bucket(&input.bucket).await?;
        let page = self.page(bucket, &query).await?;
        let (next, count) = (page.next.as_deref().map(token::encode), page.shown.len());
        let with_owner = input.fetch_owner.unwrap_or(false);
        let written = Written {
            url: encoding.is_some(),
            with_owner,
        };
        let (contents, prefixes) = written.page(page);
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(written.text(query.prefix)),
            max_keys: i32::try_from(query.max).ok(),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.map(|text| written.text(text)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|text| written.text(text)),
            ..ListObjectsV2Output::default()
        })
    }

    pub(super) async fn list_first(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> Result<ListObjectsOutput> {
        let input = request.input;
        let encoding = input.encoding_type.as_ref();
        let mut query = Query::new(
            input.prefix.as_ref(),
            input.delimiter.as_ref(),
            input.max_keys,
            encoding,
        )?;
        query.start_after(input.marker.as_deref().unwrap_or_default());
        let bucket = self.store.bucket(&input.bucket).await?;
        let page = self.page(bucket, &query).await?;
        let written = Written {
            url: encoding.is_some(),
            with_owner: true,
        };
        let truncated = page.next.is_some();
        let last = page.next.as_deref().map(|next| match page.shown.last() {
            Some(Shown::Key(text, _) | Shown::Prefix(text)) => text.clone(),
            None => readable_beginning(next),
        });
        let (contents, prefixes) = written.page(page);
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(written.text(query.prefix)),
            marker: Some(written.text(input.marker.unwrap_or_default())),
            max_keys: i32::try_from(query.max).ok(),
            is_truncated: Some(truncated),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.map(|text| written.text(text)),
            next_marker: last.map(|text| written.text(text)),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }
}

/// The longest beginning that is text: nothing between it and the place is left out.
fn readable_beginning(place: &[u8]) -> String {
    let chunk = place.utf8_chunks().next();
    chunk
        .map(|chunk| chunk.valid().to_owned())
        .unwrap_or_default()
}

impl Page {
    /// Takes entries of the index in. Says where to go on if the rest of them is behind a common prefix.
    fn take(&mut self, entries: Vec<KeyEntry>, query: &Query) -> Option<Vec<u8>> {
        for entry in entries {
            let (key, object) = match entry {
                KeyEntry::Prefix(prefix) => (prefix, None),
                KeyEntry::Object { key, object } => (key, Some(object)),
            };
            let Ok(text) = String::from_utf8(key.to_vec()) else {
                continue;
            };
            match (object, query.place(&text)) {
                (None, _) => self.shown.push(Shown::Prefix(text)),
                (Some(object), Place::Key) => self.shown.push(Shown::Key(text, object)),
                (Some(_), Place::Within(prefix)) => {
                    let after = [prefix.as_bytes(), &[AFTER_ALL]].concat();
                    self.shown.push(Shown::Prefix(prefix));
                    return Some(after);
                }
            }
        }
        None
    }
}

/// How a listing is written.
#[derive(Clone, Copy, Debug)]
struct Written {
    url: bool,
    with_owner: bool,
}

impl Written {
    fn text(self, text: String) -> String {
        if self.url { encode(&text) } else { text }
    }

    fn page(self, page: Page) -> (Vec<Object>, Vec<CommonPrefix>) {
        let (mut contents, mut prefixes) = (Vec::with_capacity(page.shown.len()), Vec::new());
        for shown in page.shown {
            match shown {
                Shown::Key(key, object) => contents.push(self.object(key, &object)),
                Shown::Prefix(prefix) => {
                    prefixes.push(CommonPrefix {
                        prefix: Some(self.text(prefix)),
                    });
                }
            }
        }
        (contents, prefixes)
    }

    fn object(self, key: String, object: &Found) -> Object {
        let listed = Listed::of(object);
        let checksum = listed.content.checksum.as_ref();
        let algorithm = checksum
            .map(|checksum| vec![ChecksumAlgorithm::from_static(checksum.algorithm.name())]);
        Object {
            checksum_algorithm: algorithm,
            checksum_type: super::sums::checksum_type(checksum),
            e_tag: Some(shown(listed.etag())),
            key: Some(self.text(key)),
            last_modified: Some(listed.modified()),
            owner: self.with_owner.then(owner),
            size: i64::try_from(listed.size()).ok(),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            ..Object::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(prefix: &str, delimiter: &str) -> Query {
        let texts = (prefix.to_owned(), delimiter.to_owned());
        Query::new(Some(&texts.0), Some(&texts.1), None, None).expect("a query")
    }

    #[test]
    fn a_common_prefix_ends_at_the_first_delimiter_after_the_prefix() {
        let within = |text: &str| Place::Within(text.to_owned());
        assert_eq!(query("", "/").place("a/b/c"), within("a/"));
        assert_eq!(query("a/", "/").place("a/b/c"), within("a/b/"));
        assert_eq!(query("a/b", "/").place("a/b/c"), within("a/b/"));
        assert_eq!(query("a/", "/").place("a/b"), Place::Key);
        assert_eq!(query("", "").place("a/b"), Place::Key);
        assert_eq!(query("", "--").place("x--y--z"), within("x--"));
        assert_eq!(query("q", "/").place("a/b"), Place::Key);
    }

    #[test]
    fn going_on_after_a_common_prefix_leaves_out_all_of_it() {
        let mut rolled = query("", "/");
        rolled.start_after("a/");
        assert_eq!(rolled.after, b"a/\xff");
        rolled.start_after("a/b");
        assert_eq!(rolled.after, b"a/b");
        let mut flat = query("", "");
        flat.start_after("a/");
        assert_eq!(flat.after, b"a/");
        assert_eq!(readable_beginning(b"ab\xff"), "ab");
    }

    #[test]
    fn counts_are_cut_and_nonsense_is_refused() {
        let max = |max| {
            Query::new(None, None, Some(max), None)
                .map(|query| query.max)
                .ok()
        };
        assert_eq!(max(0), Some(0));
        assert_eq!(max(5000), Some(1000));
        assert_eq!(max(-1), None);
        let encoding = EncodingType::from_static("base64");
        assert!(Query::new(None, None, None, Some(&encoding)).is_err());
    }
}
