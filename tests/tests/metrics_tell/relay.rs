//! What wolfdisk-chunkd tells of other nodes, against what it was told of them and what it answers.

use std::time::Duration;

use bytes::Bytes;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient};
use wolfdisk_tests::{Node, Numbers};

use crate::{chunkd, equal, grown_of, same};

const PUTS: u32 = 3;
const CALL_DEADLINE: Duration = Duration::from_secs(30);

fn event(before: &Numbers, after: &Numbers, event: &str) -> f64 {
    let name = format!("wolfdisk_chunk_relay_events_total{{event=\"{event}\"}}");
    grown_of(before, after, &name)
}

#[test]
fn other_nodes_are_told_as_they_were_named() {
    let node = Node::start();
    let client = ChunkClient(Pool::new(node.data().join("run/chunkd.sock")));
    let options = || Options {
        retry: false,
        ..Options::within(CALL_DEADLINE)
    };
    let tell = |request: v1::PeersRequest| client.peers(&mut options(), &request).expect("told");
    let before = chunkd(&node);
    same(before.of("wolfdisk_chunk_relay_peers"), 0_u32, "peers");
    // Nobody listens there.
    let peer = |number: u64| v1::PeerNode {
        number,
        name: format!("n{number}"),
        public_key: vec![number as u8; 32].into(),
        addresses: vec!["127.0.0.1:1".to_owned()],
    };
    let nodes = vec![peer(7), peer(8)];
    let count = nodes.len() as u32;
    tell(v1::PeersRequest {
        among_others: true,
        nodes,
        leader: 8,
    });
    let put = v1::PutRequest {
        source: Some(v1::put_request::Source::Data(Bytes::from_static(b"abc"))),
        ..Default::default()
    };
    for _ in 0..PUTS {
        let refused = client.put(&mut options(), &put);
        assert!(
            matches!(refused, Err(Failure::Unavailable(_))),
            "{refused:?}"
        );
    }
    let after = chunkd(&node);
    same(after.of("wolfdisk_chunk_relay_peers"), count, "peers");
    same(after.of("wolfdisk_chunk_relay_other_leads"), 1_u32, "leads");
    same(event(&before, &after, "puts_failed"), PUTS, "refused");
    same(event(&before, &after, "unanswered"), PUTS, "not answered");
    same(event(&before, &after, "puts"), 0_u32, "stored");
    same(after.of("wolfdisk_chunk_relay_cache_bytes"), 0_u32, "kept");
    let status = client.status(&mut options(), &v1::Empty {}).expect("told");
    let failed = status.counters["relay_puts_failed"];
    equal(event(&before, &after, "puts_failed"), failed as f64, "both");
    tell(v1::PeersRequest::default());
    let stored = client.put(&mut options(), &put).expect("stored");
    assert_eq!(stored.node, status.node);
    let alone = chunkd(&node);
    same(alone.of("wolfdisk_chunk_relay_peers"), 0_u32, "peers");
    same(alone.of("wolfdisk_chunk_relay_other_leads"), 0_u32, "leads");
}
