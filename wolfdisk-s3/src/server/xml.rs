//! Bodies of XML are what was announced: s3s takes them into memory and compares nothing but a signature, so they are
//! watched on their way to it. Of those that stay as configuration it is also looked for what s3s passes over in
//! silence: a rule that loses its prefix that way would end everything.
//!
//! The verdict comes when the body ends, after who sent it is known to be allowed to; it then stands for the answer.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use quick_xml::Reader;
use quick_xml::events::Event;
use sha2::{Digest, Sha256};

use super::error_response;
use crate::checksum::Algorithm;
use crate::digest::Digests;
use crate::error::{Failure, Result};
use crate::etag::hex;
use crate::limits::XML_MAX_BYTES;
use crate::ops::sums::Announced;

/// What a Put of XML is for: with none of these in its query it is an object, or a bucket.
pub(super) const CONFIGURATIONS: [&str; 4] = ["acl", "cors", "lifecycle", "tagging"];
/// Elements that hold a number, of which s3s reads the beginning.
const NUMBERS: [&[u8]; 7] = [
    b"Days",
    b"DaysAfterInitiation",
    b"MaxAgeSeconds",
    b"NewerNoncurrentVersions",
    b"NoncurrentDays",
    b"ObjectSizeGreaterThan",
    b"ObjectSizeLessThan",
];

/// Elements that hold elements: text between these is passed over by s3s.
const HOLDERS: [&[u8]; 13] = [
    b"AbortIncompleteMultipartUpload",
    b"And",
    b"CORSConfiguration",
    b"CORSRule",
    b"Expiration",
    b"Filter",
    b"LifecycleConfiguration",
    b"NoncurrentVersionExpiration",
    b"NoncurrentVersionTransition",
    b"Rule",
    b"Tag",
    b"TagSet",
    b"Tagging",
];

/// The layer.
pub async fn check(request: Request, next: Next) -> Response {
    let Some(watch) = Watch::of(request.method(), request.uri(), request.headers()) else {
        return next.run(request).await;
    };
    let verdict = Arc::clone(&watch.verdict);
    let request = request.map(|body| {
        Body::new(Watched {
            inner: body,
            watch: Some(watch),
        })
    });
    let answered = next.run(request).await;
    // The body may have ended after the answer, while it was dropped.
    let is_stranger = answered.status() == StatusCode::FORBIDDEN;
    match Arc::into_inner(verdict).and_then(OnceLock::into_inner) {
        Some(failure) if !is_stranger => error_response(failure),
        Some(_) | None => answered,
    }
}

/// What is compared with a body, and what of it was seen.
#[derive(Debug)]
struct Watch {
    announced: Result<Announced>,
    digests: Digests,
    /// That was signed, in hexadecimal digits, and what came.
    signed: Option<(String, Sha256)>,
    /// The body itself, if it is a configuration.
    text: Option<Vec<u8>>,
    verdict: Arc<OnceLock<Failure>>,
}

impl Watch {
    /// None: there is nothing to compare.
    fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Watch> {
        let items = uri.query().unwrap_or_default().split('&');
        let mut names = items.map(|item| item.split('=').next().unwrap_or_default());
        let is_configuration = match *method {
            Method::PUT if names.any(|name| CONFIGURATIONS.contains(&name)) => true,
            Method::POST if names.any(|name| name == "delete") => false,
            _ => return None,
        };
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let given = Algorithm::ALL.map(|algorithm| (algorithm, text(algorithm.header())));
        let named = text("x-amz-sdk-checksum-algorithm");
        let announced = Announced::new(given, named, headers, text("content-md5"));
        let algorithm = announced.as_ref().map(|announced| announced.algorithm).ok();
        let is_hash = |text: &&str| text.len() == 64;
        let signed = text("x-amz-content-sha256")
            .filter(is_hash)
            .map(str::to_ascii_lowercase);
        Some(Watch {
            announced,
            digests: Digests::new(algorithm),
            signed: signed.map(|signed| (signed, Sha256::new())),
            text: is_configuration.then(Vec::new),
            verdict: Arc::default(),
        })
    }

