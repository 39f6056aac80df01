//! The token that lets a machine join a cluster, once: what `join-token` prints.
//!
//! `wdj1_` and then, in base64url (RFC 4648) without padding: the cluster's id (16 bytes), the token's number (u64,
//! little-endian), the kind of member (u8), the key that proves its holder (32 bytes), the public key of who made it (32
//! bytes), addresses of nodes separated by commas, and the first four bytes of the SHA-256 of all before them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::cluster_key::DERIVED_BYTES;
use crate::member::{MemberKind, PUBLIC_KEY_BYTES};

const PREFIX: &str = "wdj1_";
const CHECK_BYTES: usize = 4;
/// What no token exceeds, so that nothing is done with anything longer.
const TEXT_MAX_BYTES: usize = 2048;

/// See the module. `Debug` does not show its key.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Which cluster it is for.
    pub cluster: Uuid,
    /// Its number.
    pub number: u64,
    /// What its holder becomes.
    pub kind: MemberKind,
    /// What its holder proves itself with.
    pub shared_key: Zeroizing<[u8; DERIVED_BYTES]>,
    /// The static key of the node that made it: who joins speaks to no other.
    pub node_key: [u8; PUBLIC_KEY_BYTES],
    /// Where nodes are, as `host:port`; at least one.
    pub addresses: Vec<String>,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("cluster", &self.cluster)
            .field("number", &self.number)
            .field("kind", &self.kind)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as one, or holds what no token does.
    #[error("this is no join token; make one on a member: wolfdiskctl join-token")]
    NoToken,
    /// Its end is missing, or something in it has changed.
    #[error("the join token is incomplete or changed; copy all of it, from wdj1_ to its end")]
    Incomplete,
    /// A newer release made it.
    #[error("the join token is one of a newer release; install that release here first")]
    Newer,
}

impl JoinToken {
    /// What people copy from one machine to the other.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::new());
        bytes.extend_from_slice(self.cluster.as_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.push(self.kind.number());
        bytes.extend_from_slice(&*self.shared_key);
        bytes.extend_from_slice(&self.node_key);
        bytes.extend_from_slice(self.addresses.join(",").as_bytes());
        let check = Sha256::digest(&*bytes);
        bytes.extend(check.iter().take(CHECK_BYTES));
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }

    /// What people copied; white space around it does not count.
    ///
    /// # Errors
    /// It is none, or not all of one.
    pub fn parse(text: &str) -> Result<JoinToken, TokenError> {
        let text = text.trim();
        let Some(digits) = text.strip_prefix(PREFIX) else {
            let newer = text.strip_prefix("wdj").is_some_and(|rest| {
                let version = rest.split('_').next().unwrap_or_default();
                version.parse::<u32>().is_ok_and(|version| version > 1)
            });
            return Err(match newer {
                true => TokenError::Newer,
                false => TokenError::NoToken,
            });
        };
        if text.len() > TEXT_MAX_BYTES {
            return Err(TokenError::NoToken);
        }
        let decoded = URL_SAFE_NO_PAD.decode(digits);
        let bytes = Zeroizing::new(decoded.map_err(|_| TokenError::Incomplete)?);
        let (content, check) = bytes
            .split_last_chunk::<CHECK_BYTES>()
            .ok_or(TokenError::Incomplete)?;
        if !Sha256::digest(content).starts_with(check) {
            return Err(TokenError::Incomplete);
        }
        JoinToken::from_content(content).ok_or(TokenError::NoToken)
    }

    fn from_content(content: &[u8]) -> Option<JoinToken> {
        let (cluster, rest) = content.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let (shared_key, rest) = rest.split_first_chunk::<DERIVED_BYTES>()?;
        let (node_key, rest) = rest.split_first_chunk::<PUBLIC_KEY_BYTES>()?;
        let addresses = std::str::from_utf8(rest).ok()?;
        if addresses.is_empty() || addresses.chars().any(char::is_control) {
            return None;
        }
        Some(JoinToken {
            cluster: Uuid::from_bytes(*cluster),
            number: u64::from_le_bytes(*number),
            kind: MemberKind::from_number(*kind)?,
            shared_key: Zeroizing::new(*shared_key),
            node_key: *node_key,
            addresses: addresses.split(',').map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            cluster: Uuid::from_bytes([7; 16]),
            number: 12,
            kind: MemberKind::Client,
            shared_key: Zeroizing::new([9; DERIVED_BYTES]),
            node_key: [3; PUBLIC_KEY_BYTES],
            addresses: vec!["10.0.0.1:9500".into(), "[fe80::1]:9500".into()],
        }
    }

    #[test]
    fn a_token_survives_a_copy_and_shows_no_key() {
        let text = token().to_text();
        let copied = format!("  {}\n", *text);
        assert_eq!(JoinToken::parse(&copied), Ok(token()));
        assert!(!format!("{:?}", token()).contains("9, 9"));
    }

    #[test]
    fn what_is_cut_changed_or_none_is_told_apart() {
        let text = token().to_text();
        for end in PREFIX.len()..text.len() {
            assert_eq!(
                JoinToken::parse(&text[..end]),
                Err(TokenError::Incomplete),
                "{end}"
            );
        }
        let mut changed = text.to_string();
        let last = changed.pop().expect("a character");
        changed.push(if last == 'A' { 'B' } else { 'A' });
        assert!(JoinToken::parse(&changed).is_err());
        assert_eq!(JoinToken::parse("hello"), Err(TokenError::NoToken));
        assert_eq!(JoinToken::parse(""), Err(TokenError::NoToken));
        assert_eq!(JoinToken::parse("wdj2_abc"), Err(TokenError::Newer));
    }
}
