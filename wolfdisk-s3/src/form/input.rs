//! The request of a Put that a form stands for.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    ChecksumAlgorithm, ObjectCannedACL, ObjectLockMode, PutObjectInput, ServerSideEncryption,
    StorageClass, StreamingBlob, Tagging,
};
use s3s::xml::{Deserialize, Deserializer};

use super::error::FormError;
use super::fields::Fields;
use super::file::File;
use crate::error::{Failure, Result};
use crate::moment::from_http_date;

/// The beginning of the names of the user's own metadata.
const METADATA: &str = "x-amz-meta-";

/// Of a form with this file.
///
/// # Errors
/// A field is missing or cannot be what it is.
pub(super) fn of(fields: &Fields, bucket: &str, file: File) -> Result<PutObjectInput> {
    if fields.get("bucket").is_some_and(|named| named != bucket) {
        return Err(FormError::Field("bucket".to_owned()).into());
    }
    let text = |name: &str| header(fields, name);
    let plain = |name: &str| fields.get(name).map(str::to_owned);
    let any = |beginning: &str| fields.pairs().any(|(name, _)| name.starts_with(beginning));
    let expires = text("expires")?
        .map(|value| from_http_date(&value).ok_or_else(|| FormError::Field("expires".to_owned())));
    let algorithm = plain("x-amz-checksum-algorithm").or(plain("x-amz-sdk-checksum-algorithm"));
    let tagging = match fields.get("tagging") {
        Some(xml) => Some(query_of_tags(xml)?),
        None => plain("x-amz-tagging"),
    };
    Ok(PutObjectInput {
        bucket: bucket.to_owned(),
        key: fields.required("key")?.to_owned(),
        body: Some(StreamingBlob::wrap(file)),
        metadata: metadata(fields)?,
        tagging,
        cache_control: text("cache-control")?,
        content_disposition: text("content-disposition")?,
        content_encoding: text("content-encoding")?,
        content_language: text("content-language")?,
        content_type: text("content-type")?,
        expires: expires.transpose()?,
        website_redirect_location: text("x-amz-website-redirect-location")?,
        content_md5: plain("content-md5"),
        checksum_algorithm: algorithm.map(ChecksumAlgorithm::from),
        checksum_crc32: plain("x-amz-checksum-crc32"),
        checksum_crc32c: plain("x-amz-checksum-crc32c"),
        checksum_crc64nvme: plain("x-amz-checksum-crc64nvme"),
        checksum_sha1: plain("x-amz-checksum-sha1"),
        checksum_sha256: plain("x-amz-checksum-sha256"),
        // What is refused of other requests is refused of forms.
        acl: plain("acl")
            .or(plain("x-amz-acl"))
            .map(ObjectCannedACL::from),
        grant_read: any("x-amz-grant-").then(String::new),
        storage_class: plain("x-amz-storage-class").map(StorageClass::from),
        server_side_encryption: any("x-amz-server-side-encryption")
            .then(|| ServerSideEncryption::from(String::new())),
        object_lock_mode: any("x-amz-object-lock-").then(|| ObjectLockMode::from(String::new())),
        ..PutObjectInput::default()
    })
}

/// A field that will be given back as a header.
fn header(fields: &Fields, name: &str) -> Result<Option<String>> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) if HeaderValue::from_str(value).is_ok() => Ok(Some(value.to_owned())),
        Some(_) => Err(FormError::Field(name.to_owned()).into()),
    }
}

fn metadata(fields: &Fields) -> Result<Option<HashMap<String, String>>> {
    let mut found = HashMap::new();
    for (name, value) in fields.pairs() {
        let Some(own) = name.strip_prefix(METADATA).filter(|own| !own.is_empty()) else {
            continue;
        };
        let good =
            HeaderName::from_bytes(name.as_bytes()).is_ok() && !value.chars().any(char::is_control);
        if !good {
            return Err(FormError::Field(name.to_owned()).into());
        }
        found.insert(own.to_owned(), value.to_owned());
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Forms have tags in XML; the header of a Put has them as a query.
fn query_of_tags(xml: &str) -> Result<String> {
    let mut reader = Deserializer::new(xml.as_bytes());
    let tagging = Tagging::deserialize(&mut reader).and_then(|tagging| {
        reader.expect_eof()?;
        Ok(tagging)
    });
    let tagging = tagging.map_err(|_| Failure::Xml("the tags cannot be read"))?;
    let encode = |text: Option<String>| {
        utf8_percent_encode(&text.unwrap_or_default(), NON_ALPHANUMERIC).to_string()
    };
    let pairs = tagging
        .tag_set
        .into_iter()
        .map(|tag| format!("{}={}", encode(tag.key), encode(tag.value)));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_in_xml_become_those_of_a_header() {
        let tag = |key, value| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        let xml = format!(
            "<Tagging><TagSet>{}{}</TagSet></Tagging>",
            tag("a b", "1&amp;2"),
            tag("c", "")
        );
        assert_eq!(query_of_tags(&xml).expect("tags"), "a%20b=1%262&c=");
        for bad in ["", "a=b", "<Tagging>", "<Other/>"] {
            assert!(query_of_tags(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_could_not_be_given_back_is_not_taken() {
        let fields = |name: &str, value: &str| {
            Fields::new([(name.to_owned(), value.to_owned())], "").expect("fields")
        };
        assert!(header(&fields("content-type", "a\r\nb: c"), "content-type").is_err());
        assert!(header(&fields("content-type", "text/plain"), "content-type").is_ok());
        let kept = metadata(&fields("x-amz-meta-a", "\u{e4}")).expect("metadata");
        assert_eq!(
            kept.and_then(|mut kept| kept.remove("a")),
            Some("\u{e4}".to_owned())
        );
        assert!(metadata(&fields("x-amz-meta-a", "b\nc")).is_err());
        assert!(metadata(&fields("x-amz-meta-a b", "c")).is_err());
    }
}
