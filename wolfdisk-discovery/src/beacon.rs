//! What nodes tell everybody on their networks, and what they are asked there **\[format\]**: one datagram each.
//!
//! A beacon is in clear, and signed with a key made of the cluster's. It grants nothing: who reads it knows where to
//! connect to, and the connection proves the rest.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use wolfdisk_common::cluster_key::{ClusterKey, DERIVED_BYTES};
use wolfdisk_common::node_id::NodeId;
use zeroize::Zeroizing;

use crate::limits::BEACON_MAX_BYTES;

const MAGIC: [u8; 4] = *b"WDBC";
const VERSION: u8 = 1;
const ANNOUNCEMENT: u8 = 1;
const QUESTION: u8 = 2;
const ANSWER: u8 = 3;
const TAG_BYTES: usize = 16;
/// Longest role or state.
const WORD_MAX_BYTES: usize = 16;
/// Longest release.
const RELEASE_MAX_BYTES: usize = 32;

/// A datagram of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beacon {
    /// Who is there?
    Question(Question),
    /// I am.
    Presence(Presence),
}

/// Asks nodes to say that they are there. Anybody may ask; it is as long as the longest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose nodes; nil: all.
    pub cluster: Uuid,
    /// The answers repeat it.
    pub nonce: u64,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Its cluster.
    pub cluster: Uuid,
    /// Its name.
    pub node: NodeId,
    /// Drawn at its start: two with one name differ in it.
    pub start: u64,
    /// Of each datagram since its start.
    pub counter: u64,
    /// The question that this answers; none: nobody asked.
    pub answers: Option<u64>,
    /// What it says besides.
    pub about: About,
}

/// The part of a [`Presence`] that is for people and for whoever connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its life: greater at each start.
    pub incarnation: u64,
    /// Its wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// How far its index is.
    pub version: u64,
    /// The protocol that it speaks.
    pub protocol: u32,
    /// Where its daemons listen: everywhere in one family (`0.0.0.0`) or both (`::`), or at one address.
    pub listens: IpAddr,
    /// TCP port of wolfdisk-meta.
    pub meta_port: u16,
    /// TCP port of wolfdisk-chunkd.
    pub chunk_port: u16,
    /// What it may become.
    pub role: String,
    /// What it is at present.
    pub state: String,
    /// Its release.
    pub release: String,
}

impl Default for About {
    fn default() -> About {
        About {
            incarnation: 0,
            wall_ms: 0,
            version: 0,
            protocol: 0,
            listens: Ipv4Addr::UNSPECIFIED.into(),
            meta_port: 0,
            chunk_port: 0,
            role: String::new(),
            state: String::new(),
            release: String::new(),
        }
    }
}

/// Why a datagram is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeaconError {
    /// Another release made it.
    #[error("its version {0} is not known")]
    Version(u8),
    /// It is none, or damaged.
    #[error("it is no beacon")]
    Malformed,
}

/// The key by which beacons are signed. `Debug` does not show it.
#[derive(Clone)]
pub struct BeaconKey(Zeroizing<[u8; DERIVED_BYTES]>);

impl std::fmt::Debug for BeaconKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeaconKey(..)")
    }
}

impl BeaconKey {
    /// That of a cluster.
    pub fn of(key: &ClusterKey) -> BeaconKey {
        BeaconKey(key.derive("wolfdisk beacon v1"))
    }

    /// A key of these bytes, for tests.
    pub fn from_bytes(bytes: [u8; DERIVED_BYTES]) -> BeaconKey {
        BeaconKey(Zeroizing::new(bytes))
    }

    fn over(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.0) else {
            unreachable!("HMAC takes keys of any length")
        };
        mac.update(bytes);
        mac
    }

    /// Whether a datagram was signed with it.
    pub fn signed(&self, datagram: &[u8]) -> bool {
        let Some((bytes, tag)) = datagram.split_last_chunk::<TAG_BYTES>() else {
            return false;
        };
        self.over(bytes).verify_truncated_left(tag).is_ok()
    }
}