    fn see(&mut self, bytes: &Bytes) {
        self.digests.update(bytes);
        if let Some((_, hasher)) = &mut self.signed {
            hasher.update(bytes);
        }
        // What is longer is not taken by s3s either.
        if let Some(text) = &mut self.text
            && text.len() + bytes.len() <= XML_MAX_BYTES
        {
            text.extend_from_slice(bytes);
        }
    }

    /// All of the body was seen.
    fn end(self) -> Result<()> {
        if let Some((signed, hasher)) = self.signed
            && signed != hex(&hasher.finalize())
        {
            return Err(Failure::ContentHash);
        }
        self.announced?.check(&self.digests.finish(), None)?;
        match self.text.is_none_or(|text| is_plain(&text)) {
            true => Ok(()),
            false => Err(Failure::Xml(
                "CDATA is not understood here, numbers are written in digits alone, and there is no text between elements",
            )),
        }
    }
}

/// What an element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Elements,
    Number,
    Text,
}

impl Holds {
    fn of(name: &[u8]) -> Holds {
        if HOLDERS.contains(&name) {
            Holds::Elements
        } else if NUMBERS.contains(&name) {
            Holds::Number
        } else {
            Holds::Text
        }
    }
}

/// Digits, and what makes a number negative.
fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    digits.iter().all(u8::is_ascii_digit)
}

/// s3s reads all of it: text as text, and numbers to their end. What is no XML at all it refuses itself.
fn is_plain(xml: &[u8]) -> bool {
    let mut reader = Reader::from_reader(xml);
    // The element that is open, and those around it.
    let mut open: Vec<Holds> = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => open.push(Holds::of(tag.name().as_ref())),
            Ok(Event::End(_)) => _ = open.pop(),
            Ok(Event::CData(_)) => return false,
            Ok(Event::GeneralRef(_)) if open.last() != Some(&Holds::Text) => return false,
            Ok(Event::Text(text)) => {
                let fits = match open.last() {
                    Some(Holds::Text) | None => true,
                    Some(Holds::Number) => is_number(&text),
                    Some(Holds::Elements) => text.iter().all(u8::is_ascii_whitespace),
                };
                if !fits {
                    return false;
                }
            }
            Ok(Event::Eof) | Err(_) => return true,
            Ok(_) => {}
        }
    }
}

