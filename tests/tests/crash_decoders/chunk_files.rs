//! The files of the chunk store: segments, catalog, epoch, scrub.

use std::path::Path;

use wolfdisk_chunkd::store::catalog::Entry;
use wolfdisk_chunkd::store::checkpoint::{self, Checkpoint, Loaded, SegmentRow};
use wolfdisk_chunkd::store::damage::Damage;
use wolfdisk_chunkd::store::epoch::{self, Epochs};
use wolfdisk_chunkd::store::place::{Place, Position};
use wolfdisk_chunkd::store::progress::{self, Progress, Scrubbed};
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::disk::{Disk, OpenMode};
use wolfdisk_common::hash;
use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::limits::{BLOCK_SIZE_BYTES, LEAF_SIZE_BYTES};
use wolfdisk_common::segment::{
    FILE_HEADER_BYTES, FileHeader, Layout, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader,
    record_lead, tables_bytes,
};

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};
use super::log_files::reseal_end;

const VOLUME: [u8; 16] = [7; 16];
const CATALOG_HEADER_BYTES: usize = 64;
const EPOCH_COPY_AT: usize = 4096;
const EPOCH_BYTES: usize = 64;

#[test]
fn segments_are_read_or_refused() {
    fuzz(&Target {
        name: "segment",
        seeds: segment_seeds,
        reseal: reseal_segment,
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: check_segment,
    });
}

#[test]
fn catalogs_epochs_and_scrub_files_are_read_or_refused() {
    fuzz(&Target {
        name: "store",
        seeds: || vec![catalog(), scrub(), epochs()],
        reseal: reseal_store,
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: check_store,
    });
}

fn seal(bytes: &mut [u8], covered: std::ops::Range<usize>, at: usize) {
    let crc = bytes.get(covered).map(crc32c::crc32c);
    if let (Some(crc), Some(room)) = (crc, bytes.get_mut(at..at + 4)) {
        room.copy_from_slice(&crc.to_le_bytes());
    }
}

fn segment_seeds() -> Vec<Vec<u8>> {
    let file = FileHeader {
        page_size: 4096,
        volume: VOLUME,
        segment: SegmentId(3),
    };
    let record = |length: usize| {
        let payload = vec![0x5a; length];
        let layout = Layout::new(64, length as u32, 4096);
        let crcs: Vec<u32> = payload
            .chunks(BLOCK_SIZE_BYTES)
            .map(crc32c::crc32c)
            .collect();
        let leaves: Vec<_> = payload
            .chunks(LEAF_SIZE_BYTES)
            .map(hash::leaf_hash)
            .collect();
        let id = hash::chunk_id_of_leaves(length, &leaves);
        let mut bytes = record_lead(SegmentId(3), &layout, 99, id, &crcs, &leaves);
        bytes.extend_from_slice(&payload);
        bytes.truncate(EPOCH_COPY_AT);
        bytes
    };
    vec![
        file.to_bytes().to_vec(),
        record(1),
        record(700),
        record(3 * LEAF_SIZE_BYTES - 1),
    ]
}

fn reseal_segment(bytes: &mut [u8]) {
    if !bytes.starts_with(&RECORD_MAGIC) {
        return seal(bytes, 0..FILE_HEADER_BYTES - 4, FILE_HEADER_BYTES - 4);
    }
    let length = bytes.get(32..36).and_then(|field| field.try_into().ok());
    let length = u32::from_le_bytes(length.unwrap_or_default());
    let tables = tables_bytes(length);
    // Half of the lengths that were changed get the tables that they need.
    if bytes.last().is_some_and(|byte| byte % 2 == 0)
        && let Some(room) = bytes.get_mut(36..40)
    {
        room.copy_from_slice(&(tables as u32).to_le_bytes());
    }
    seal(bytes, RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + tables, 80);
    seal(bytes, 0..RECORD_HEADER_BYTES - 4, RECORD_HEADER_BYTES - 4);
}

