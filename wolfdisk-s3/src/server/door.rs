//! What is refused before s3s looks at a request: forms of signature and requests that it would let in.

use http::{HeaderMap, Method, Uri};
use s3s::{S3Error, S3ErrorCode};

use super::xml::CONFIGURATIONS;
use crate::limits::{LINK_MAX_S, XML_MAX_BYTES};
use crate::ops::OWNER;

/// Subresources of objects that s3s does not know, and would take for a plain Put or Delete.
const UNKNOWN_SUBRESOURCES: [&str; 5] =
    ["encryption", "renameObject", "restore", "select", "torrent"];

/// Why a request is not let in, if it is not.
pub fn refusal(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<S3Error> {
    let text = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let queries = || {
        uri.query()
            .unwrap_or_default()
            .split('&')
            .map(|item| item.split('=').next().unwrap_or_default())
    };
    let asks = |name: &str| queries().any(|query| query == name);
    let error = |code, message: &'static str| Some(S3Error::with_message(code, message));
    if text("authorization").is_some_and(|value| value.starts_with(b"AWS "))
        || asks("Signature")
        || asks("AWSAccessKeyId")
    {
        return error(
            S3ErrorCode::InvalidRequest,
            "the authorization mechanism you have provided is not supported; please use AWS4-HMAC-SHA256",
        );
    }
    if !is_short_lived(uri) {
        return error(
            S3ErrorCode::AuthorizationQueryParametersError,
            "X-Amz-Expires must be a number of seconds, at most a week",
        );
    }
    if !is_form(method, headers)
        && is_xml(method, &asks)
        && length(headers).is_some_and(|length| length > XML_MAX_BYTES as u64)
    {
        return error(
            S3ErrorCode::MaxMessageLengthExceeded,
            "the request is longer than any that makes sense",
        );
    }
    if [Method::PUT, Method::DELETE].contains(method) {
        if UNKNOWN_SUBRESOURCES.iter().any(|name| asks(name)) {
            return error(
                S3ErrorCode::NotImplemented,
                "the subresource is not implemented",
            );
        }
        if method == Method::PUT && asks("partNumber") != asks("uploadId") {
            return error(
                S3ErrorCode::InvalidArgument,
                "a part has a partNumber and an uploadId",
            );
        }
    }
    for name in [
        "x-amz-expected-bucket-owner",
        "x-amz-source-expected-bucket-owner",
    ] {
        if text(name).is_some_and(|value| value != OWNER.as_bytes()) {
            return error(
                S3ErrorCode::AccessDenied,
                "the bucket has another owner than is expected",
            );
        }
    }
    None
}

/// A web page sends it: s3s would take its file into memory, so it goes another way.
pub fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    let form = b"multipart/form-data";
    let kind = headers.get(http::header::CONTENT_TYPE);
    let start = kind.and_then(|kind| kind.as_bytes().get(..form.len()));
    method == Method::POST && start.is_some_and(|start| start.eq_ignore_ascii_case(form))
}

/// A signed link has a life, and not too long a one.
fn is_short_lived(uri: &Uri) -> bool {
    let mut items = uri.query().unwrap_or_default().split('&');
    let lifetime = items.find_map(|item| {
        let (name, value) = item.split_once('=')?;
        name.eq_ignore_ascii_case("X-Amz-Expires").then_some(value)
    });
    lifetime.is_none_or(|value| {
        let seconds = value.parse::<u32>();
        seconds.is_ok_and(|seconds| seconds <= LINK_MAX_S)
    })
}

/// The body says what to do, and is taken into memory.
fn is_xml(method: &Method, asks: &dyn Fn(&str) -> bool) -> bool {
    method == Method::POST
        || (method == Method::PUT && CONFIGURATIONS.iter().any(|name| asks(name)))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(http::header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(
        method: Method,
        uri: &str,
        header: Option<(&'static str, &'static str)>,
    ) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        let uri = uri.parse().expect("a URI");
        refusal(&method, &uri, &headers).map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_signed_link_lives_for_a_week_at_most() {
        for (value, is_refused) in [
            ("1", false),
            ("604800", false),
            ("604801", true),
            ("-1", true),
            ("", true),
            ("x", true),
        ] {
            let link = format!("/b/k?X-Amz-Expires={value}&X-Amz-Signature=a");
            assert_eq!(
                code(Method::GET, &link, None).is_some(),
                is_refused,
                "{value}"
            );
        }
    }

    #[test]
    fn old_signatures_do_not_get_in() {
        let refused = |code: &str| Some(code.to_owned());
        let old = Some(("authorization", "AWS key:signature"));
        assert_eq!(code(Method::GET, "/b/k", old), refused("InvalidRequest"));
        assert_eq!(
            code(
                Method::GET,
                "/b/k?AWSAccessKeyId=a&Expires=1&Signature=b",
                None
            ),
            refused("InvalidRequest")
        );
        let new = Some(("authorization", "AWS4-HMAC-SHA256 Credential=x"));
        assert_eq!(code(Method::GET, "/b/k?X-Amz-Signature=a", new), None);
    }

    #[test]
    fn a_form_goes_another_way_and_may_be_long() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", http::HeaderValue::from_static("9000000"));
        for (kind, is) in [
            ("Multipart/Form-Data; boundary=x", true),
            ("multipart/form-data", true),
            ("multipart/mixed", false),
            ("text/xml", false),
        ] {
            headers.insert("content-type", http::HeaderValue::from_static(kind));
            assert_eq!(is_form(&Method::POST, &headers), is, "{kind}");
            assert!(!is_form(&Method::PUT, &headers));
            let refused = refusal(&Method::POST, &Uri::from_static("/b"), &headers);
            assert_eq!(refused.is_none(), is, "{kind}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_not_read() {
        let long = Some(("content-length", "9000000"));
        let refused = Some("MaxMessageLengthExceeded".to_owned());
        assert_eq!(code(Method::POST, "/b?delete", long), refused);
        assert_eq!(code(Method::PUT, "/b/k?tagging", long), refused);
        assert_eq!(code(Method::PUT, "/b?lifecycle=", long), refused);
        assert_eq!(code(Method::PUT, "/b/k", long), None);
    }

    #[test]
    fn nothing_is_taken_for_a_plain_put_or_delete() {
        let refused = |code: &str| Some(code.to_owned());
        assert_eq!(
            code(Method::PUT, "/b/k?renameObject", None),
            refused("NotImplemented")
        );
        assert_eq!(
            code(Method::DELETE, "/b/k?torrent=", None),
            refused("NotImplemented")
        );
        assert_eq!(
            code(Method::PUT, "/b/k?partNumber=1", None),
            refused("InvalidArgument")
        );
        assert_eq!(
            code(Method::PUT, "/b/k?uploadId=1", None),
            refused("InvalidArgument")
        );
        assert_eq!(
            code(
                Method::PUT,
                "/b/k?partNumber=1&uploadId=1&x-id=UploadPart",
                None
            ),
            None
        );
        assert_eq!(code(Method::DELETE, "/b/k?uploadId=1", None), None);
        let owner = Some(("x-amz-expected-bucket-owner", "123456789012"));
        assert_eq!(code(Method::GET, "/b/k", owner), refused("AccessDenied"));
    }
}
