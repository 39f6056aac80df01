//! Damage costs exactly the bytes that are damaged: the other blocks of a chunk are served, also after a
//! restart, a put of the same content heals it, and a pass over everything finds what nobody has read.

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use support::{content, id, options, put};
use wolfdisk_chunkd::store::progress::Progress;
use wolfdisk_chunkd::store::{Location, Pass, Store, StoreError};
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::RECORD_HEADER_BYTES;

const BLOCK: usize = 4096;
/// A chunk of 33 blocks, the last of one byte.
const LONG: u8 = 11;

fn open(disk: &CrashDisk) -> Store {
    Store::open(options(Arc::new(disk.clone()))).expect("it opens")
}

/// The chunk that every store has beside those that its test asks for.
const LAST: u8 = 200;

/// A store with these chunks, flushed, and one more whose record says that they were: a start takes what
/// may not have been flushed for torn, and cuts it.
fn filled(disk: &CrashDisk, chunks: impl Iterator<Item = u8>) -> Store {
    let store = open(disk);
    for n in chunks.chain([LAST]) {
        store.sync_to(store.end()).expect("synced");
        put(&store, &content(n)).expect("a put");
    }
    store.sync_to(store.end()).expect("synced");
    store
}

fn place(store: &Store, n: u8) -> Location {
    store
        .locate(&id(n))
        .expect("an answer")
        .expect("it is here")
}

fn file(segment: SegmentId) -> PathBuf {
    support::dir().join(format!("{:08x}.seg", segment.0))
}

/// Flips a bit of a segment.
fn flip(disk: &CrashDisk, segment: SegmentId, at: u64) {
    disk.corrupt(&file(segment), |bytes| bytes[at as usize] ^= 4)
        .expect("a segment");
}

/// Damages these blocks of a chunk.
fn damage(disk: &CrashDisk, store: &Store, n: u8, blocks: &[usize]) {
    let at = place(store, n);
    for block in blocks {
        let byte = at.payload_offset + (block * BLOCK) as u64;
        flip(disk, at.segment, byte);
    }
}

/// Reads a chunk block by block: which ones are refused. All others are right.
fn refused(store: &Store, n: u8) -> Vec<usize> {
    let whole = content(n);
    let blocks = whole.chunks(BLOCK).enumerate();
    blocks
        .filter(|(number, expected)| {
            match store.read(&id(n), (number * BLOCK) as u32, expected.len() as u32) {
                Ok(bytes) => {
                    assert_eq!(&bytes, expected, "block {number}");
                    false
                }
                Err(StoreError::Damaged(_)) => true,
                Err(error) => panic!("block {number}: {error}"),
            }
        })
        .map(|(number, _)| number)
        .collect()
}

/// A whole pass in steps of a few bytes.
fn scrub(store: &Store) -> Pass {
    let mut pass = Pass::default();
    while !store.verify_some(&mut pass, 1).expect("a step") {}
    pass
}

#[test]
fn only_the_damaged_blocks_are_refused_whatever_is_read_first_and_after_a_restart() {
    for first in [0, 5, 6, 20, 32] {
        let disk = CrashDisk::new();
        let store = filled(&disk, 9..=LONG);
        damage(&disk, &store, LONG, &[5, 20]);
        let probe = store.read(&id(LONG), (first * BLOCK) as u32, 1);
        assert_eq!(probe.is_ok(), first != 5 && first != 20);
        assert_eq!(refused(&store, LONG), [5, 20]);
        // A range is refused as soon as one of its blocks is.
        assert!(store.read(&id(LONG), 0, 6 * BLOCK as u32).is_err());
        assert!(store.read(&id(LONG), 0, 5 * BLOCK as u32).is_ok());
        let clean_stop = first == 0;
        if clean_stop {
            store.checkpoint().expect("a checkpoint");
        }
        drop(store);
        assert_eq!(refused(&open(&disk), LONG), [5, 20]);
    }
}

#[test]
fn a_put_of_the_same_content_heals_and_nothing_remembers() {
    for restart in [false, true] {
        let disk = CrashDisk::new();
        let mut store = filled(&disk, 9..=LONG);
        damage(&disk, &store, LONG, &[1, 2]);
        assert_eq!(refused(&store, LONG), [1, 2]);
        assert_eq!(store.damaged(None, 10).0.len(), 1);
        if restart {
            drop(store);
            store = open(&disk);
        }
        let receipt = put(&store, &content(LONG)).expect("a put");
        assert!(!receipt.deduplicated, "damage was taken for a stored copy");
        assert_eq!(refused(&store, LONG), [0; 0]);
        assert!(store.damaged(None, 10).0.is_empty());
        assert!(store.summary().reasons.is_empty());
        assert!(put(&store, &content(LONG)).expect("a put").deduplicated);
        store.sync_to(store.end()).expect("synced");
        drop(store);
        let store = open(&disk);
        assert_eq!(refused(&store, LONG), [0; 0]);
        assert_eq!(scrub(&store).damaged, 0);
    }
}