fn check_segment(bytes: &[u8]) -> bool {
    let file = FileHeader::parse(bytes).ok();
    if let Some(file) = file {
        assert_eq!(FileHeader::parse(&file.to_bytes()), Ok(file));
    }
    let Ok(record) = RecordHeader::parse(bytes) else {
        return file.is_some();
    };
    assert!(record.end() >= record.payload_offset);
    let Ok(tables) = record.tables(bytes) else {
        return true;
    };
    let blocks = (record.length as usize).div_ceil(BLOCK_SIZE_BYTES);
    assert_eq!(
        (0..)
            .take_while(|block| tables.block_crc(*block).is_some())
            .count(),
        blocks
    );
    let payload = bytes.get(record.tables_range().end..).unwrap_or_default();
    let first = payload.chunks(BLOCK_SIZE_BYTES).next().unwrap_or_default();
    if tables.check(0, first).is_ok() {
        assert!(first.is_empty() || tables.block_crc(0) == Some(crc32c::crc32c(first)));
    }
    assert!(
        tables.check(blocks, &[0]).is_err(),
        "a block behind the last"
    );
    true
}

fn place() -> Place {
    Place {
        segment: SegmentId(3),
        offset: 4096,
    }
}

fn catalog() -> Vec<u8> {
    let row = |id| SegmentRow {
        id: SegmentId(id),
        end: 8192,
        live_bytes: 100,
        live_chunks: 2,
    };
    let chunk = |prefix| Entry {
        prefix,
        place: place(),
        stamp: 0,
    };
    let state = Checkpoint {
        position: Position::new(SegmentId(3), 8192),
        segments: (1..4).map(row).collect(),
        chunks: (0..5).map(chunk).collect(),
    };
    checkpoint::encode(VOLUME, &state)
}

fn scrub() -> Vec<u8> {
    let progress = Progress {
        since_s: 7,
        running: Some(Scrubbed::default()),
        last: Some(Scrubbed::default()),
    };
    let damage = Damage {
        id: ChunkId([9; 32]),
        length: 20_000,
        ranges: vec![0..4096, 8192..12_288],
    };
    progress::encode(VOLUME, &progress, &[(place(), damage)])
}

/// The bytes of an epoch file, by way of a disk.
fn epochs() -> Vec<u8> {
    let disk = CrashDisk::new();
    let epochs = Epochs {
        incarnation: 4,
        put_epoch: 9,
    };
    epoch::store(&disk, Path::new("/"), VOLUME, epochs).expect("stored");
    let file = disk
        .open(&epoch::path(Path::new("/")), OpenMode::Read)
        .expect("opened");
    let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("read");
    bytes
}

fn reseal_store(bytes: &mut [u8]) {
    if bytes.starts_with(b"WDCATLG\0") {
        let end = bytes.len();
        seal(bytes, CATALOG_HEADER_BYTES..end, CATALOG_HEADER_BYTES - 8);
        seal(bytes, 0..CATALOG_HEADER_BYTES - 4, CATALOG_HEADER_BYTES - 4);
    } else if bytes.starts_with(b"WDSCRUB\0") {
        reseal_end(bytes);
    } else {
        for at in [0, EPOCH_COPY_AT] {
            seal(bytes, at..at + EPOCH_BYTES - 4, at + EPOCH_BYTES - 4);
        }
    }
}

fn check_store(bytes: &[u8]) -> bool {
    let path = Path::new("/catalog");
    if let Ok(Loaded::Intact(state)) = checkpoint::decode(bytes, path, VOLUME) {
        let again = checkpoint::encode(VOLUME, &state);
        let again = checkpoint::decode(&again, path, VOLUME).expect("a catalog");
        assert!(matches!(again, Loaded::Intact(again) if again == state));
        return true;
    }
    if let Some((progress, rows)) = progress::decode(bytes, VOLUME) {
        let again = progress::encode(VOLUME, &progress, &rows);
        assert_eq!(progress::decode(&again, VOLUME), Some((progress, rows)));
        return true;
    }
    check_epochs(bytes)
}

fn check_epochs(bytes: &[u8]) -> bool {
    let (disk, dir) = (CrashDisk::new(), Path::new("/"));
    let file = disk
        .open(&epoch::path(dir), OpenMode::CreateNew)
        .expect("made");
    file.write_at(bytes, 0).expect("written");
    let Ok(Some(epochs)) = epoch::load(&disk, dir, VOLUME) else {
        return false;
    };
    epoch::store(&disk, dir, VOLUME, epochs).expect("stored");
    assert_eq!(epoch::load(&disk, dir, VOLUME).ok(), Some(Some(epochs)));
    true
}
