//! What a client announces of its content, compared with what came; and checksums in answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::TrailingHeaders;

use crate::checksum::{Algorithm, Checksum, Scope};
use crate::digest::Summary;
use crate::error::{Failure, Result};

/// The checksum headers of a request, of whichever type that is.
macro_rules! given_checksums {
    ($input:expr) => {
        [
            (
                $crate::checksum::Algorithm::Crc32,
                $input.checksum_crc32.as_deref(),
            ),
            (
                $crate::checksum::Algorithm::Crc32c,
                $input.checksum_crc32c.as_deref(),
            ),
            (
                $crate::checksum::Algorithm::Crc64Nvme,
                $input.checksum_crc64nvme.as_deref(),
            ),
            (
                $crate::checksum::Algorithm::Sha1,
                $input.checksum_sha1.as_deref(),
            ),
            (
                $crate::checksum::Algorithm::Sha256,
                $input.checksum_sha256.as_deref(),
            ),
        ]
    };
}

/// Puts a checksum, if there is one, into an answer.
macro_rules! show_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let text = Some(checksum.encode());
            match checksum.algorithm {
                $crate::checksum::Algorithm::Crc32 => $output.checksum_crc32 = text,
                $crate::checksum::Algorithm::Crc32c => $output.checksum_crc32c = text,
                $crate::checksum::Algorithm::Crc64Nvme => $output.checksum_crc64nvme = text,
                $crate::checksum::Algorithm::Sha1 => $output.checksum_sha1 = text,
                $crate::checksum::Algorithm::Sha256 => $output.checksum_sha256 = text,
            }
        }
    };
}

pub(super) use {given_checksums, show_checksum};

/// What of.
pub(super) fn checksum_type(checksum: Option<&Checksum>) -> Option<s3s::dto::ChecksumType> {
    checksum.map(|checksum| {
        s3s::dto::ChecksumType::from_static(match checksum.scope {
            Scope::Whole => s3s::dto::ChecksumType::FULL_OBJECT,
            Scope::Composite(_) => s3s::dto::ChecksumType::COMPOSITE,
        })
    })
}

/// What is known before the body has come.
#[derive(Debug)]
pub(crate) struct Announced {
    /// What is computed.
    pub(crate) algorithm: Algorithm,
    /// What is to come out, if it was said before the body.
    value: Option<Vec<u8>>,
    /// It is said after the body.
    in_trailer: bool,
    md5: Option<Vec<u8>>,
}

impl Announced {
    /// Of the headers of a request. Where nothing is asked for, CRC-64 is computed, as S3 does it.
    ///
    /// # Errors
    /// A value that cannot be, or several.
    pub(crate) fn new(
        given: [(Algorithm, Option<&str>); 5],
        named: Option<&str>,
        headers: &HeaderMap,
        content_md5: Option<&str>,
    ) -> Result<Announced> {
        let md5 = content_md5.map(|text| {
            let md5 = STANDARD.decode(text).ok().filter(|md5| md5.len() == 16);
            md5.ok_or(Failure::InvalidDigest("Content-MD5"))
        });
        let mut values = given
            .into_iter()
            .filter_map(|(algorithm, text)| Some((algorithm, text?)));
        let value = values.next();
        if values.next().is_some() {
            return Err(Failure::Request("more than one checksum was sent"));
        }
        let value = value.map(|(algorithm, text)| {
            let bytes = algorithm
                .decode(text)
                .ok_or(Failure::InvalidDigest(algorithm.header()))?;
            Ok::<_, Failure>((algorithm, bytes))
        });
        let value = value.transpose()?;
        let trailer = headers
            .get("x-amz-trailer")
            .and_then(|value| value.to_str().ok());
        let names = trailer.unwrap_or_default().split(',').map(str::trim);
        let is_named = |algorithm: &Algorithm| {
            names
                .clone()
                .any(|name| name.eq_ignore_ascii_case(algorithm.header()))
        };
        let trailing = Algorithm::ALL.into_iter().find(is_named);
        let named = match named {
            None => None,
            Some(name) => Some(
                Algorithm::parse(name)
                    .ok_or(Failure::Request("the checksum algorithm is unknown"))?,
            ),
        };
        let algorithm = value
            .as_ref()
            .map(|(algorithm, _)| *algorithm)
            .or(trailing)
            .or(named);
        Ok(Announced {
            algorithm: algorithm.unwrap_or(Algorithm::Crc64Nvme),
            value: value.map(|(_, value)| value),
            in_trailer: trailing.is_some(),
            md5: md5.transpose()?,
        })
    }

