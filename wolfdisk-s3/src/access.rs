//! Who may do what: signatures are checked by s3s with the configured key, and what is not signed is decided here.
//!
//! Without any key only this machine's users are served, and only under a name that no web page can have chosen: a
//! page of a stranger may make a browser send requests to a name of its own that it lets point to loopback.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};
use wolfdisk_common::config::{Anonymous, S3 as Settings};

/// Operations that change nothing.
const READS: [&str; 10] = [
    "GetBucketLocation",
    "GetBucketVersioning",
    "GetObject",
    "GetObjectAttributes",
    "GetObjectTagging",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListObjects",
    "ListObjectsV2",
];

/// What requests without a signature may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Nothing.
    Nothing,
    /// Everything, by programs of this machine.
    Local,
    /// Read.
    Read,
    /// Everything.
    Everything,
}

impl Unsigned {
    /// As the settings say.
    pub fn of(settings: &Settings) -> Unsigned {
        match (settings.anonymous, &settings.keys) {
            (Anonymous::ReadOnly, _) => Unsigned::Read,
            (Anonymous::ReadWrite, _) => Unsigned::Everything,
            (Anonymous::Off, Some(_)) => Unsigned::Nothing,
            (Anonymous::Off, None) => Unsigned::Local,
        }
    }

    /// What there is to warn of at the start.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Unsigned::Nothing => None,
            Unsigned::Local => Some(
                "there is no access key: every user of this machine has full access; set s3.access_key and s3.secret_key",
            ),
            Unsigned::Read => {
                Some("everybody who reaches the address may read everything: s3.anonymous")
            }
            Unsigned::Everything => Some(
                "everybody who reaches the address may read and change everything: s3.anonymous",
            ),
        }
    }

    /// Whether a request may go on without a signature.
    pub(crate) fn allows(self, operation: &str, headers: &HeaderMap) -> bool {
        match self {
            Unsigned::Nothing => false,
            // A browser says on whose behalf it asks.
            Unsigned::Local => is_local(headers) && !headers.contains_key(http::header::ORIGIN),
            Unsigned::Read => READS.contains(&operation),
            Unsigned::Everything => true,
        }
    }
}

/// The host that is asked is `localhost` or a number.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    host.is_some_and(|host| {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let inner = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        name.eq_ignore_ascii_case("localhost")
            || host.parse::<SocketAddr>().is_ok()
            || inner.unwrap_or(name).parse::<IpAddr>().is_ok()
    })
}

/// The configured key, for s3s to check signatures with. `Debug` does not show the secret.
pub struct Keys(Option<(String, SecretKey)>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// As the settings say.
    pub fn of(settings: &Settings) -> Keys {
        let keys = settings.keys.as_ref();
        Keys(keys.map(|(access, secret)| (access.clone(), SecretKey::from(secret.reveal()))))
    }
}

#[async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match &self.0 {
            Some((known, secret)) if known == access_key => Ok(secret.clone()),
            Some(_) | None => Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "the access key does not exist",
            )),
        }
    }
}

#[async_trait]
impl S3Access for Unsigned {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let signed = context.credentials().is_some();
        match signed || self.allows(context.s3_op().name(), context.headers()) {
            true => Ok(()),
            false => Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "the request must be signed",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn without_a_key_only_this_machine_is_served() {
        for host in [
            "localhost",
            "LOCALHOST:9878",
            "127.0.0.1:9878",
            "[::1]:9878",
            "[::1]",
            "127.0.0.1",
        ] {
            assert!(
                Unsigned::Local.allows("PutObject", &headers(&[("host", host)])),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "localhost.evil.example:9878",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(
                !Unsigned::Local.allows("GetObject", &headers(&[("host", host)])),
                "{host}"
            );
        }
        assert!(!Unsigned::Local.allows("GetObject", &HeaderMap::new()));
        let page = headers(&[("host", "localhost"), ("origin", "https://evil.example")]);
        assert!(!Unsigned::Local.allows("DeleteObjects", &page));
    }

    #[test]
    fn anonymous_readers_change_nothing() {
        let none = HeaderMap::new();
        assert!(READS.is_sorted());
        assert!(Unsigned::Read.allows("GetObject", &none));
        for operation in [
            "PutObject",
            "DeleteObject",
            "DeleteObjects",
            "CopyObject",
            "CreateBucket",
            "UploadPart",
        ] {
            assert!(!Unsigned::Read.allows(operation, &none), "{operation}");
            assert!(!Unsigned::Nothing.allows(operation, &none), "{operation}");
            assert!(Unsigned::Everything.allows(operation, &none), "{operation}");
        }
    }
}
