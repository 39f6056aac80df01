//! What a request is about: its bucket and its key, of which the bucket may be in the name of the host.

use s3s::host::{S3Host, VirtualHost};
use s3s::path::{
    ParseS3PathError, S3Path, parse_virtual_hosted_style_with_validation as parse_target,
};
use s3s::validation::NameValidation;
use s3s::{S3Error, S3ErrorCode, S3Result};

use http::{HeaderMap, Uri};

use crate::bucket::BucketName;

/// The names of buckets that s3s lets through.
#[derive(Debug)]
pub(super) struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        BucketName::parse(name).is_some()
    }
}

/// Domains under which each bucket has a host of its own. Under any other host, and under the domain itself, the
/// bucket is the first part of the path.
#[derive(Clone, Debug)]
pub struct Domains(Vec<String>);

impl Domains {
    /// These, in lower case.
    pub fn new(domains: &[String]) -> Domains {
        Domains(domains.to_vec())
    }

    /// The bucket that a host names. Of two domains that fit the longer one counts, which names the shorter bucket.
    fn bucket(&self, host: &str) -> Option<String> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.to_ascii_lowercase();
        if self.0.contains(&name) {
            return None;
        }
        let below = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
        let buckets = self.0.iter().filter_map(below);
        buckets.min_by_key(|bucket| bucket.len()).map(str::to_owned)
    }

    /// The one function by which everything but s3s itself learns what a request is about; s3s finds the same.
    ///
    /// # Errors
    /// What is asked for can be neither a bucket nor a key.
    pub fn target(&self, headers: &HeaderMap, uri: &Uri) -> S3Result<S3Path> {
        let host = headers.get(http::header::HOST);
        let bucket = host
            .and_then(|host| host.to_str().ok())
            .and_then(|host| self.bucket(host));
        let path = percent_encoding::percent_decode_str(uri.path());
        let path = path.decode_utf8().map_err(|_| S3ErrorCode::InvalidURI)?;
        parse_target(bucket.as_deref(), &path, &Names).map_err(|error| {
            S3Error::new(match error {
                ParseS3PathError::InvalidPath => S3ErrorCode::InvalidURI,
                ParseS3PathError::InvalidBucketName => S3ErrorCode::InvalidBucketName,
                ParseS3PathError::KeyTooLong => S3ErrorCode::KeyTooLongError,
            })
        })
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, path: &str) -> Result<S3Path, String> {
        let domains = ["s3.example.com", "example.com", "s3.local"].map(str::to_owned);
        let mut headers = HeaderMap::new();
        headers.insert(http::header::HOST, host.parse().expect("a host"));
        let uri = path.parse().expect("a URI");
        let target = Domains::new(&domains).target(&headers, &uri);
        target.map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_host_below_a_domain_is_a_bucket() {
        for host in [
            "bucket.s3.example.com",
            "bucket.s3.example.com:9878",
            "BUCKET.S3.Example.COM",
            "bucket.s3.local",
            "bucket.example.com",
        ] {
            assert_eq!(target(host, "/"), Ok(S3Path::bucket("bucket")), "{host}");
            let key = S3Path::object("bucket", "a/b c");
            assert_eq!(target(host, "/a/b%20c"), Ok(key), "{host}");
        }
        let dots = target("my.own.bucket.s3.local", "/k");
        assert_eq!(dots, Ok(S3Path::object("my.own.bucket", "k")));
    }

    #[test]
    fn any_other_host_leaves_the_bucket_to_the_path() {
        for host in [
            "s3.example.com",
            "s3.example.com:9878",
            "127.0.0.1:9878",
            "[::1]:9878",
            "localhost",
            "bucket.localhost",
            "xs3.local",
            "other.example",
        ] {
            assert_eq!(target(host, "/"), Ok(S3Path::root()), "{host}");
            assert_eq!(
                target(host, "/bucket"),
                Ok(S3Path::bucket("bucket")),
                "{host}"
            );
            let key = S3Path::object("bucket", "k");
            assert_eq!(target(host, "/bucket/k"), Ok(key), "{host}");
        }
    }

    #[test]
    fn what_can_be_no_bucket_is_none() {
        assert_eq!(
            target("under_score.s3.local", "/"),
            Err("InvalidBucketName".to_owned())
        );
        assert_eq!(
            target(".s3.local", "/"),
            Err("InvalidBucketName".to_owned())
        );
        assert_eq!(target("s3.local", "/a%ff"), Err("InvalidURI".to_owned()));
    }
}