    /// Compares with what came.
    ///
    /// # Errors
    /// Something differs, or a checksum that was announced did not come.
    pub(crate) fn check(
        &self,
        summary: &Summary,
        trailers: Option<&TrailingHeaders>,
    ) -> Result<Checksum> {
        if self.md5.as_ref().is_some_and(|md5| *md5 != summary.md5) {
            return Err(Failure::BadDigest("Content-MD5"));
        }
        let header = self.algorithm.header();
        let computed = summary
            .sums
            .iter()
            .find(|(algorithm, _)| *algorithm == self.algorithm);
        let value = computed.map(|(_, value)| value.clone()).unwrap_or_default();
        let trailing = trailers.and_then(|trailers| {
            let text = |headers: &HeaderMap| Some(headers.get(header)?.to_str().ok()?.to_owned());
            trailers.read(text).flatten()
        });
        let trailing = match trailing {
            None if self.in_trailer => {
                return Err(Failure::Request(
                    "the trailer that was announced is missing",
                ));
            }
            None => None,
            Some(text) => Some(
                self.algorithm
                    .decode(text.trim())
                    .ok_or(Failure::InvalidDigest(header))?,
            ),
        };
        match [&self.value, &trailing]
            .into_iter()
            .flatten()
            .all(|wanted| *wanted == value)
        {
            true => Ok(Checksum {
                algorithm: self.algorithm,
                scope: Scope::Whole,
                value,
            }),
            false => Err(Failure::BadDigest(header)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digests;

    const NONE: [(Algorithm, Option<&str>); 5] = [
        (Algorithm::Crc32, None),
        (Algorithm::Crc32c, None),
        (Algorithm::Crc64Nvme, None),
        (Algorithm::Sha1, None),
        (Algorithm::Sha256, None),
    ];

    fn summary(bytes: &[u8]) -> Summary {
        let mut digests = Digests::new(Algorithm::ALL);
        digests.update(bytes);
        digests.finish()
    }

    #[test]
    fn what_was_announced_must_come_out() {
        let headers = HeaderMap::new();
        let mut given = NONE;
        // Of "123456789".
        given[0].1 = Some("y/Q5Jg==");
        let announced = Announced::new(given, None, &headers, None).expect("announced");
        assert!(announced.check(&summary(b"123456789"), None).is_ok());
        let wrong = announced.check(&summary(b"12345678"), None);
        assert!(matches!(
            wrong,
            Err(Failure::BadDigest("x-amz-checksum-crc32"))
        ));
        given[1].1 = Some("4waSgw==");
        assert!(matches!(
            Announced::new(given, None, &headers, None),
            Err(Failure::Request(_))
        ));
        given[0].1 = Some("AAA=");
        given[1].1 = None;
        let malformed = Announced::new(given, None, &headers, None);
        assert!(matches!(malformed, Err(Failure::InvalidDigest(_))));
        let md5 = |text| Announced::new(NONE, None, &headers, Some(text));
        let good = md5("JfnnlDI7RTiF9RgfG2JNCw==").expect("announced");
        assert!(good.check(&summary(b"123456789"), None).is_ok());
        let wrong = good.check(&summary(b""), None);
        assert!(matches!(wrong, Err(Failure::BadDigest("Content-MD5"))));
        assert!(matches!(
            md5("AAAA"),
            Err(Failure::InvalidDigest("Content-MD5"))
        ));
    }

    #[test]
    fn a_trailer_that_was_announced_must_come() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amz-trailer",
            http::HeaderValue::from_static("x-amz-checksum-crc32c"),
        );
        let announced = Announced::new(NONE, Some("CRC32C"), &headers, None).expect("announced");
        assert_eq!(announced.algorithm, Algorithm::Crc32c);
        assert!(matches!(
            announced.check(&summary(b""), None),
            Err(Failure::Request(_))
        ));
        let nothing = Announced::new(NONE, None, &HeaderMap::new(), None).expect("announced");
        assert_eq!(nothing.algorithm, Algorithm::Crc64Nvme);
        let unknown = Announced::new(NONE, Some("MD4"), &HeaderMap::new(), None);
        assert!(matches!(unknown, Err(Failure::Request(_))));
    }
}
