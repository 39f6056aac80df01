//! Proofs that wolfdisk-meta and wolfdisk-chunkd give remote members for each other to check: tickets to read a range
//! of a chunk, and proofs of a put. To know a chunk's id is no right to its bytes.
//!
//! Both are tags of HMAC-SHA256 (RFC 2104), cut to [`TAG_BYTES`], under a key made of the cluster's, and name the member:
//! to others they are worth nothing. A ticket has no end. What it opens never changes, and the member could have
//! kept it when it had the right to read it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::cluster_key::{ClusterKey, DERIVED_BYTES};
use crate::ids::{ChunkId, Incarnation, NodeNumber, PutEpoch};

/// Bytes of a tag: to guess one takes 2^127 tries over the network.
pub const TAG_BYTES: usize = 16;
/// A tag.
pub type Tag = [u8; TAG_BYTES];

const PURPOSE: &str = "wolfdisk chunk tickets v1";
const READ: u8 = 1;
const PUT: u8 = 2;

/// Makes and checks them. `Debug` does not show the key.
#[derive(Clone)]
pub struct Tickets(Zeroizing<[u8; DERIVED_BYTES]>);

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(..)")
    }
}

/// A range of a chunk that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The chunk.
    pub id: ChunkId,
    /// Where it begins.
    pub offset: u32,
    /// Its bytes.
    pub length: u32,
}

/// What a put of a chunk is proven to have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// The chunk.
    pub id: ChunkId,
    /// Who holds it.
    pub node: NodeNumber,
    /// Its life.
    pub incarnation: Incarnation,
    /// The stamp.
    pub epoch: PutEpoch,
}

impl Tickets {
    /// Those of a cluster.
    pub fn new(key: &ClusterKey) -> Tickets {
        Tickets(key.derive(PURPOSE))
    }

    /// Lets a member read a range.
    pub fn read(&self, member: u64, span: &Span) -> Tag {
        let (offset, length) = (span.offset.to_le_bytes(), span.length.to_le_bytes());
        self.tag(READ, member, &span.id, &[&offset, &length])
    }

    /// Whether a tag lets a member read a range.
    pub fn may_read(&self, member: u64, span: &Span, tag: &[u8]) -> bool {
        self.read(member, span).ct_eq(tag).into()
    }

    /// Tells wolfdisk-meta that a member put a chunk itself.
    pub fn put(&self, member: u64, put: &Put) -> Tag {
        let (node, incarnation) = (put.node.0.to_le_bytes(), put.incarnation.0.to_le_bytes());
        let epoch = put.epoch.0.to_le_bytes();
        self.tag(PUT, member, &put.id, &[&node, &incarnation, &epoch])
    }

    /// Whether a tag shows that a member put a chunk.
    pub fn has_put(&self, member: u64, put: &Put, tag: &[u8]) -> bool {
        self.put(member, put).ct_eq(tag).into()
    }

    fn tag(&self, kind: u8, member: u64, id: &ChunkId, numbers: &[&[u8]]) -> Tag {
        let mut mac = match Hmac::<Sha256>::new_from_slice(&*self.0) {
            Ok(mac) => mac,
            Err(_) => unreachable!("a key for HMAC may have any length"),
        };
        mac.update(&[kind]);
        mac.update(&member.to_le_bytes());
        mac.update(&id.0);
        numbers.iter().for_each(|number| mac.update(number));
        let whole = mac.finalize().into_bytes();
        let mut tag = Tag::default();
        tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::node_id::NodeId;
    use crate::paths::Paths;

    fn tickets() -> Tickets {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(directory.path().join("data"));
        Identity::init(&paths, NodeId::parse("alpha").expect("an id")).expect("initialised");
        Tickets::new(&ClusterKey::load(&paths).expect("a key"))
    }

    #[test]
    fn a_ticket_is_good_for_one_member_and_one_range_of_one_cluster() {
        let tickets = tickets();
        let span = Span {
            id: ChunkId([3; 32]),
            offset: 4096,
            length: 100,
        };
        let tag = tickets.read(7, &span);
        assert!(tickets.may_read(7, &span, &tag));
        assert!(!tickets.may_read(8, &span, &tag));
        let wider = Span {
            length: 101,
            ..span
        };
        assert!(!tickets.may_read(7, &wider, &tag));
        let other = Span {
            id: ChunkId([4; 32]),
            ..span
        };
        assert!(!tickets.may_read(7, &other, &tag));
        assert!(!tickets.may_read(7, &span, &tag[..15]));
        assert!(!tickets.may_read(7, &span, &[]));
        assert!(!self::tickets().may_read(7, &span, &tag));
    }

    #[test]
    fn a_proof_of_a_put_is_no_ticket_and_names_its_stamp() {
        let tickets = tickets();
        let put = Put {
            id: ChunkId([3; 32]),
            node: NodeNumber(1),
            incarnation: Incarnation(2),
            epoch: PutEpoch(3),
        };
        let tag = tickets.put(7, &put);
        assert!(tickets.has_put(7, &put, &tag));
        assert!(!tickets.has_put(8, &put, &tag));
        let later = Put {
            epoch: PutEpoch(4),
            ..put
        };
        assert!(!tickets.has_put(7, &later, &tag));
    }
}