impl Beacon {
    /// Reads a datagram. Whether it was signed by whom one trusts is [`BeaconKey::signed`]'s to say.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(datagram: &[u8]) -> Result<Beacon, BeaconError> {
        let mut reader = Reader(datagram);
        if reader.array().ok_or(BeaconError::Malformed)? != MAGIC {
            return Err(BeaconError::Malformed);
        }
        match reader.byte().ok_or(BeaconError::Malformed)? {
            VERSION => {}
            other => return Err(BeaconError::Version(other)),
        }
        let read = if datagram.len() <= BEACON_MAX_BYTES {
            Beacon::read(reader, datagram.len())
        } else {
            None
        };
        read.ok_or(BeaconError::Malformed)
    }

    fn read(mut reader: Reader<'_>, length: usize) -> Option<Beacon> {
        let kind = reader.byte()?;
        if usize::from(reader.u16()?) != length {
            return None;
        }
        let cluster = Uuid::from_bytes(reader.array()?);
        let nonce = reader.u64()?;
        let answers = match kind {
            QUESTION => {
                let padded = length == BEACON_MAX_BYTES && reader.0.iter().all(|byte| *byte == 0);
                return padded.then_some(Beacon::Question(Question { cluster, nonce }));
            }
            ANNOUNCEMENT if nonce == 0 => None,
            ANSWER => Some(nonce),
            _ => return None,
        };
        let (fields, _tag) = reader.0.split_last_chunk::<TAG_BYTES>()?;
        Presence::read(Reader(fields), cluster, answers).map(Beacon::Presence)
    }
}

impl Question {
    /// As a datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = head(QUESTION, self.cluster, self.nonce);
        out.resize(BEACON_MAX_BYTES, 0);
        with_length(out)
    }
}

impl Presence {
    /// As a signed datagram. Role, state and release are cut to what there is room for.
    pub fn encode(&self, key: &BeaconKey) -> Vec<u8> {
        let kind = match self.answers {
            Some(_) => ANSWER,
            None => ANNOUNCEMENT,
        };
        let about = &self.about;
        let mut out = head(kind, self.cluster, self.answers.unwrap_or_default());
        for number in [
            self.start,
            self.counter,
            about.incarnation,
            about.wall_ms,
            about.version,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&about.protocol.to_le_bytes());
        let listens = match about.listens {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        out.extend_from_slice(&listens.octets());
        out.extend_from_slice(&about.meta_port.to_le_bytes());
        out.extend_from_slice(&about.chunk_port.to_le_bytes());
        // A node id has its own bound.
        put_text(&mut out, &self.node.to_string(), usize::from(u8::MAX));
        put_text(&mut out, &about.role, WORD_MAX_BYTES);
        put_text(&mut out, &about.state, WORD_MAX_BYTES);
        put_text(&mut out, &about.release, RELEASE_MAX_BYTES);
        out.extend_from_slice(&[0; TAG_BYTES]);
        let mut out = with_length(out);
        out.truncate(out.len() - TAG_BYTES);
        let tag = key.over(&out).finalize().into_bytes();
        out.extend(tag.iter().take(TAG_BYTES));
        out
    }

    fn read(mut reader: Reader<'_>, cluster: Uuid, answers: Option<u64>) -> Option<Presence> {
        let (start, counter) = (reader.u64()?, reader.u64()?);
        let (incarnation, wall_ms, version) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let protocol = u32::from_le_bytes(reader.array()?);
        let listens = IpAddr::V6(Ipv6Addr::from(reader.array()?)).to_canonical();
        let (meta_port, chunk_port) = (reader.u16()?, reader.u16()?);
        let node = NodeId::parse(reader.text(usize::from(u8::MAX))?).ok()?;
        let role = reader.text(WORD_MAX_BYTES)?.to_owned();
        let state = reader.text(WORD_MAX_BYTES)?.to_owned();
        let release = reader.text(RELEASE_MAX_BYTES)?.to_owned();
        // What follows is of a later release, which says no less than this one.
        Some(Presence {
            cluster,
            node,
            start,
            counter,
            answers,
            about: About {
                incarnation,
                wall_ms,
                version,
                protocol,
                listens,
                meta_port,
                chunk_port,
                role,
                state,
                release,
            },
        })
    }
}

/// Where the length stands.
const LENGTH_AT: std::ops::Range<usize> = 6..8;

fn head(kind: u8, cluster: Uuid, nonce: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(BEACON_MAX_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind, 0, 0]);
    out.extend_from_slice(cluster.as_bytes());
    out.extend_from_slice(&nonce.to_le_bytes());
    out
}

fn with_length(mut out: Vec<u8>) -> Vec<u8> {
    let length = out.len() as u16;
    if let Some(place) = out.get_mut(LENGTH_AT) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    out
}

