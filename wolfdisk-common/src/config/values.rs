//! The types that configured values become. Each is parsed once, here, and cannot be wrong afterwards.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;
use zeroize::Zeroizing;

/// What a node may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Votes and may lead.
    Auto,
    /// Votes and leads before any `auto` node.
    Leader,
    /// Votes and never leads.
    Follower,
    /// Holds nothing: mounts or answers S3 for nodes on other machines.
    Client,
}

impl Role {
    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Auto => "auto",
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Client => "client",
        }
    }

    pub(super) fn parse(value: &Value) -> Option<Role> {
        let name = value.as_str()?;
        [Role::Auto, Role::Leader, Role::Follower, Role::Client]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// Who goes on when a half of the cluster is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The side of the lowest id.
    LowestId,
    /// Nobody: read-only.
    Quorum,
}

impl Election {
    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Election::LowestId => "lowest-id",
            Election::Quorum => "quorum",
        }
    }

    pub(super) fn parse(value: &Value) -> Option<Election> {
        let name = value.as_str()?;
        [Election::LowestId, Election::Quorum]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// How many durable copies a chunk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One.
    Shared,
    /// As many as the factor says.
    Replicated,
}

impl Mode {
    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Shared => "shared",
            Mode::Replicated => "replicated",
        }
    }

    pub(super) fn parse(value: &Value) -> Option<Mode> {
        let name = value.as_str()?;
        [Mode::Shared, Mode::Replicated]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }
}

/// What S3 requests without a signature may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Nothing, if there is an access key; else programs of this machine may do everything.
    Off,
    /// Read.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

impl Anonymous {
    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Anonymous::Off => "off",
            Anonymous::ReadOnly => "read-only",
            Anonymous::ReadWrite => "read-write",
        }
    }

    pub(super) fn parse(value: &Value) -> Option<Anonymous> {
        let name = value.as_str()?;
        [Anonymous::Off, Anonymous::ReadOnly, Anonymous::ReadWrite]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// How nodes find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// By the list of peers alone.
    None,
    /// By beacons to this multicast group.
    Multicast(SocketAddrV4),
}

impl Discovery {
    pub(super) fn parse(value: &Value) -> Option<Discovery> {
        match value.as_str()? {
            "none" => Some(Discovery::None),
            other => {
                let group: SocketAddrV4 = other.strip_prefix("udp://")?.parse().ok()?;
                let good = Ipv4Addr::is_multicast(group.ip()) && group.port() != 0;
                good.then_some(Discovery::Multicast(group))
            }
        }
    }
}

/// A node's address, by name or number; resolved when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(String);

impl Peer {
    /// `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(value: &Value) -> Option<Peer> {
        let text = value.as_str()?;
        let (host, port) = text.rsplit_once(':')?;
        let good = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0);
        good.then(|| Peer(text.to_owned()))
    }
}

/// A text that no log line, message or `Debug` may show. Its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret that does not come from a configuration.
    pub(crate) fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(value: &Value) -> Option<Secret> {
        text(value).map(Secret::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

pub(super) fn peers(value: &Value) -> Option<Vec<Peer>> {
    value.as_array()?.iter().map(Peer::parse).collect()
}

pub(super) fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

pub(super) fn address(value: &Value) -> Option<SocketAddr> {
    listening(value).filter(|address| address.port() != 0)
}

/// Port 0 is whichever is free.
pub(super) fn listening(value: &Value) -> Option<SocketAddr> {
    value.as_str()?.parse().ok()
}

pub(super) fn path(value: &Value) -> Option<PathBuf> {
    value
        .as_str()
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Names of hosts, which no port follows, in lower case.
pub(super) fn domains(value: &Value) -> Option<Vec<String>> {
    let domain = |value: &Value| {
        let name = value.as_str()?.to_ascii_lowercase();
        let is_label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // The last part of a name is no number, else it would be an address.
        let good = name.len() <= 253
            && name.split('.').all(is_label)
            && !name
                .split('.')
                .next_back()?
                .bytes()
                .all(|byte| byte.is_ascii_digit());
        good.then_some(name)
    };
    value.as_array()?.iter().map(domain).collect()
}

/// `user:group` as numbers.
pub(super) fn owner(value: &Value) -> Option<(u32, u32)> {
    let (user, group) = value.as_str()?.split_once(':')?;
    Some((user.parse().ok()?, group.parse().ok()?))
}

pub(super) fn level(value: &Value) -> Option<tracing::Level> {
    let name = value.as_str()?;
    ["error", "warn", "info", "debug", "trace"]
        .contains(&name)
        .then(|| name.parse().ok())?
}

/// A whole number within `range`.
pub(super) fn number(range: std::ops::RangeInclusive<u64>) -> impl Fn(&Value) -> Option<u64> {
    move |value| {
        value
            .as_integer()?
            .try_into()
            .ok()
            .filter(|number| range.contains(number))
    }
}

pub(super) fn millis(range: std::ops::RangeInclusive<u64>) -> impl Fn(&Value) -> Option<Duration> {
    move |value| number(range.clone())(value).map(Duration::from_millis)
}

pub(super) fn seconds(range: std::ops::RangeInclusive<u64>) -> impl Fn(&Value) -> Option<Duration> {
    move |value| number(range.clone())(value).map(Duration::from_secs)
}
