//! The name of a node, as people and the election order it.

use std::fmt;

use crate::limits::NODE_ID_MAX_BYTES;

/// 1 to 63 of `a-z`, `0-9` and `-`: what a host name label holds, so that it fits every place a host
/// name does. Orders by bytes: the lowest id leads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(String);

/// What a node id may be; every message about a bad one says it.
pub const ALLOWED: &str = "1 to 63 of a-z, 0-9 and -";

/// Bytes that are no node id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node id {0:?} is not allowed; allowed: {ALLOWED}")]
pub struct BadNodeId(pub String);

impl NodeId {
    /// Checks and keeps `text`.
    ///
    /// # Errors
    /// Gives the text back if it breaks the rule.
    pub fn parse(text: &str) -> Result<NodeId, BadNodeId> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let length_good = (1..=NODE_ID_MAX_BYTES).contains(&text.len());
        if length_good && text.bytes().all(legal) {
            Ok(NodeId(text.to_owned()))
        } else {
            Err(BadNodeId(text.to_owned()))
        }
    }

    /// The id made from this machine's host name: its first label, in lower case, with `-` for every
    /// byte that an id cannot hold; `node` if nothing is left.
    pub fn of_this_host() -> NodeId {
        let system = nix::sys::utsname::uname();
        NodeId::from_host_name(
            &system
                .map(|names| names.nodename().to_string_lossy().into_owned())
                .unwrap_or_default(),
        )
    }

    fn from_host_name(host: &str) -> NodeId {
        let label = host
            .split('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let fitting: String = label
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .take(NODE_ID_MAX_BYTES)
            .collect();
        NodeId(if fitting.is_empty() {
            "node".to_owned()
        } else {
            fitting
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_kept() {
        for bad in ["", "A", "a.b", "a_b", "ä", &"x".repeat(64)] {
            assert_eq!(NodeId::parse(bad), Err(BadNodeId(bad.to_owned())));
        }
        for good in ["a", "node-1", "0", &"x".repeat(63)] {
            assert_eq!(NodeId::parse(good).expect("an id").as_str(), good);
        }
    }

    #[test]
    fn any_host_name_gives_an_id() {
        for (host, id) in [
            ("Alpha.example.org", "alpha"),
            ("", "node"),
            ("a_b", "a-b"),
            (".x", "node"),
        ] {
            assert_eq!(NodeId::from_host_name(host).as_str(), id);
            assert!(NodeId::parse(id).is_ok());
        }
        assert_eq!(NodeId::from_host_name(&"é".repeat(70)).as_str().len(), 63);
    }
}
