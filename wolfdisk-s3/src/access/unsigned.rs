//! What goes without a signature.
//!
//! Without any key only this machine's users are served, and only under a name that no web page can have chosen: a
//! page of a stranger may make a browser send requests to a name of its own that it lets point to loopback.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use wolfdisk_common::access_key::rights::Rights;
use wolfdisk_common::config::{Anonymous, S3 as Settings};

use super::effect::Effect;

/// What requests without a signature may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Nothing.
    Nothing,
    /// Everything, by programs of this machine, as long as there is no key.
    Local,
    /// Read.
    Read,
    /// Everything.
    Everything,
}

impl Unsigned {
    /// As the settings say. On an address that others reach there may be no keys but those in the index, and the last
    /// of them may go: nothing is unsigned there unless the settings say so.
    pub fn of(settings: &Settings) -> Unsigned {
        let is_open = !settings.bind.ip().to_canonical().is_loopback();
        match (settings.anonymous, &settings.keys) {
            (Anonymous::ReadOnly, _) => Unsigned::Read,
            (Anonymous::ReadWrite, _) => Unsigned::Everything,
            (Anonymous::Off, Some(_)) => Unsigned::Nothing,
            (Anonymous::Off, None) if is_open => Unsigned::Nothing,
            (Anonymous::Off, None) => Unsigned::Local,
        }
    }

    /// What there is to warn of at the start.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Unsigned::Nothing => None,
            Unsigned::Local => Some(
                "there is no access key: every user of this machine has full access; make one: wolfdiskctl s3 key create",
            ),
            Unsigned::Read => {
                Some("everybody who reaches the address may read everything: s3.anonymous")
            }
            Unsigned::Everything => Some(
                "everybody who reaches the address may read and change everything: s3.anonymous",
            ),
        }
    }

    /// What a request may do without a signature, if anything. That there is no key is for the caller to know.
    pub fn rights(self, effect: Effect, headers: &HeaderMap) -> Option<Rights> {
        match self {
            Unsigned::Nothing => None,
            Unsigned::Local => {
                // A browser says on whose behalf it asks.
                let is_ours = is_local(headers) && !is_of_page(headers);
                is_ours.then_some(Rights::FULL)
            }
            Unsigned::Read => (effect == Effect::Read).then_some(Rights::READING),
            Unsigned::Everything => Some(Rights::FULL),
        }
    }
}

/// A page makes a browser ask, and not who typed the address.
fn is_of_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    headers.contains_key(http::header::ORIGIN) || site.is_some_and(|site| site != "none")
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

#[cfg(test)]
mod tests {
    use super::*;
    use Effect::{Read, ReadUploads, Write};

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
        let rights =
            |host: &'static str| Unsigned::Local.rights(Write, &headers(&[("host", host)]));
        for host in [
            "localhost",
            "LOCALHOST:9878",
            "127.0.0.1:9878",
            "[::1]:9878",
            "[::1]",
            "127.0.0.1",
        ] {
            assert_eq!(rights(host), Some(Rights::FULL), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:9878",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert_eq!(rights(host), None, "{host}");
        }
        assert_eq!(Unsigned::Local.rights(Read, &HeaderMap::new()), None);
        let page = headers(&[("host", "localhost"), ("origin", "https://evil.example")]);
        assert_eq!(Unsigned::Local.rights(Write, &page), None);
    }

    #[test]
    fn anonymous_readers_change_nothing() {
        let none = HeaderMap::new();
        let reading = Some(Rights::READING);
        assert_eq!(Unsigned::Read.rights(Read, &none), reading);
        assert_eq!(Unsigned::Read.rights(ReadUploads, &none), None);
        assert_eq!(Unsigned::Read.rights(Write, &none), None);
        for effect in [Read, ReadUploads, Write] {
            assert_eq!(Unsigned::Nothing.rights(effect, &none), None);
            let everything = Some(Rights::FULL);
            assert_eq!(Unsigned::Everything.rights(effect, &none), everything);
        }
    }
}
