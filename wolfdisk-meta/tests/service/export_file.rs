//! What was written is read, and nothing else is: harm to any byte, a missing end, a block too many are refused.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use uuid::Uuid;
use wolfdisk_common::ids::{Incarnation, LogIndex, Term, Version};

use wolfdisk_meta::export::format::{FormatError, Header, RECORDS_BYTES};
use wolfdisk_meta::export::reader::{Item, Reader};
use wolfdisk_meta::export::writer::Writer;
use wolfdisk_meta::index::KeyBytes;

fn header(index: u64) -> Header {
    Header {
        volume: Uuid::from_u128(7),
        version: Version(9),
        index: LogIndex(index),
        term: Term(1),
        incarnation: Incarnation(3),
        created_s: -5,
    }
}

fn entry(index: u64, payload: &[u8]) -> Item {
    Item::Entry {
        index: LogIndex(index),
        term: Term(1),
        payload: Bytes::copy_from_slice(payload),
    }
}

fn record(key: &[u8], value: &[u8]) -> Item {
    Item::Record {
        key: KeyBytes::new(key),
        value: Bytes::copy_from_slice(value),
    }
}

fn write(header: &Header, items: &[Item]) -> Vec<u8> {
    let mut writer = Writer::new(header);
    let mut file = Vec::new();
    for item in items {
        match item {
            Item::Entry {
                index,
                term,
                payload,
            } => writer.entry(*index, *term, payload),
            Item::Record { key, value } => writer.record(key, value),
        }
        // Taken at any moment.
        file.extend_from_slice(&writer.take());
    }
    writer.finish();
    file.extend_from_slice(&writer.take());
    file
}

fn read(file: &[u8]) -> Result<(Header, Vec<Item>), FormatError> {
    let mut reader = Reader::new(file)?;
    let mut items = Vec::new();
    while let Some(item) = reader.read_next()? {
        items.push(item);
    }
    Ok((reader.header().clone(), items))
}

fn small() -> (Header, Vec<Item>) {
    let items = vec![
        entry(11, b"first"),
        entry(12, b""),
        record(b"a", b"value"),
        record(b"b", b""),
    ];
    (header(12), items)
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        payloads in vec(vec(any::<u8>(), 0..300), 0..5),
        records in btree_map(vec(any::<u8>(), 1..40), vec(any::<u8>(), 0..300), 0..50),
    ) {
        let header = header(100 + payloads.len() as u64);
        let entries = (101..).zip(&payloads).map(|(index, payload)| entry(index, payload));
        let records = records.iter().map(|(key, value)| record(key, value));
        let items: Vec<Item> = entries.chain(records).collect();
        let file = write(&header, &items);
        prop_assert_eq!(read(&file).expect("an export"), (header, items));
    }
}

#[test]
fn many_records_make_many_blocks() {
    let value = vec![5; 1000];
    let items: Vec<Item> = (0..3 * RECORDS_BYTES as u32 / 1000)
        .map(|number| record(&number.to_be_bytes(), &value))
        .collect();
    let file = write(&header(4), &items);
    assert_eq!(read(&file).expect("an export"), (header(4), items));
}

#[test]
fn every_flipped_bit_and_every_shorter_length_is_refused() {
    let (header, items) = small();
    let good = write(&header, &items);
    assert_eq!(read(&good).expect("an export"), (header, items));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bad).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        let refused = read(&good[..length]).expect_err("cut off");
        assert!(
            matches!(refused, FormatError::Short(_)),
            "length {length}: {refused}"
        );
    }
    let longer = [&good[..], &[0]].concat();
    assert!(matches!(read(&longer), Err(FormatError::Damaged { .. })));
}

/// Blocks that are good by themselves and do not belong together.
#[test]
fn what_is_out_of_order_is_refused() {
    // It is a block by itself.
    let long = vec![0; RECORDS_BYTES];
    let orders = [
        vec![record(b"a", &long), entry(12, b"")],
        vec![record(b"b", b""), record(b"a", b"")],
        vec![record(b"a", b""), record(b"a", b"")],
        vec![entry(10, b""), entry(12, b"")],
        vec![entry(11, b"")],
        vec![entry(12, b""), entry(13, b"")],
        vec![entry(0, b""), entry(1, b"")],
    ];
    for items in orders {
        let refused = read(&write(&header(12), &items)).expect_err("in that order");
        assert!(matches!(refused, FormatError::Damaged { .. }), "{refused}");
    }
}

#[test]
fn other_files_and_newer_formats_are_told_apart() {
    let (header, items) = small();
    let good = write(&header, &items);
    assert!(matches!(read(&[b'x'; 200]), Err(FormatError::Magic)));
    let mut newer = good;
    newer[8] = 2;
    let refused = read(&newer).expect_err("newer").to_string();
    assert!(
        refused.contains("format 2") && refused.contains("newer release"),
        "{refused}"
    );
}
