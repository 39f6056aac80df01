//! Chunks on another machine: what is served is what the index named, what is kept is bounded, and nothing is asked for
//! twice without need.

use std::sync::Arc;

use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::limits::LEAF_SIZE_BYTES;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::{ChunkClient, ChunkSpan, MapRequest, Piece, piece};

use super::fake::{CHUNK, Fake, content, open};
use super::fake_far::{self, Far};
use crate::chunks::remote::Remote;
use crate::transport::Transport;
use crate::{Error, HandleId, Volume};

const FILE: u64 = 5;
const MIB: usize = 1 << 20;
const MAP: u8 = 7;

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ (at >> 16) as u8)
        .collect()
}

/// A file of chunks of `chunk` bytes.
fn fake(chunk: usize, length: usize) -> Fake {
    let fake = Fake::new();
    fake.with(|world| world.far = Some(Far::new(chunk)));
    fake.change(FILE, &bytes(length));
    fake
}

fn far<R>(fake: &Fake, look: impl FnOnce(&mut Far) -> R) -> R {
    fake.with(|world| look(world.far.as_mut().expect("far away")))
}

fn read(volume: &Volume, handle: HandleId, offset: usize, length: usize) -> Vec<u8> {
    let data = volume.read(handle, offset as u64, length).expect("read");
    let mut bytes = Vec::new();
    data.for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[test]
fn a_file_is_read_in_order_and_each_range_once() {
    let length = 6 * MIB + 12_345;
    let fake = fake(4 * MIB, length);
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    let expected = bytes(length);
    for at in (0..length).step_by(300_000) {
        let part = read(&volume, handle, at, 300_000);
        assert!(part == expected[at..length.min(at + 300_000)], "at {at}");
    }
    let mut asked: Vec<(u32, u32)> = far(&fake, |far| {
        let range = |read: &wolfdisk_proto::v1::ReadRequest| (read.offset, read.length);
        far.reads.iter().map(range).collect()
    });
    asked.sort_unstable();
    let mib = MIB as u32;
    // Four ranges of the first chunk, two and the rest of the second.
    let mut wanted: Vec<(u32, u32)> = [0, 1, 2, 3, 0, 1].map(|at| (at * mib, mib)).to_vec();
    wanted.push((2 * mib, 12_345));
    wanted.sort_unstable();
    assert_eq!(asked, wanted);
    // All of it is kept.
    assert!(read(&volume, handle, 0, length) == expected);
    assert_eq!(far(&fake, |far| far.reads.len()), 7);
}

#[test]
fn the_further_one_reads_the_more_is_read_ahead() {
    let fake = fake(MIB, 8 * MIB);
    let volume = fake.volume_that(|config| config.data_cache_bytes = 64 * MIB);
    let handle = open(&volume, FILE);
    for (at, fetched) in [(0, 2), (MIB, 4), (2 * MIB, 6)] {
        read(&volume, handle, at, MIB);
        fake.wait("read ahead", |world| {
            let far = world.far.as_ref().expect("far away");
            far.reads.len() == fetched
        });
    }
    let mut asked = far(&fake, |far| far.reads.clone());
    asked.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    asked.dedup_by(|one, other| one.id == other.id);
    assert_eq!(asked.len(), 6, "each once");
}

#[test]
fn what_is_read_ahead_comes_in_the_order_of_the_file() {
    let fake = fake(MIB, 8 * MIB);
    let all = MapRequest {
        ino: FILE,
        ..MapRequest::default()
    };
    let map = fake.with(|world| fake_far::map(world, &all));
    let calls = ChunkClient(fake.chunk());
    let remote = Remote::new(calls, Arc::default(), 64 * MIB);
    remote.tickets().learn_map(&map);
    let spans: Vec<_> = map.pieces.iter().filter_map(span).collect();
    let id = |span: &ChunkSpan| ChunkId::from_slice(&span.id).expect("an id");
    assert!(
        spans
            .iter()
            .all(|span| remote.read_ahead(id(span), 0, span.chunk_length))
    );
    std::thread::scope(|scope| {
        scope.spawn(|| remote.serve_ahead());
        fake.wait("all of it", |world| {
            world.far.as_ref().is_some_and(|far| far.reads.len() == 8)
        });
        remote.stop();
    });
    let asked = far(&fake, |far| far.reads.clone());
    let asked: Vec<_> = asked.into_iter().map(|read| read.id).collect();
    let wanted: Vec<_> = spans.iter().map(|span| span.id.clone()).collect();
    assert_eq!(asked, wanted);
}

fn span(piece: &Piece) -> Option<ChunkSpan> {
    match &piece.source {
        Some(piece::Source::Chunk(span)) => Some(span.clone()),
        _ => None,
    }
}

#[test]
fn who_jumps_about_gets_leaves() {
    let fake = fake(4 * MIB, 16 * MIB);
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    let expected = bytes(16 * MIB);
    for at in [9 * MIB + 5, 9 * MIB + 300_000, 15 * MIB + 70_000] {
        assert!(read(&volume, handle, at, 100) == expected[at..at + 100]);
    }
    let lengths: Vec<u32> = far(&fake, |far| {
        far.reads.iter().map(|read| read.length).collect()
    });
    assert_eq!(lengths, [LEAF_SIZE_BYTES as u32; 3]);
    let counted = || {
        let counters = volume.counters();
        (counters["range_hits"], counters["range_misses"])
    };
    assert_eq!(counted(), (0, 3));
    read(&volume, handle, 9 * MIB + 50, 100);
    assert_eq!(counted(), (1, 3), "kept");
}

#[test]
fn wrong_bytes_are_never_served() {
    for chunk in [MIB, LEAF_SIZE_BYTES] {
        let fake = fake(chunk, chunk);
        let volume = fake.volume();
        let handle = open(&volume, FILE);
        far(&fake, |far| far.lies = 1);
        assert!(read(&volume, handle, 0, 4096) == bytes(4096), "once more");
        assert_eq!(volume.counters()["damaged_blocks"], 1);
        drop(volume);

        let volume = fake.volume();
        let handle = open(&volume, FILE);
        far(&fake, |far| far.lies = usize::MAX);
        let error = volume.read(handle, 0, 4096).expect_err("lies");
        assert!(matches!(error, Error::Failed(Failure::Corrupt(_))));
        assert_eq!(error.errno(), libc::EIO);
        far(&fake, |far| far.lies = 0);
        assert!(read(&volume, handle, 0, 4096) == bytes(4096), "not kept");
    }
}

#[test]
fn a_ticket_that_is_refused_is_asked_for_once_more() {
    let fake = fake(4 * MIB, 16 * MIB);
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    read(&volume, handle, 0, 10);
    let before = fake.asked(MAP);
    far(&fake, |far| far.tag = 2);
    let at = 12 * MIB;
    assert!(read(&volume, handle, at, 10) == bytes(16 * MIB)[at..at + 10]);
    assert_eq!(fake.asked(MAP), before + 1);
    let last = far(&fake, |far| far.reads.last().cloned()).expect("a read");
    assert_eq!(last.ticket, [2; 16].as_slice());
}

#[test]
fn the_cache_is_bounded() {
    let fake = fake(MIB, 8 * MIB);
    let volume = fake.volume_that(|config| config.data_cache_bytes = 2 * MIB);
    let handle = open(&volume, FILE);
    let expected = bytes(8 * MIB);
    for _ in 0..2 {
        assert!(read(&volume, handle, 0, 8 * MIB) == expected);
    }
    assert!(far(&fake, |far| far.reads.len()) >= 14);
}

#[test]
fn a_ticket_stays_that_of_its_range_when_the_piece_is_split() {
    let fake = fake(4 * MIB, 4 * MIB);
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    read(&volume, handle, 0, 1);
    let at = 3 * MIB + 100;
    let mut expected = bytes(4 * MIB);
    expected[at..at + 10].copy_from_slice(b"0123456789");
    volume
        .write(handle, at as u64, b"0123456789", false)
        .expect("buffered");
    volume.fsync(handle, false).expect("durable");
    let maps = fake.asked(MAP);
    assert!(read(&volume, handle, 3 * MIB, MIB) == expected[3 * MIB..]);
    assert_eq!(fake.asked(MAP), maps);
    let asked = far(&fake, |far| far.reads.clone());
    let last = asked.iter().find(|read| read.offset == 3 * MIB as u32);
    let last = last.expect("the range around it");
    let ticket = (last.ticket_offset, last.ticket_length);
    assert_eq!((last.length, ticket), (MIB as u32, (0, 4 * MIB as u32)));
}

#[test]
fn what_was_put_from_here_is_proven_and_read_back_by_its_own_ticket() {
    let fake = fake(MIB, 0);
    let volume = fake.volume();
    let handle = open(&volume, FILE);
    let expected = bytes(3 * CHUNK);
    // The fake refuses to name a chunk without its proof.
    volume.write(handle, 0, &expected, false).expect("buffered");
    volume.fsync(handle, false).expect("durable");
    assert_eq!(fake.with(|world| world.puts.len()), 3);
    let maps = fake.asked(MAP);
    assert!(content(&volume, handle) == expected);
    assert_eq!(fake.asked(MAP), maps);
    assert_eq!(far(&fake, |far| far.reads.len()), 3);
}
