//! What machines say to find each other, and what they keep of it.

use uuid::Uuid;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_discovery::beacon::{About, Beacon, BeaconKey, Presence, Question};
use wolfdisk_discovery::seen::{Place, Seen};

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

#[test]
fn beacons_are_read_or_refused() {
    fuzz(&Target {
        name: "beacon",
        seeds: beacons,
        reseal: |datagram| {
            // Else hardly any is as long as it says.
            let length = datagram.len() as u16;
            if let Some(place) = datagram.get_mut(6..8) {
                place.copy_from_slice(&length.to_le_bytes());
            }
        },
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: |datagram| match Beacon::decode(datagram) {
            Ok(beacon) => {
                let again = match &beacon {
                    Beacon::Question(question) => question.encode(),
                    Beacon::Presence(presence) => presence.encode(&key()),
                };
                assert_eq!(Beacon::decode(&again), Ok(beacon));
                true
            }
            Err(_) => false,
        },
    });
}

#[test]
fn seen_nodes_are_read_or_refused() {
    fuzz(&Target {
        name: "seen",
        seeds: seen,
        reseal: |_| {},
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: |bytes| {
            let text = std::str::from_utf8(bytes).ok();
            let Some(seen) = text.and_then(Seen::decode) else {
                return false;
            };
            assert_eq!(Seen::decode(&seen.encode()), Some(seen));
            true
        },
    });
}

fn key() -> BeaconKey {
    BeaconKey::from_bytes([7; 32])
}

fn beacons() -> Vec<Vec<u8>> {
    let cluster = Uuid::from_bytes([5; 16]);
    let question = Question { cluster, nonce: 11 };
    let presence = Presence {
        cluster,
        node: NodeId::parse("alpha").expect("an id"),
        start: 77,
        counter: 3,
        answers: None,
        about: About {
            incarnation: 4,
            wall_ms: 1_760_000_000_000,
            version: 99,
            protocol: 1,
            listens: "10.1.2.3".parse().expect("an address"),
            meta_port: 9500,
            chunk_port: 9502,
            role: "auto".to_owned(),
            state: "leader".to_owned(),
            release: "0.1.0".to_owned(),
        },
    };
    let answer = Presence {
        answers: Some(11),
        ..presence.clone()
    };
    vec![
        question.encode(),
        presence.encode(&key()),
        answer.encode(&key()),
    ]
}

fn seen() -> Vec<Vec<u8>> {
    let mut seen = Seen::default();
    let empty = seen.encode();
    for (number, address) in ["10.0.0.1:9500", "[fe80::1%3]:9500"].iter().enumerate() {
        seen.note(Place {
            cluster: Uuid::from_bytes([number as u8; 16]),
            address: address.parse().expect("an address"),
            at_s: 1_760_000_000,
        });
    }
    vec![empty.into_bytes(), seen.encode().into_bytes()]
}
