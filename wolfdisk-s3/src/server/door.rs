//! What is refused before s3s looks at a request: forms of signature and requests that it would let in.

use http::{HeaderMap, HeaderName, Method, Uri};
use percent_encoding::percent_decode_str;
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode};

use super::xml::CONFIGURATIONS;
use crate::limits::{LINK_MAX_S, XML_MAX_BYTES};
use crate::ops::OWNER;

/// Subresources of objects that s3s does not know, and would take for a plain Put or Delete.
const UNKNOWN_SUBRESOURCES: [&str; 5] =
    ["encryption", "renameObject", "restore", "select", "torrent"];

/// What a query can name of a bucket or an object.
const SUBRESOURCES: [&str; 28] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "retention",
    "tagging",
    "uploads",
    "versioning",
    "versions",
    "website",
];
/// Those of an object that can be put.
const PUT_OF_OBJECTS: [&str; 4] = ["acl", "legal-hold", "retention", "tagging"];
/// Those of an object that can be deleted.
const DELETED_OF_OBJECTS: [&str; 1] = ["tagging"];
/// Those of a bucket that cannot be put.
const NOT_PUT_OF_BUCKETS: [&str; 9] = [
    "attributes",
    "delete",
    "legal-hold",
    "location",
    "metadataTable",
    "policyStatus",
    "retention",
    "uploads",
    "versions",
];
/// Those of a bucket that can be deleted.
const DELETED_OF_BUCKETS: [&str; 13] = [
    "analytics",
    "cors",
    "intelligent-tiering",
    "inventory",
    "lifecycle",
    "metadataTable",
    "metrics",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "replication",
    "tagging",
    "website",
];

