//! Headers and records of the log, where it is cut, and the small files beside it.

use std::borrow::Cow;
use std::path::Path;

use uuid::Uuid;
use wolfdisk_common::ids::{Incarnation, LogIndex, Term};
use wolfdisk_meta::consensus::raft::small::{
    decode_committed, decode_vote, encode_committed, encode_vote,
};
use wolfdisk_meta::consensus::raft::{Vote, leader_of};
use wolfdisk_meta::log::cut::Cut;
use wolfdisk_meta::log::format::{
    BLOCK_BYTES, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader,
    decode_record, encode_record, payload_is_good, prefix_bytes, seed,
};
use wolfdisk_meta::manifest::Manifest;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

const LOG: Uuid = Uuid::from_u128(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00);
const SEGMENT_CRC_AT: usize = 68;
const RECORD_CRC_AT: usize = 36;
/// A seed is a record of several blocks, of which the repository keeps the beginning: what lacks is all the same.
const KEPT_BYTES: usize = 4096;
const FILL: u8 = 0xa5;
/// What a changed length makes of an input.
const EXPANDED_MAX_BYTES: usize = 3 * BLOCK_BYTES;

#[test]
fn log_files_are_read_or_refused() {
    fuzz(&Target {
        name: "log",
        seeds: log_seeds,
        reseal: reseal_log,
        expand,
        memory_bytes: MEMORY_BYTES,
        check: check_log,
    });
}

#[test]
fn small_files_are_read_or_refused() {
    fuzz(&Target {
        name: "manifest",
        seeds: || {
            vec![
                manifest("1.redb"),
                manifest(&"long".repeat(60)),
                cut(SEGMENT_HEADER_BYTES as u64),
                cut(u64::MAX),
                encode_vote(&vote()).expect("there is room"),
                encode_committed(LogIndex(77), Term(5)),
            ]
        },
        reseal: reseal_end,
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: |bytes| check_manifest(bytes) || check_cut(bytes) || check_election(bytes),
    });
}

fn log_seeds() -> Vec<Vec<u8>> {
    let header = SegmentHeader {
        log_id: LOG,
        sequence: 3,
        first_index: LogIndex(1000),
        start: 128 << 20,
        length: 64 << 20,
        chain: 77,
    };
    let record = |length: usize| {
        let header = RecordHeader {
            length: 0,
            index: LogIndex(1001),
            term: Term(2),
            synced: 4096,
            chain: 77,
            crc: 0,
        };
        let mut bytes = Vec::new();
        encode_record(&mut bytes, seed(LOG), &header, &vec![FILL; length]);
        bytes.truncate(KEPT_BYTES);
        bytes
    };
    vec![
        header.encode().to_vec(),
        record(0),
        record(300),
        record(BLOCK_BYTES + 9),
        record(2 * BLOCK_BYTES + 1),
    ]
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(room) = bytes.get_mut(at..at + 4) {
        room.copy_from_slice(&crc.to_le_bytes());
    }
}

fn reseal_log(bytes: &mut [u8]) {
    if bytes.starts_with(b"WDLOGSEG") {
        if let Some(covered) = bytes.get(..SEGMENT_CRC_AT) {
            let crc = crc32c::crc32c(covered);
            put(bytes, SEGMENT_CRC_AT, crc);
        }
        return;
    }
    let Some(head) = bytes.first_chunk::<RECORD_HEADER_BYTES>().copied() else {
        return;
    };
    let blocks = usize::from(u16::from_le_bytes([head[6], head[7]]));
    let end = RECORD_HEADER_BYTES + 4 * blocks;
    // A table is right by itself only as long as neither it nor the payload was touched: half are made right.
    if crc32c::crc32c(bytes).is_multiple_of(2) {
        let whole = expand(bytes).into_owned();
        let begin = prefix_bytes(length_of(bytes));
        let payload = whole.get(begin..).unwrap_or_default();
        for (number, block) in payload.chunks(BLOCK_BYTES).take(blocks).enumerate() {
            put(
                bytes,
                RECORD_HEADER_BYTES + 4 * number,
                crc32c::crc32c(block),
            );
        }
    }
    let Some(table) = bytes.get(RECORD_HEADER_BYTES..end) else {
        return;
    };
    let crc = crc32c::crc32c_append(seed(LOG), &head[..RECORD_CRC_AT]);
    let crc = crc32c::crc32c_append(crc, table);
    put(bytes, RECORD_CRC_AT, crc);
}

