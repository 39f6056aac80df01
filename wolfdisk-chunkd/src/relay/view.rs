//! Who the other nodes are and which of them leads, as wolfdisk-meta said last. Never changed, only replaced.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::PUBLIC_KEY_BYTES;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::peer::Peer;
use crate::limits;

/// See the module.
#[derive(Default)]
pub(super) struct View {
    /// There are others, whether they are named or not.
    pub(super) among_others: bool,
    /// The leader first, then by number.
    pub(super) peers: Vec<Arc<Peer>>,
    leader: Option<Arc<Peer>>,
}

impl View {
    /// There are others, of whom nothing is known.
    pub(super) fn of_unknown() -> View {
        View {
            among_others: true,
            ..View::default()
        }
    }

    /// What a request says. Nodes that stay keep their connections.
    pub(super) fn parse(
        request: v1::PeersRequest,
        before: &View,
        credentials: &Credentials,
    ) -> Result<View, Failure> {
        let v1::PeersRequest {
            among_others,
            nodes,
            leader,
        } = request;
        if nodes.len() > limits::PEERS_MAX {
            let text = format!("{} nodes, at most {}", nodes.len(), limits::PEERS_MAX);
            return Err(Failure::Invalid(text));
        }
        if !among_others && !nodes.is_empty() {
            return Err(invalid("a node among no others with others"));
        }
        let parsed = nodes.into_iter().map(Named::parse);
        let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
        let numbers: HashSet<u64> = parsed.iter().map(|named| named.number).collect();
        if numbers.len() != parsed.len() {
            return Err(invalid("a node that is listed twice"));
        }
        if leader != 0 && !numbers.contains(&leader) {
            return Err(invalid("a leader that is not listed"));
        }
        let mut peers: Vec<_> = parsed
            .into_iter()
            .map(|named| named.into_peer(before, credentials))
            .collect();
        peers.sort_by_key(|peer| (peer.number != leader, peer.number));
        let leader = peers.first().filter(|peer| peer.number == leader).cloned();
        Ok(View {
            among_others,
            peers,
            leader,
        })
    }

    /// The one that leads; none: this node, or nobody.
    pub(super) fn leader(&self) -> Option<&Arc<Peer>> {
        self.leader.as_ref()
    }

    pub(super) fn leader_name(&self) -> &str {
        self.leader().map_or("", |leader| &leader.name)
    }

    /// Whether the same nodes are named, and the same one leads.
    pub(super) fn same(&self, other: &View) -> bool {
        let numbers = |view: &View| -> Vec<u64> { view.peers.iter().map(|p| p.number).collect() };
        let leader = |view: &View| view.leader().map(|leader| leader.number);
        self.among_others == other.among_others
            && numbers(self) == numbers(other)
            && leader(self) == leader(other)
    }
}

/// A node as it was named.
struct Named {
    number: u64,
    name: String,
    public_key: [u8; PUBLIC_KEY_BYTES],
    addresses: Vec<SocketAddr>,
}

impl Named {
    fn parse(node: v1::PeerNode) -> Result<Named, Failure> {
        let number = node.number;
        let wrong = |what: &str| Failure::Invalid(format!("node {number}: {what}"));
        if number == 0 {
            return Err(wrong("no number"));
        }
        if node.addresses.len() > limits::PEER_ADDRESSES_MAX {
            return Err(wrong("too many addresses"));
        }
        let key = (&*node.public_key).try_into();
        let addresses = node.addresses.iter().map(|text| text.parse());
        let addresses = addresses.collect::<Result<Vec<_>, _>>();
        Ok(Named {
            number,
            name: node.name,
            public_key: key.map_err(|_| wrong("a key that is none"))?,
            addresses: addresses.map_err(|_| wrong("an address that is none"))?,
        })
    }

    fn into_peer(self, before: &View, credentials: &Credentials) -> Arc<Peer> {
        let Named {
            number,
            name,
            public_key,
            addresses,
        } = self;
        let same = |peer: &&Arc<Peer>| peer.is(number, &public_key);
        match before.peers.iter().find(same) {
            Some(peer) => {
                peer.is_at(addresses);
                peer.clone()
            }
            None => Arc::new(Peer::new(number, name, public_key, addresses, credentials)),
        }
    }
}

fn invalid(what: &str) -> Failure {
    Failure::Invalid(what.to_owned())
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::member::{MemberKind, Who};

    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            cluster: None,
            who: Who::Node,
            kind: MemberKind::Node,
            name: "alpha".to_owned(),
            shared_key: [1; 32].into(),
            static_key: [2; 32].into(),
            node_key: None,
            addresses: Vec::new(),
        }
    }

    fn node(number: u64) -> v1::PeerNode {
        v1::PeerNode {
            number,
            name: format!("n{number}"),
            public_key: vec![number as u8; 32].into(),
            addresses: vec!["127.0.0.1:9502".to_owned()],
        }
    }

    fn request(nodes: Vec<v1::PeerNode>, leader: u64) -> v1::PeersRequest {
        v1::PeersRequest {
            among_others: true,
            nodes,
            leader,
        }
    }

    fn parse(request: v1::PeersRequest, before: &View) -> Result<View, Failure> {
        View::parse(request, before, &credentials())
    }

    #[test]
    fn the_leader_is_first_and_who_stays_is_the_same() {
        let none = View::default();
        let view = parse(request(vec![node(5), node(3), node(4)], 4), &none).expect("a view");
        let numbers: Vec<u64> = view.peers.iter().map(|peer| peer.number).collect();
        assert_eq!(numbers, [4, 3, 5]);
        assert_eq!(view.leader_name(), "n4");
        let next = parse(request(vec![node(3), node(4)], 0), &view).expect("a view");
        assert!(next.leader().is_none() && !next.same(&view));
        assert!(
            Arc::ptr_eq(&next.peers[0], &view.peers[1]),
            "it keeps its connections"
        );
        let other_key = v1::PeerNode {
            public_key: vec![9; 32].into(),
            ..node(3)
        };
        let other = parse(request(vec![other_key], 3), &next).expect("a view");
        assert!(
            !Arc::ptr_eq(&other.peers[0], &next.peers[0]),
            "it is another"
        );
        let alone = parse(v1::PeersRequest::default(), &other).expect("a view");
        assert!(!alone.among_others && alone.peers.is_empty());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let bad = [
            request(vec![node(0)], 0),
            request(vec![node(1), node(1)], 0),
            request(vec![node(1)], 2),
            request((1..=limits::PEERS_MAX as u64 + 1).map(node).collect(), 0),
            v1::PeersRequest {
                among_others: false,
                ..request(vec![node(1)], 0)
            },
            request(
                vec![v1::PeerNode {
                    public_key: vec![1; 31].into(),
                    ..node(1)
                }],
                0,
            ),
            request(
                vec![v1::PeerNode {
                    addresses: vec!["alpha:9502".to_owned()],
                    ..node(1)
                }],
                0,
            ),
        ];
        for request in bad {
            let refused = parse(request.clone(), &View::default());
            assert!(matches!(refused, Err(Failure::Invalid(_))), "{request:?}");
        }
    }
}