/// Why a request to `target` is not let in, if it is not.
pub fn refusal(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    target: Option<&S3Path>,
) -> Option<S3Error> {
    let text = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let queries = || {
        uri.query()
            .unwrap_or_default()
            .split('&')
            .map(|item| item.split('=').next().unwrap_or_default())
    };
    let asks = |name: &str| queries().any(|query| query == name);
    let error = |code, message: &'static str| Some(S3Error::with_message(code, message));
    // s3s decodes names: what is looked for here and on the way must be what it finds.
    if queries().any(|name| name.contains(['%', '+'])) {
        return error(
            S3ErrorCode::InvalidURI,
            "names in the query must not be encoded",
        );
    }
    if text("authorization").is_some() && asks("X-Amz-Signature") {
        return error(
            S3ErrorCode::InvalidRequest,
            "a request is signed in its headers or in its query, not in both",
        );
    }
    if text("authorization").is_some_and(|value| value.starts_with(b"AWS "))
        || asks("Signature")
        || asks("AWSAccessKeyId")
    {
        return error(
            S3ErrorCode::InvalidRequest,
            "the authorization mechanism you have provided is not supported; please use AWS4-HMAC-SHA256",
        );
    }
    if let Some(signed) = signed_headers(uri, headers)
        && !covers(&signed, headers)
    {
        return error(
            S3ErrorCode::AccessDenied,
            "there were headers present in the request which were not signed",
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
        if target.is_some_and(|target| is_misplaced(method, target, &asks)) {
            return error(
                S3ErrorCode::MethodNotAllowed,
                "the method is not allowed against this resource",
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

/// s3s would take it for a plain Put or Delete of the bucket or the object.
fn is_misplaced(method: &Method, target: &S3Path, asks: &dyn Fn(&str) -> bool) -> bool {
    let fits = |name: &str| match (target, method == Method::PUT) {
        (S3Path::Root, _) => false,
        (S3Path::Bucket { .. }, true) => !NOT_PUT_OF_BUCKETS.contains(&name),
        (S3Path::Bucket { .. }, false) => DELETED_OF_BUCKETS.contains(&name),
        (S3Path::Object { .. }, true) => PUT_OF_OBJECTS.contains(&name),
        (S3Path::Object { .. }, false) => DELETED_OF_OBJECTS.contains(&name),
    };
    SUBRESOURCES.iter().any(|name| asks(name) && !fits(name))
}

/// Names of the headers that a signature says it is of, if there is one.
fn signed_headers(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(http::header::AUTHORIZATION);
    if let Some(value) = authorization.and_then(|value| value.to_str().ok()) {
        let (_, rest) = value.split_once("SignedHeaders=")?;
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return rest.get(..end).map(str::to_owned);
    }
    let mut items = uri.query().unwrap_or_default().split('&');
    let named = items.find_map(|item| item.strip_prefix("X-Amz-SignedHeaders="))?;
    Some(percent_decode_str(named).decode_utf8_lossy().into_owned())
}

/// A signature is of the host and of all that says what is to be done, or whoever has a signed link can make another
/// request of it: a copy of what its owner may read, say.
fn covers(signed: &str, headers: &HeaderMap) -> bool {
    let is_signed = |name: &str| {
        signed
            .split(';')
            .any(|signed| signed.eq_ignore_ascii_case(name))
    };
    // That hash is part of what is signed, or stands for an unsigned body.
    let needs_none = |name: &str| !name.starts_with("x-amz-") || name == "x-amz-content-sha256";
    let mut names = headers.keys().map(HeaderName::as_str);
    is_signed("host") && names.all(|name| needs_none(name) || is_signed(name))
}

/// A signed link has a life, and not too long a one.
fn is_short_lived(uri: &Uri) -> bool {
    let items = uri.query().unwrap_or_default().split('&');
    let mut lifetimes = items.filter_map(|item| {
        let (name, value) = item.split_once('=')?;
        name.eq_ignore_ascii_case("X-Amz-Expires").then_some(value)
    });
    lifetimes.all(|value| {
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
    use crate::server::address::Domains;

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
        let target = Domains::new(&[]).target(&headers, &uri).ok();
        let refused = refusal(&method, &uri, &headers, target.as_ref());
        refused.map(|error| error.code().as_str().to_owned())
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
        assert_eq!(code(Method::GET, "/b/k", new), None);
        let both = code(Method::GET, "/b/k?X-Amz-Signature=a", new);
        assert_eq!(both, refused("InvalidRequest"));
        for encoded in [
            "/b/k?AWSAccess%4BeyId=a&Expires=1&%53ignature=b",
            "/b/k?X-Amz-Expire%73=4294967295",
            "/b?lifecycl%65",
            "/b/k?a+b",
        ] {
            assert_eq!(code(Method::PUT, encoded, None), refused("InvalidURI"));
        }
        let twice = "/b/k?x-amz-expires=1&X-Amz-Expires=4294967295";
        let refusal = refused("AuthorizationQueryParametersError");
        assert_eq!(code(Method::GET, twice, None), refusal);
    }

    #[test]
    fn a_signature_is_of_all_that_says_what_is_to_be_done() {
        let denied = Some("AccessDenied".to_owned());
        let link = |names: &str| format!("/b/k?X-Amz-SignedHeaders={names}&X-Amz-Signature=a");
        let copy = Some(("x-amz-copy-source", "private/secret"));
        assert_eq!(code(Method::PUT, &link("host"), None), None);
        assert_eq!(code(Method::PUT, &link("host"), copy), denied);
        assert_eq!(
            code(Method::PUT, &link("host%3Bx-amz-copy-source"), copy),
            None
        );
        assert_eq!(code(Method::PUT, &link("x-amz-copy-source"), copy), denied);
        assert_eq!(code(Method::PUT, &link(""), None), denied);
        let hash = Some(("x-amz-content-sha256", "UNSIGNED-PAYLOAD"));
        assert_eq!(code(Method::PUT, &link("host"), hash), None);
        assert_eq!(
            code(Method::PUT, &link("host"), Some(("range", "bytes=0-1"))),
            None
        );
        let mut headers = HeaderMap::new();
        let signed = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x-amz-date, Signature=c";
        headers.insert("authorization", http::HeaderValue::from_static(signed));
        headers.insert("x-amz-date", http::HeaderValue::from_static("now"));
        let uri = Uri::from_static("/b/k");
        assert!(refusal(&Method::GET, &uri, &headers, None).is_none());
        headers.insert("x-amz-acl", http::HeaderValue::from_static("private"));
        assert!(refusal(&Method::GET, &uri, &headers, None).is_some());
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
            let refused = refusal(&Method::POST, &Uri::from_static("/b"), &headers, None);
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
        for (method, misplaced) in [
            (Method::DELETE, "/bucket?acl"),
            (Method::DELETE, "/bucket?versioning"),
            (Method::DELETE, "/bucket/k?lifecycle"),
            (Method::DELETE, "/bucket/k?acl="),
            (Method::PUT, "/bucket/k?cors"),
            (Method::PUT, "/bucket?retention"),
        ] {
            assert_eq!(
                code(method, misplaced, None),
                refused("MethodNotAllowed"),
                "{misplaced}"
            );
        }
        for (method, good) in [
            (Method::DELETE, "/bucket?cors"),
            (Method::DELETE, "/bucket/k?tagging&versionId=null"),
            (Method::PUT, "/bucket/k?acl"),
            (Method::PUT, "/bucket?lifecycle"),
            (Method::GET, "/bucket/k?attributes"),
        ] {
            assert_eq!(code(method, good, None), None, "{good}");
        }
        let owner = Some(("x-amz-expected-bucket-owner", "123456789012"));
        assert_eq!(code(Method::GET, "/b/k", owner), refused("AccessDenied"));
    }
}
