//! A damaged byte in any file is detected: it is never served, and the rest goes on.

mod support;

use std::path::Path;
use std::sync::Arc;

use support::{Step, World, content, id, options};
use wolfdisk_chunkd::store::{Store, StoreError};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;

const CHUNKS: u8 = 12;

fn filled() -> CrashDisk {
    let mut world = World::new();
    (0..CHUNKS).for_each(|n| world.step(Step::Put(n)).expect("a put"));
    world.step(Step::Flush).expect("flushed");
    world
        .step(Step::Put(CHUNKS))
        .expect("a record that carries the floor");
    world.step(Step::CleanRestart).expect("restarted");
    world.crash_disk
}

fn flip(disk: &CrashDisk, path: &Path, pick: u64) {
    let change = |bytes: &mut Vec<u8>| {
        let bit = (pick % (bytes.len() as u64 * 8)) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
    };
    disk.corrupt(path, change).expect("a file");
}

/// How many chunks are still served; all that are served are right.
fn served(store: &Store) -> usize {
    (0..=CHUNKS)
        .filter(|n| match store.read(&id(*n), 0, content(*n).len() as u32) {
            Ok(bytes) => {
                assert_eq!(bytes, content(*n), "chunk {n} has wrong bytes");
                true
            }
            Err(StoreError::NotFound(_) | StoreError::Damaged(_)) => false,
            Err(error) => panic!("chunk {n}: {error}"),
        })
        .count()
}

#[test]
fn a_flipped_bit_anywhere_costs_at_most_the_chunk_it_is_in() {
    let files = filled().files();
    assert!(files.len() > 4, "segments, epoch and catalog");
    for (path, round) in files
        .iter()
        .flat_map(|path| (0..40u64).map(move |round| (path, round)))
    {
        for without_catalog in [false, true] {
            let disk = filled();
            if without_catalog && path.ends_with("catalog") {
                continue;
            }
            if without_catalog {
                disk.corrupt(Path::new("/data/chunks/catalog"), Vec::clear)
                    .expect("a catalog");
            }
            flip(&disk, path, round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let store = Store::open(options(Arc::new(disk))).expect("it opens");
            let before = usize::from(CHUNKS) + 1;
            let left = served(&store);
            assert!(
                left + 1 >= before,
                "{} chunks are lost with one bit in {path:?}",
                before - left
            );
            if left < before {
                assert!(
                    !store.summary().reasons.is_empty(),
                    "nobody was told: {path:?}"
                );
            }
            // What is damaged can be put again.
            for n in 0..=CHUNKS {
                support::put(&store, &content(n)).expect("a put");
            }
            assert_eq!(served(&store), before);
        }
    }
}

#[test]
fn a_segment_file_that_is_gone_is_told_while_the_store_runs_and_at_the_next_start() {
    let disk = filled();
    let open = || Store::open(options(Arc::new(disk.clone()))).expect("it opens");
    let said = |store: &Store| store.summary().reasons.join("; ");
    let store = open();
    disk.remove(Path::new("/data/chunks/00000001.seg"))
        .expect("removed");
    let reason = said(&store);
    let told = "1 segment files are gone from /data/chunks, 00000001.seg first";
    assert!(reason.contains(told), "{reason}");
    // Whoever had it open still reads it.
    assert_eq!(served(&store), usize::from(CHUNKS) + 1);
    store.close().expect("closed");
    drop(store);

    let store = open();
    let reason = said(&store);
    let told = "1 segment files that the catalog names are not in /data/chunks, 00000001.seg first";
    assert!(reason.contains(told), "{reason}");
    assert!(served(&store) < usize::from(CHUNKS) + 1);
    drop(store);
    // Not closed: it might have been compacted.
    assert_eq!(said(&open()), "");
}

#[test]
fn a_put_of_a_chunk_whose_stored_bytes_are_damaged_stores_it_anew() {
    for (path, pick) in filled()
        .files()
        .iter()
        .flat_map(|path| (0..40u64).map(move |round| (path, round.wrapping_mul(0x9e37_79b9))))
    {
        let disk = filled();
        flip(&disk, path, pick);
        let store = Store::open(options(Arc::new(disk))).expect("it opens");
        // Nothing has read the damage yet: the put itself must notice.
        for n in 0..=CHUNKS {
            support::put(&store, &content(n)).expect("a put");
        }
        assert_eq!(served(&store), usize::from(CHUNKS) + 1, "{path:?}");
    }
}

#[test]
fn a_payload_that_looks_like_a_record_is_none() {
    use wolfdisk_common::ids::SegmentId;
    use wolfdisk_common::segment::{FILE_HEADER_BYTES, Layout, record_lead};

    // The attacker knows where the payload will lie and puts a record for another chunk there.
    let outer = Layout::new(FILE_HEADER_BYTES as u64, 4096, 4096);
    let inner_at = outer.payload_offset.next_multiple_of(8);
    let forged = b"forged bytes";
    let layout = Layout::new(inner_at, forged.len() as u32, 4096);
    let crc = crc32c::crc32c(forged);
    let victim = id(3);
    let mut payload = vec![0; (inner_at - outer.payload_offset) as usize];
    payload.extend(record_lead(SegmentId(1), &layout, 0, victim, &[crc], &[]));
    payload.extend_from_slice(forged);
    payload.resize(4096, 0);

    let disk = CrashDisk::new();
    let store = Store::open(options(Arc::new(disk.clone()))).expect("a store");
    support::put(&store, &payload).expect("a put");
    support::put(&store, &content(4)).expect("a put");
    store.sync_to(store.end()).expect("synced");
    drop(store);
    // The outer record is damaged, so the scan searches.
    let hit = |bytes: &mut Vec<u8>| bytes[FILE_HEADER_BYTES + 50] ^= 1;
    disk.corrupt(Path::new("/data/chunks/00000001.seg"), hit)
        .expect("a segment");
    let store = Store::open(options(Arc::new(disk))).expect("it opens");
    assert_eq!(store.locate(&victim).expect("an answer"), None);
    assert!(store.locate(&id(4)).expect("an answer").is_some());
}

#[test]
fn a_directory_without_its_epoch_file_is_refused() {
    let disk = filled();
    disk.corrupt(Path::new("/data/chunks/epoch"), |bytes| bytes.fill(0))
        .expect("an epoch file");
    let refused = Store::open(options(Arc::new(disk))).err().expect("refused");
    assert!(matches!(refused, StoreError::NoEpoch { .. }), "{refused}");
    assert!(refused.to_string().contains("restore it"), "{refused}");
}

#[test]
fn another_volume_and_a_newer_format_are_refused() {
    let disk = filled();
    let mut foreign = options(Arc::new(disk.clone()));
    foreign.volume = [8; 16];
    assert!(matches!(
        Store::open(foreign).err(),
        Some(StoreError::ForeignVolume { .. })
    ));
    let newer = |bytes: &mut Vec<u8>| {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
    };
    disk.corrupt(Path::new("/data/chunks/00000001.seg"), newer)
        .expect("a segment");
    let refused = Store::open(options(Arc::new(disk))).err().expect("refused");
    assert!(
        matches!(refused, StoreError::NewerFormat { found: 2, .. }),
        "{refused}"
    );
}
