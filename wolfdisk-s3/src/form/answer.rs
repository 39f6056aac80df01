//! What the client of a form is told when its file is stored: as its fields ask, a status or another page.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, ETAG, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use s3s::dto::{PostResponse, PutObjectOutput};
use s3s::xml::{Serialize, Serializer};
use s3s::{S3Error, S3ErrorCode};

use super::fields::Fields;
use crate::url_encoding::encode;

/// Of a form whose file was stored.
///
/// # Errors
/// It cannot be put into words.
pub fn of(
    fields: &Fields,
    location: &str,
    bucket: &str,
    key: &str,
    stored: &PutObjectOutput,
) -> Result<Response<Body>, S3Error> {
    let tag = stored.e_tag.as_ref().map(|tag| tag.value());
    let etag = format!("\"{}\"", tag.unwrap_or_default());
    let page = fields
        .get("success_action_redirect")
        .or(fields.get("redirect"));
    if let Some(page) = page.and_then(|page| redirect(page, bucket, key, &etag)) {
        let mut response = empty(StatusCode::SEE_OTHER, &etag)?;
        response.headers_mut().insert(LOCATION, page);
        return Ok(response);
    }
    let mut response = match fields.get("success_action_status") {
        Some("200") => empty(StatusCode::OK, &etag)?,
        Some("201") => {
            let mut response = empty(StatusCode::CREATED, &etag)?;
            *response.body_mut() = Body::from(document(&PostResponse {
                location,
                bucket,
                key,
                etag: &etag,
            })?);
            let kind = HeaderValue::from_static("application/xml");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        // Whatever else is asked, as in S3.
        _ => empty(StatusCode::NO_CONTENT, &etag)?,
    };
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn empty(status: StatusCode, etag: &str) -> Result<Response<Body>, S3Error> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let etag = HeaderValue::try_from(etag).map_err(unsaid)?;
    response.headers_mut().insert(ETAG, etag);
    Ok(response)
}

fn document(answer: &PostResponse<'_>) -> Result<Vec<u8>, S3Error> {
    let mut bytes = Vec::new();
    let mut writer = Serializer::new(&mut bytes);
    writer
        .decl()
        .and_then(|()| answer.serialize(&mut writer))
        .map_err(unsaid)?;
    Ok(bytes)
}

fn unsaid(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))
}

/// Where to send a browser: the page that the form names, if it is one, with what was stored in its query.
fn redirect(page: &str, bucket: &str, key: &str, etag: &str) -> Option<HeaderValue> {
    let uri: Uri = page.parse().ok()?;
    let is_page = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    is_page.then_some(())?;
    let (page, fragment) = match page.split_once('#') {
        Some((page, fragment)) => (page, format!("#{fragment}")),
        None => (page, String::new()),
    };
    let mark = if uri.query().is_some() { '&' } else { '?' };
    let (bucket, key, etag) = (encode(bucket), encode(key), encode(etag));
    let target = format!("{page}{mark}bucket={bucket}&key={key}&etag={etag}{fragment}");
    HeaderValue::try_from(target).ok()
}

/// Where the object is, as the client called the bucket: by path or by host.
pub fn location(scheme: &str, headers: &HeaderMap, uri: &Uri, key: &str) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let path = uri.path().trim_end_matches('/');
    let key = encode(key);
    match host {
        Some(host) => format!("{scheme}://{host}{path}/{key}"),
        None => format!("{path}/{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pairs: &[(&str, &str)]) -> Response<Body> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let fields = Fields::new(owned, "").expect("fields");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("s3.example:9878"));
        let stored = PutObjectOutput {
            e_tag: Some(s3s::dto::ETag::Strong("abc".to_owned())),
            ..PutObjectOutput::default()
        };
        let uri = Uri::from_static("/bucket/");
        let location = location("http", &headers, &uri, "a/b c");
        of(&fields, &location, "bucket", "a/b c", &stored).expect("an answer")
    }

    fn header(response: &Response<Body>, name: &str) -> String {
        let value = response.headers().get(name).expect("a header");
        value.to_str().expect("a text").to_owned()
    }

    #[test]
    fn the_status_is_one_of_three() {
        for (asked, given) in [
            ("200", 200),
            ("201", 201),
            ("204", 204),
            ("404", 204),
            ("", 204),
        ] {
            let response = answer(&[("success_action_status", asked)]);
            assert_eq!(response.status().as_u16(), given, "{asked}");
            assert_eq!(header(&response, "etag"), "\"abc\"");
            assert_eq!(
                header(&response, "location"),
                "http://s3.example:9878/bucket/a/b%20c"
            );
        }
        assert_eq!(answer(&[]).status().as_u16(), 204);
    }

    #[test]
    fn a_page_learns_what_was_stored() {
        let query = "bucket=bucket&key=a/b%20c&etag=%22abc%22";
        for (page, wanted) in [
            (
                "http://page.example/done",
                format!("http://page.example/done?{query}"),
            ),
            (
                "https://page.example/?a=b#c",
                format!("https://page.example/?a=b&{query}#c"),
            ),
        ] {
            let response = answer(&[("success_action_redirect", page)]);
            assert_eq!(response.status().as_u16(), 303);
            assert_eq!(header(&response, "location"), wanted);
        }
        for no_page in [
            "",
            "/done",
            "javascript:alert(1)",
            "http://a/\r\nb: c",
            "page.example",
        ] {
            let response = answer(&[("success_action_redirect", no_page)]);
            assert_eq!(response.status().as_u16(), 204, "{no_page}");
        }
    }
}