/// What a record says of the length of its payload.
fn length_of(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk().copied().map(u32::from_le_bytes);
    length.unwrap_or(0) as usize
}

fn expand(bytes: &[u8]) -> Cow<'_, [u8]> {
    let length = length_of(bytes);
    let end = prefix_bytes(length) + length;
    if bytes.starts_with(b"WDLOGSEG") || end <= bytes.len() || length > EXPANDED_MAX_BYTES {
        return Cow::Borrowed(bytes);
    }
    let mut whole = bytes.to_vec();
    whole.resize(end, FILL);
    Cow::Owned(whole)
}

fn check_log(bytes: &[u8]) -> bool {
    let header = bytes
        .first_chunk::<SEGMENT_HEADER_BYTES>()
        .and_then(|bytes| SegmentHeader::decode(bytes).ok());
    if let Some(header) = &header {
        assert_eq!(SegmentHeader::decode(&header.encode()).as_ref(), Ok(header));
    }
    let record = decode_record(bytes, seed(LOG)).ok();
    if let Some((record, table)) = &record {
        let length = record.length as usize;
        let begin = prefix_bytes(length);
        if let Some(payload) = bytes.get(begin..begin + length)
            && payload_is_good(payload, table)
        {
            let mut again = Vec::new();
            encode_record(&mut again, seed(LOG), record, payload);
            let (same, same_table) = decode_record(&again, seed(LOG)).expect("a record");
            assert_eq!((&same, same_table), (record, *table));
        }
    }
    header.is_some() || record.is_some()
}

fn manifest(checkpoint: &str) -> Vec<u8> {
    let manifest = Manifest {
        volume: LOG,
        generation: 3,
        incarnation: Incarnation(9),
        first_segment: 5,
        checkpoint: checkpoint.into(),
    };
    manifest.encode()
}

fn cut(offset: u64) -> Vec<u8> {
    let cut = Cut {
        log_id: LOG,
        sequence: 3,
        offset,
    };
    cut.encode()
}

fn check_cut(bytes: &[u8]) -> bool {
    let path = Path::new("/cut");
    let Ok(cut) = Cut::decode(bytes, path) else {
        return false;
    };
    assert_eq!(cut.encode(), bytes);
    true
}

fn vote() -> Vote {
    let leader_id = leader_of(Term(3 << 24 | 2));
    Vote {
        leader_id,
        committed: true,
    }
}

fn check_election(bytes: &[u8]) -> bool {
    let path = Path::new("/file");
    let vote = decode_vote(bytes, path).map(|vote| encode_vote(&vote).expect("it was there"));
    let committed = decode_committed(bytes, path);
    let committed = committed.map(|(index, term)| encode_committed(index, term));
    match vote.or(committed) {
        Ok(again) => {
            assert_eq!(again, bytes);
            true
        }
        Err(_) => false,
    }
}

/// The last four bytes are the checksum of all others.
pub fn reseal_end(bytes: &mut [u8]) {
    if let Some((covered, _)) = bytes.split_last_chunk::<4>() {
        let (at, crc) = (covered.len(), crc32c::crc32c(covered));
        put(bytes, at, crc);
    }
}

fn check_manifest(bytes: &[u8]) -> bool {
    let path = Path::new("/CURRENT");
    let Ok(manifest) = Manifest::decode(bytes, path) else {
        return false;
    };
    assert_eq!(
        Manifest::decode(&manifest.encode(), path).ok().as_ref(),
        Some(&manifest)
    );
    true
}