/// What may be shown on a terminal.
fn shown(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

fn put_text(out: &mut Vec<u8>, text: &str, max: usize) {
    let fitting = text.bytes().filter(|byte| shown(*byte)).take(max);
    let at = out.len();
    out.push(0);
    out.extend(fitting);
    let length = out.len() - at - 1;
    if let Some(place) = out.get_mut(at) {
        *place = length as u8;
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, max: usize) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let good = length <= max && taken.iter().all(|byte| shown(*byte));
        good.then(|| std::str::from_utf8(taken).ok()).flatten()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn key() -> BeaconKey {
        BeaconKey::from_bytes([3; DERIVED_BYTES])
    }

    pub(crate) fn presence(node: &str, start: u64, counter: u64) -> Presence {
        Presence {
            cluster: Uuid::from_bytes([1; 16]),
            node: NodeId::parse(node).expect("an id"),
            start,
            counter,
            answers: None,
            about: About {
                incarnation: 1,
                wall_ms: 1_800_000_000_000,
                version: 77,
                protocol: wolfdisk_proto::PROTOCOL_VERSION,
                listens: Ipv4Addr::UNSPECIFIED.into(),
                meta_port: 9500,
                chunk_port: 9502,
                role: "auto".to_owned(),
                state: "leader".to_owned(),
                release: "0.1.0".to_owned(),
            },
        }
    }

    #[test]
    fn no_answer_is_longer_than_its_question() {
        let longest = Presence {
            node: NodeId::parse(&"n".repeat(63)).expect("an id"),
            answers: Some(u64::MAX),
            about: About {
                role: "r".repeat(99),
                state: "s".repeat(99),
                release: "v".repeat(99),
                ..About::default()
            },
            ..presence("a", 1, 1)
        };
        let question = Question {
            cluster: Uuid::nil(),
            nonce: 9,
        };
        let (asked, answer) = (question.encode(), longest.encode(&key()));
        assert!(answer.len() <= asked.len());
        assert_eq!(Beacon::decode(&asked), Ok(Beacon::Question(question)));
        let Ok(Beacon::Presence(read)) = Beacon::decode(&answer) else {
            panic!("no beacon");
        };
        assert_eq!(read.about.role, "r".repeat(WORD_MAX_BYTES));
        // Some bytes are left for what later releases say.
        assert!(answer.len() + 8 <= BEACON_MAX_BYTES, "{}", answer.len());
    }

    #[test]
    fn a_part_of_a_beacon_is_none_and_a_changed_one_is_not_signed() {
        let whole = presence("alpha", 5, 6).encode(&key());
        assert!(key().signed(&whole));
        assert!(!BeaconKey::from_bytes([4; DERIVED_BYTES]).signed(&whole));
        for length in 0..whole.len() {
            assert!(Beacon::decode(&whole[..length]).is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(!key().signed(&changed), "byte {at}");
        }
        let question = Question {
            cluster: Uuid::nil(),
            nonce: 9,
        };
        assert!(Beacon::decode(&question.encode()[..100]).is_err());
    }

    #[test]
    fn a_later_release_may_say_more() {
        let whole = presence("alpha", 5, 6);
        let bytes = whole.encode(&key());
        let mut more = bytes[..bytes.len() - TAG_BYTES].to_vec();
        more.extend_from_slice(b"more");
        more.extend_from_slice(&[0; TAG_BYTES]);
        let more = with_length(more);
        assert_eq!(Beacon::decode(&more), Ok(Beacon::Presence(whole)));
        let mut later = bytes;
        later[4] = 2;
        assert_eq!(Beacon::decode(&later), Err(BeaconError::Version(2)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            node in "[a-z0-9-]{1,63}", role in "[ -~]{0,16}", release in "[ -~]{0,32}",
            numbers in any::<(u64, u64, u64, u64, u64)>(), ports in any::<(u16, u16, u32)>(),
            answers in any::<Option<u64>>(), cluster in any::<[u8; 16]>(), listens in any::<IpAddr>(),
        ) {
            let presence = Presence {
                cluster: Uuid::from_bytes(cluster),
                node: NodeId::parse(&node).expect("an id"),
                start: numbers.0,
                counter: numbers.1,
                answers,
                about: About {
                    incarnation: numbers.2,
                    wall_ms: numbers.3,
                    version: numbers.4,
                    protocol: ports.2,
                    listens: listens.to_canonical(),
                    meta_port: ports.0,
                    chunk_port: ports.1,
                    role: role.clone(),
                    state: role,
                    release,
                },
            };
            let bytes = presence.encode(&key());
            prop_assert!(key().signed(&bytes));
            prop_assert_eq!(Beacon::decode(&bytes), Ok(Beacon::Presence(presence)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut ours = MAGIC.to_vec();
            ours.push(VERSION);
            ours.extend_from_slice(&bytes);
            for datagram in [bytes, ours.clone(), with_length(ours)] {
                if let Ok(Beacon::Presence(presence)) = Beacon::decode(&datagram) {
                    let again = Beacon::decode(&presence.encode(&key()));
                    prop_assert_eq!(again, Ok(Beacon::Presence(presence)));
                }
            }
        }
    }
}
