//! The command line of what concerns other machines: `join-token` and `node`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use wolfdisk_common::member::MemberKind;
use wolfdisk_common::node_id::NodeId;

/// `join-token`.
#[derive(Debug, Args)]
pub struct JoinToken {
    /// What the machine becomes: node, client, gateway or witness
    #[arg(long, value_name = "ROLE", default_value = "client", value_parser = role)]
    pub role: MemberKind,
    /// How long the token can be used, as 30m, 1h or 2d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    pub ttl: Duration,
    /// The machine may read and change nothing
    #[arg(long)]
    pub read_only: bool,
    /// The machine sees nothing but this directory of the volume, named from its root
    #[arg(long, value_name = "PATH")]
    pub subdir: Option<PathBuf>,
    /// Root of that machine is nobody here; so it is for clients
    #[arg(long, overrides_with = "no_squash_root")]
    pub squash_root: bool,
    /// Root of that machine is root here
    #[arg(long)]
    pub no_squash_root: bool,
    /// Where that machine reaches a node; give it again for more [default: as the node knows itself]
    #[arg(long = "address", value_name = "HOST:PORT", value_parser = address)]
    pub addresses: Vec<String>,
}

impl JoinToken {
    /// Whether root of that machine is to be nobody.
    pub fn squashes_root(&self) -> bool {
        match (self.squash_root, self.no_squash_root) {
            (true, _) => true,
            (_, true) => false,
            _ => self.role == MemberKind::Client,
        }
    }
}

/// `node`.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// List the members of the cluster
    List,
    /// Shut a member out, at once; it can only join again
    Remove {
        /// Its name or number
        #[arg(value_name = "MEMBER")]
        member: String,
    },
    /// Forget that a member was removed; if it was a node, do so once its copy of the cluster's key is destroyed
    Forget {
        /// Its name or number
        #[arg(value_name = "MEMBER")]
        member: String,
    },
    /// Call a member by another name
    Rename {
        /// Its name or number
        #[arg(value_name = "MEMBER")]
        member: String,
        /// The new name: 1 to 63 of a-z, 0-9 and -
        #[arg(value_name = "NAME", value_parser = name)]
        name: NodeId,
    },
}

/// Where a node is.
pub fn address(text: &str) -> Result<String, &'static str> {
    let wrong = "give a host and a port, as 192.168.1.10:9500 or [fd00::1]:9500";
    let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
    let is_host = !host.is_empty() && !host.contains([',', ' ']);
    let is_bare_v6 = host.contains(':') && !host.starts_with('[');
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    match is_host && !is_bare_v6 && is_port {
        true => Ok(text.to_owned()),
        false => Err(wrong),
    }
}

fn role(text: &str) -> Result<MemberKind, &'static str> {
    MemberKind::parse(text).ok_or("a machine becomes a node, client, gateway or witness")
}

fn name(text: &str) -> Result<NodeId, String> {
    NodeId::parse(text).map_err(|error| error.to_string())
}

fn span(text: &str) -> Result<Duration, &'static str> {
    let wrong = "give a number and s, m, h or d, as 30m, 1h or 2d";
    let unit = text.chars().next_back().ok_or(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong),
    };
    let number = text.strip_suffix(unit).and_then(|text| text.parse().ok());
    let whole = number.and_then(|number: u64| number.checked_mul(seconds));
    match whole {
        Some(whole) if whole > 0 => Ok(Duration::from_secs(whole)),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn token(arguments: &[&str]) -> Result<JoinToken, clap::Error> {
        let all = ["wolfdiskctl", "join-token"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::JoinToken(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn root_of_a_client_is_nobody_unless_somebody_says_so() {
        let squashes = |arguments: &[&str]| token(arguments).expect("parsed").squashes_root();
        assert!(squashes(&[]));
        assert!(!squashes(&["--no-squash-root"]));
        assert!(!squashes(&["--role", "gateway"]));
        assert!(squashes(&["--role", "gateway", "--squash-root"]));
        assert!(!squashes(&["--role", "node"]));
    }

    #[test]
    fn times_and_addresses_are_checked() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "h", "0h", "1", "1w", "-1h", "99999999999999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        for good in ["alpha:9500", "10.0.0.1:1", "[fd00::1]:9500"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for wrong in [
            "alpha",
            ":9500",
            "alpha:0",
            "alpha:x",
            "fd00::1:9500",
            "a,b:1",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert!(token(&["--role", "boss"]).is_err());
        assert!(token(&["--ttl", "soon"]).is_err());
    }

    #[test]
    fn init_joins_in_one_way_only() {
        let parse = |rest: &[&str]| {
            Cli::try_parse_from(["wolfdiskctl", "init"].iter().chain(rest)).map(|_| ())
        };
        assert!(parse(&["--join", "-"]).is_ok());
        assert!(parse(&["--key-file", "/k", "--id", "beta"]).is_ok());
        assert!(parse(&["--join", "x", "--key-file", "/k"]).is_err());
    }
}