#[test]
fn a_power_cut_after_healing_costs_no_more_than_the_damage_did() {
    let mut whole = 0;
    for seed in 0..40 {
        let disk = CrashDisk::new();
        let store = filled(&disk, 9..=LONG);
        store.checkpoint().expect("a checkpoint");
        damage(&disk, &store, LONG, &[3]);
        put(&store, &content(LONG)).expect("a put");
        drop(store);
        disk.crash(seed);
        match refused(&open(&disk), LONG).as_slice() {
            [] => whole += 1,
            [3] => {}
            other => panic!("seed {seed}: blocks {other:?} are lost"),
        }
    }
    assert!(whole > 0, "the new record never survived");
}

#[test]
fn a_chunk_is_stored_anew_when_only_what_stands_beside_its_bytes_is_damaged() {
    let disk = CrashDisk::new();
    let store = filled(&disk, 9..=LONG);
    let before = place(&store, LONG);
    let table = before.record_offset + RECORD_HEADER_BYTES as u64 + 2;
    flip(&disk, before.segment, table);
    let pass = scrub(&store);
    assert_eq!((pass.healed, pass.damaged), (1, 0));
    assert_ne!(place(&store, LONG), before);
    assert_eq!(refused(&store, LONG), [0; 0]);

    // The same when a reader comes first.
    let now = place(&store, LONG);
    store.sync_to(store.end()).expect("synced");
    flip(
        &disk,
        now.segment,
        now.record_offset + RECORD_HEADER_BYTES as u64 + 2,
    );
    assert_eq!(refused(&store, LONG), [0; 0]);
    assert_ne!(place(&store, LONG), now);
}

#[test]
fn a_pass_finds_all_damage_and_reads_everything_once() {
    let disk = CrashDisk::new();
    let store = filled(&disk, 0..40);
    let clean = scrub(&store);
    assert_eq!((clean.chunks, clean.damaged, clean.healed), (41, 0, 0));
    let bad = [3u8, 8, 11, 22, 35];
    bad.iter().for_each(|n| damage(&disk, &store, *n, &[0]));
    // A record that says no more what it is.
    let lost = place(&store, 30);
    flip(&disk, lost.segment, lost.record_offset + 20);
    let pass = scrub(&store);
    assert_eq!((pass.chunks, pass.damaged), (40, 6));
    let mut named: Vec<_> = store
        .damaged(None, 100)
        .0
        .iter()
        .map(|damage| damage.id)
        .collect();
    let mut expected: Vec<_> = bad.iter().map(|n| id(*n)).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(store.locate(&id(30)).expect("an answer"), None);
    for n in bad.into_iter().chain([30]) {
        put(&store, &content(n)).expect("a put");
    }
    store.sync_to(store.end()).expect("synced");
    let healed = scrub(&store);
    assert_eq!((healed.chunks, healed.damaged), (41, 0));
}

#[test]
fn what_is_known_of_damage_and_of_scrubbing_outlives_a_restart() {
    let disk = CrashDisk::new();
    let store = filled(&disk, 0..12);
    damage(&disk, &store, LONG, &[7]);
    damage(&disk, &store, 6, &[0]);
    scrub(&store);
    let progress = Progress {
        since_s: 77,
        ..Progress::default()
    };
    store.store_progress(&progress).expect("stored");
    put(&store, &content(6)).expect("a put");
    store.sync_to(store.end()).expect("synced");
    drop(store);
    let store = open(&disk);
    assert_eq!(store.load_progress(), Some(progress));
    // Chunk 6 was healed after that: what is there now is another record.
    let (known, end) = store.damaged(None, 10);
    assert!(end);
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].id, id(LONG));
    assert_eq!(known[0].ranges, vec![7 * 4096..8 * 4096]);
    assert_eq!(store.summary().damaged_chunks, 1);
}

#[test]
fn a_segment_with_damage_is_kept_until_the_damage_is_healed() {
    let disk = CrashDisk::new();
    let store = filled(&disk, 0..24);
    damage(&disk, &store, LONG, &[4]);
    let segment = place(&store, LONG).segment;
    scrub(&store);
    let swept = store.advance_epoch().expect("an epoch");
    let others: Vec<_> = (0..24).filter(|n| *n != LONG).map(id).collect();
    store
        .free(swept, store.incarnation(), &others)
        .expect("freed");
    while store.compact(&|_| ()).expect("compaction").is_some() {}
    assert_eq!(place(&store, LONG).segment, segment);
    assert_eq!(refused(&store, LONG), [4]);
    put(&store, &content(LONG)).expect("a put");
    store.sync_to(store.end()).expect("synced");
    while store.compact(&|_| ()).expect("compaction").is_some() {}
    assert!(
        !disk.files().contains(&file(segment)),
        "it is kept for ever"
    );
    assert_eq!(refused(&store, LONG), [0; 0]);
}
