//! Headers that are kept with an object: out of requests, and into answers.

use std::collections::{BTreeMap, HashMap};

use crate::stored::Stored;
use crate::tags::Tags;

/// The headers of a request that creates an object, of whichever type that is.
macro_rules! kept_headers {
    ($input:expr) => {
        $crate::stored::Headers {
            content_type: $input.content_type.clone(),
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $crate::ops::headers::content_encoding(
                $input.content_encoding.as_deref(),
            ),
            content_language: $input.content_language.clone(),
            expires: $input.expires.as_ref().map($crate::moment::http_date),
            website_redirect_location: $input.website_redirect_location.clone(),
        }
    };
}

/// Puts what is kept of an object into the answer of a Get or a Head.
macro_rules! show_object {
    ($output:expr, $view:expr, $key:expr) => {{
        let stored = &$view.stored;
        let headers = &stored.headers;
        let content_type = headers.content_type.clone();
        let guess = || $crate::content_type::guess($key).to_owned();
        $output.content_type = Some(content_type.unwrap_or_else(guess));
        $output.cache_control = headers.cache_control.clone();
        $output.content_disposition = headers.content_disposition.clone();
        $output.content_encoding = headers.content_encoding.clone();
        $output.content_language = headers.content_language.clone();
        $output.expires = headers
            .expires
            .as_deref()
            .and_then($crate::moment::from_http_date);
        $output.website_redirect_location = headers.website_redirect_location.clone();
        $output.metadata = $crate::ops::headers::metadata(stored);
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = Some($crate::ops::shown($view.etag()));
        $output.last_modified = Some($view.modified());
    }};
}

pub(super) use {kept_headers, show_object};

/// Without what only says how the request was sent.
pub(super) fn content_encoding(header: Option<&str>) -> Option<String> {
    let items = header?.split(',').map(str::trim);
    let kept: Vec<&str> = items
        .filter(|item| !item.is_empty() && *item != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// For an answer.
pub(super) fn metadata(stored: &Stored) -> Option<HashMap<String, String>> {
    let metadata = &stored.metadata;
    let pairs = || {
        metadata
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
    };
    (!metadata.is_empty()).then(|| pairs().collect())
}

/// Of a request.
pub(super) fn given_metadata(given: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let pairs = given.into_iter().flatten();
    pairs
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Of a request.
pub(super) fn given_tags(header: Option<&str>) -> crate::error::Result<Tags> {
    Ok(Tags::from_query(header.unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_body_was_sent_is_not_kept() {
        assert_eq!(content_encoding(None), None);
        assert_eq!(content_encoding(Some("aws-chunked")), None);
        assert_eq!(
            content_encoding(Some("gzip, aws-chunked")),
            Some("gzip".to_owned())
        );
        assert_eq!(
            content_encoding(Some("gzip,br")),
            Some("gzip,br".to_owned())
        );
    }
}
