//! Tickets for the chunks that a member may read, and proofs for those that it put.

use wolfdisk_common::ids::{ChunkId, Incarnation, NodeNumber, PutEpoch};
use wolfdisk_common::member::{MemberKind, Restrictions};
use wolfdisk_common::ticket::{Put, Span};
use wolfdisk_meta::index;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::piece::Source;
use wolfdisk_proto::v1::{self, write_piece};

use super::{Asker, World, file, only, principal};

const NODE: NodeNumber = NodeNumber(1);
const LIFE: Incarnation = Incarnation(1);
const CHUNK: [u8; 32] = [5; 32];

/// A chunk store is there.
fn world() -> World {
    let world = World::new();
    let (node, incarnation) = (NODE, LIFE);
    let up = index::op::Op::NodeUp { node, incarnation };
    let up = world.service.propose(up, false).expect("queued");
    assert!(world.run(up.applied()).is_some());
    world
}

/// Bytes 16 to 116 of a chunk of 200, at the beginning of a file.
fn write(ino: u64, proof: &[u8]) -> Op {
    let receipt = v1::Receipt {
        node: NODE.0,
        incarnation: LIFE.0,
        epoch: 9,
        proof: bytes::Bytes::copy_from_slice(proof),
    };
    let place = v1::ChunkPlace {
        id: CHUNK.to_vec().into(),
        chunk_length: 200,
        offset: 16,
        receipts: vec![receipt],
    };
    let piece = v1::WritePiece {
        offset: 0,
        length: 100,
        source: Some(write_piece::Source::Chunk(place)),
    };
    Op::Write(v1::Write {
        ino,
        pieces: vec![piece],
        ..Default::default()
    })
}

fn ticket(map: &v1::MapReply) -> Vec<u8> {
    let piece = map.pieces.first().expect("a piece");
    match piece.source.as_ref().expect("a source") {
        Source::Chunk(span) => span.ticket.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn tickets_of(world: &World, who: &Asker, ino: u64) -> [Vec<u8>; 2] {
    let opened = world
        .open(who, ino, false)
        .expect("opened")
        .map
        .expect("a map");
    let mapped = world.map(who, ino).expect("mapped");
    [ticket(&opened), ticket(&mapped)]
}

#[test]
fn a_map_lets_the_member_that_asked_read_those_ranges_and_nobody_else() {
    let world = world();
    let local = world.local();
    let ino = world.make(&local, file(1, "f", 0o644, 1000));
    assert_eq!(world.errno(&local, write(ino, &[])), 0);
    let node = principal(3, MemberKind::Node, Restrictions::default());
    let node = world.try_open(Some(node)).expect("a session");
    for trusted in [&local, &node] {
        let none: [Vec<u8>; 2] = Default::default();
        assert_eq!(tickets_of(&world, trusted, ino), none, "they need none");
    }
    let tickets = world.node.tickets();
    let span = Span {
        id: ChunkId(CHUNK),
        offset: 16,
        length: 100,
    };
    for member in [
        world.client(7, Restrictions::default()),
        world.client(8, only(1)),
    ] {
        let number = member.principal.as_ref().expect("a member").member;
        for ticket in tickets_of(&world, &member, ino) {
            assert!(tickets.may_read(number, &span, &ticket));
            assert!(!tickets.may_read(number + 1, &span, &ticket));
            let whole = Span {
                offset: 0,
                length: 200,
                ..span
            };
            assert!(!tickets.may_read(number, &whole, &ticket));
        }
    }
}

#[test]
fn a_member_names_only_chunks_that_it_put_itself() {
    let world = world();
    let member = world.client(7, Restrictions::default());
    let ino = world.make(&member, file(1, "f", 0o644, 1000));
    let tickets = world.node.tickets();
    let put = Put {
        id: ChunkId(CHUNK),
        node: NODE,
        incarnation: LIFE,
        epoch: PutEpoch(9),
    };
    let later = Put {
        epoch: PutEpoch(10),
        ..put
    };
    let read = Span {
        id: ChunkId(CHUNK),
        offset: 16,
        length: 100,
    };
    let forged: [&[u8]; 5] = [
        &[],
        &[0; 16],
        &tickets.put(8, &put),
        &tickets.put(7, &later),
        &tickets.read(7, &read),
    ];
    for proof in forged {
        let reply = world.mutate(&member, write(ino, proof));
        assert!(reply.retry_put && reply.errno == 0, "{reply:?}");
        assert_eq!(world.attr(&member, ino).expect("attributes").size, 0);
    }
    let reply = world.mutate(&member, write(ino, &tickets.put(7, &put)));
    assert!(!reply.retry_put && reply.errno == 0, "{reply:?}");
    assert_eq!(world.attr(&member, ino).expect("attributes").size, 100);
}