/// A body on its way.
#[derive(Debug)]
struct Watched {
    inner: Body,
    /// Until it has ended.
    watch: Option<Watch>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        // It was answered, and nobody waits for a verdict: what is still sent is dropped.
        let is_answered = |watch: &Watch| Arc::strong_count(&watch.verdict) == 1;
        if self.watch.as_ref().is_some_and(is_answered) {
            self.watch = None;
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let ended = match &frame {
            Some(Ok(frame)) => {
                if let (Some(watch), Some(bytes)) = (&mut self.watch, frame.data_ref()) {
                    watch.see(bytes);
                }
                // With its last bytes, which else would be taken before the verdict.
                self.inner.is_end_stream()
            }
            // The client went away: that says enough.
            Some(Err(_)) => {
                self.watch = None;
                false
            }
            None => true,
        };
        if ended && let Some(watch) = self.watch.take() {
            let verdict = Arc::clone(&watch.verdict);
            if let Err(failure) = watch.end() {
                let error = axum::Error::new(failure.to_string());
                verdict.get_or_init(|| failure);
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.watch.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use s3s::S3Error;

    /// The code of the verdict on a body.
    fn verdict(
        method: Method,
        query: &str,
        headers: &[(&'static str, &'static str)],
        body: &'static [u8],
    ) -> Option<String> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        };
        let headers = headers.iter().map(pair).collect();
        let uri = format!("/b?{query}").parse().expect("a URI");
        let watch = Watch::of(&method, &uri, &headers)?;
        let verdict = Arc::clone(&watch.verdict);
        let watched = Watched {
            inner: Body::from(body),
            watch: Some(watch),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let passed = runtime.block_on(watched.collect()).is_ok();
        let failure = Arc::into_inner(verdict).and_then(OnceLock::into_inner);
        assert_eq!(passed, failure.is_none());
        failure.map(|failure| S3Error::from(failure).code().as_str().to_owned())
    }

    #[test]
    fn a_body_that_is_not_what_was_announced_is_refused() {
        let good = ("content-md5", "kAFQmDzST7DWlj99KOF/cg==");
        let of_another = ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
        let refused = |code: &str| Some(code.to_owned());
        for (method, query) in [
            (Method::POST, "delete"),
            (Method::PUT, "tagging"),
            (Method::PUT, "x=y&cors="),
            (Method::PUT, "lifecycle"),
            (Method::PUT, "acl"),
        ] {
            let verdict = |headers: &[_]| verdict(method.clone(), query, headers, b"abc");
            assert_eq!(verdict(&[]), None);
            assert_eq!(verdict(&[good]), None);
            assert_eq!(verdict(&[of_another]), refused("BadDigest"));
            assert_eq!(
                verdict(&[("content-md5", "nonsense")]),
                refused("InvalidDigest")
            );
            assert_eq!(verdict(&[("x-amz-checksum-crc32", "NSRBwg==")]), None);
            assert_eq!(
                verdict(&[("x-amz-checksum-crc32", "AAAAAA==")]),
                refused("BadDigest")
            );
            let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(verdict(&[("x-amz-content-sha256", hash)]), None);
            let hash = "0a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            let refusal = refused("XAmzContentSHA256Mismatch");
            assert_eq!(verdict(&[("x-amz-content-sha256", hash)]), refusal);
        }
        assert_eq!(
            verdict(Method::PUT, "partNumber=1", &[of_another], b"abc"),
            None
        );
        assert_eq!(
            verdict(Method::POST, "uploadId=1", &[of_another], b"abc"),
            None
        );
        assert_eq!(verdict(Method::GET, "cors", &[of_another], b"abc"), None);
    }

    #[test]
    fn nothing_of_a_configuration_is_passed_over() {
        let refused = Some("MalformedXML".to_owned());
        let lifecycle = |body| verdict(Method::PUT, "lifecycle", &[], body);
        assert_eq!(
            lifecycle(b"<Rule>\n  <Prefix>a&amp;b</Prefix>\n  <Days>30</Days>\n</Rule>\n"),
            None
        );
        assert_eq!(
            lifecycle(b"<Rule><Prefix><![CDATA[logs/]]></Prefix></Rule>"),
            refused
        );
        for number in [
            b"<Days>3O</Days>".as_slice(),
            b"<Days>30.5</Days>",
            b"<Days>30<!-- --> 5</Days>",
            b"<Days>3&#48;</Days>",
            b"<ObjectSizeGreaterThan>1e9</ObjectSizeGreaterThan>",
            b"<NoncurrentDays>0x10</NoncurrentDays>",
            b"<Days>3-0</Days>",
            b"<Rule><Filter>logs/</Filter></Rule>",
            b"<Filter><And>logs/<Tag><Key>a</Key></Tag></And></Filter>",
            b"<Rule><Filter><Prefix>a</Prefix>&amp;</Filter></Rule>",
        ] {
            assert_eq!(lifecycle(number), refused);
        }
        assert_eq!(
            lifecycle(b"<Days>-1</Days><ID>1e9</ID>"),
            None,
            "refused by its rule"
        );
        assert_eq!(lifecycle(b"no XML < at all"), None, "refused by s3s");
        let key = b"<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>";
        assert_eq!(verdict(Method::POST, "delete", &[], key), None);
    }
}
