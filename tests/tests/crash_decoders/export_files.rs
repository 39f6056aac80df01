//! Exports of the index: header, blocks, and what ties them together.

use bytes::Bytes;
use uuid::Uuid;
use wolfdisk_common::ids::{Incarnation, LogIndex, Term, Version};
use wolfdisk_meta::export::format::{BLOCK_HEADER_BYTES, END_BYTES, HEADER_BYTES, Header};
use wolfdisk_meta::export::reader::{Item, Reader};
use wolfdisk_meta::export::writer::Writer;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

const KIND_END: u8 = 3;
const HASH_BYTES: usize = 32;

#[test]
fn exports_are_read_or_refused() {
    fuzz(&Target {
        name: "export",
        seeds: || vec![seed(0), seed(2)],
        reseal,
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

fn seed(entries: u64) -> Vec<u8> {
    let mut writer = Writer::new(&Header {
        volume: Uuid::from_u128(7),
        version: Version(9),
        index: LogIndex(12),
        term: Term(1),
        incarnation: Incarnation(3),
        created_s: 1_800_000_000,
    });
    for index in 13 - entries..13 {
        writer.entry(LogIndex(index), Term(1), &[0xa5; 30]);
    }
    for key in [&b"a"[..], b"bc", b"bd"] {
        writer.record(key, &key.repeat(9));
    }
    writer.finish();
    writer.take().to_vec()
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(room) = bytes.get_mut(at..at + 4) {
        room.copy_from_slice(&crc.to_le_bytes());
    }
}

fn reseal(bytes: &mut [u8]) {
    if let Some(covered) = bytes.get(..HEADER_BYTES - 4) {
        let crc = crc32c::crc32c(covered);
        put(bytes, HEADER_BYTES - 4, crc);
    }
    let mut at = HEADER_BYTES;
    while let Some(head) = bytes.get(at..at + BLOCK_HEADER_BYTES) {
        let length = head.get(4..8).and_then(|field| field.try_into().ok());
        let length = u32::from_le_bytes(length.unwrap_or_default()) as usize;
        let body = at + BLOCK_HEADER_BYTES..(at + BLOCK_HEADER_BYTES).saturating_add(length);
        if head[0] == KIND_END && length == END_BYTES && body.end <= bytes.len() {
            let counts = &bytes[body.start..body.end - HASH_BYTES];
            let hash = sha256(&[&bytes[..at], counts].concat());
            bytes[body.end - HASH_BYTES..body.end].copy_from_slice(&hash);
        }
        let Some(covered) = bytes.get(body.clone()) else {
            return;
        };
        let crc = crc32c::crc32c(&bytes[at..at + BLOCK_HEADER_BYTES - 4]);
        let crc = crc32c::crc32c_append(crc, covered);
        put(bytes, at + BLOCK_HEADER_BYTES - 4, crc);
        at = body.end;
    }
}

fn sha256(bytes: &[u8]) -> [u8; HASH_BYTES] {
    wolfdisk_common::hash::leaf_hash(bytes)
}

fn read(bytes: &[u8]) -> Option<(Header, Vec<Item>)> {
    let mut reader = Reader::new(bytes).ok()?;
    let mut items = Vec::new();
    while let Some(item) = reader.read_next().ok()? {
        items.push(item);
    }
    Some((reader.header().clone(), items))
}

fn check(bytes: &[u8]) -> bool {
    let Some((header, items)) = read(bytes) else {
        return false;
    };
    let mut writer = Writer::new(&header);
    for item in &items {
        match item {
            Item::Entry {
                index,
                term,
                payload,
            } => writer.entry(*index, *term, payload),
            Item::Record { key, value } => writer.record(key, value),
        }
    }
    writer.finish();
    let again: Bytes = writer.take();
    assert_eq!(read(&again), Some((header, items)));
    true
}
