//! One suite for both tables, and the damage that the file on disk must notice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::{LogIndex, Term, Version};

use super::{MemTable, RedbTable};
use crate::index::KeyBytes;
use crate::index::table::{Applied, Change, Table};

const CACHE_BYTES: usize = 1 << 20;
const PATH: &str = "/1.redb";

fn on_disk(disk: &CrashDisk) -> RedbTable {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    RedbTable::create(&disk, Path::new(PATH), CACHE_BYTES).unwrap()
}

fn applied(number: u64) -> Applied {
    Applied {
        index: LogIndex(number),
        term: Term(1),
        version: Version(number),
    }
}

fn scanned(table: &dyn Table, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    table
        .scan(from, to, &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            true
        })
        .unwrap();
    all
}

type Plain = (Vec<u8>, Option<Vec<u8>>);

fn suite(table: &dyn Table, commits: &[Vec<Plain>], bounds: (&[u8], &[u8])) {
    let mut model = BTreeMap::new();
    assert_eq!(table.applied(), Applied::default());
    for (number, changes) in commits.iter().enumerate() {
        let applied = applied(number as u64 + 1);
        let copies = changes.iter().cloned();
        let mut changes_of_bytes =
            copies.map(|(key, value)| -> Change { (KeyBytes::new(&key), value.map(Bytes::from)) });
        table.commit(applied, &mut changes_of_bytes).unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => model.insert(key.clone(), value.clone()),
                None => model.remove(key),
            };
        }
        assert_eq!(table.applied(), applied);
        for (key, _) in changes {
            assert_eq!(
                table.get(key).unwrap().map(|v| v.to_vec()),
                model.get(key).cloned()
            );
        }
        let all: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(scanned(table, &[], &[0xff; 9]), all);
        let (from, to) = bounds;
        let within = all
            .into_iter()
            .filter(|(key, _)| &key[..] >= from && &key[..] < to);
        assert_eq!(scanned(table, from, to), within.collect::<Vec<_>>());
        let mut seen = 0;
        table
            .scan(&[], &[0xff; 9], &mut |_, _| {
                seen += 1;
                seen < 3
            })
            .unwrap();
        assert_eq!(seen, model.len().min(3));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn both_tables_are_ordered_maps(
        commits in prop::collection::vec(
            prop::collection::vec(
                (prop::collection::vec(0..4u8, 0..5), prop::option::of(prop::collection::vec(any::<u8>(), 0..600))),
                0..20,
            ),
            0..6,
        ),
        from in prop::collection::vec(0..4u8, 0..5),
        to in prop::collection::vec(0..4u8, 0..5),
    ) {
        suite(&MemTable::default(), &commits, (&from, &to));
        suite(&on_disk(&CrashDisk::new()), &commits, (&from, &to));
    }
}

#[test]
fn a_reader_in_a_scan_sees_the_commit_it_began_with() {
    let table = on_disk(&CrashDisk::new());
    let change = |key: &[u8], value: u8| (KeyBytes::new(key), Some(Bytes::from(vec![value])));
    table
        .commit(
            applied(1),
            &mut [change(b"a", 1), change(b"b", 1)].into_iter(),
        )
        .unwrap();
    let mut seen = Vec::new();
    table
        .scan(b"a", b"z", &mut |key, value| {
            if key == b"a" {
                let changes = [change(b"b", 2), change(b"c", 2)];
                table.commit(applied(2), &mut changes.into_iter()).unwrap();
            }
            seen.push((key.to_vec(), value[0]));
            true
        })
        .unwrap();
    assert_eq!(seen, [(b"a".to_vec(), 1), (b"b".to_vec(), 1)]);
    assert_eq!(table.get(b"b").unwrap().unwrap()[0], 2);
}

/// A value that is not the same for any two numbers.
fn filled(number: u32, length: usize) -> Bytes {
    number
        .to_be_bytes()
        .into_iter()
        .cycle()
        .take(length)
        .collect()
}

/// A table with records of these lengths of key and value, of which three of four were removed, and a copy.
fn copied(directory: &Path, lengths: &[(usize, usize)]) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let of = |number: u32| lengths[number as usize % lengths.len()];
    // Keys in an order that is not that of the numbers.
    let key = |number: u32| -> Vec<u8> {
        let mut key = crc32c::crc32c(&number.to_be_bytes()).to_be_bytes().to_vec();
        key.extend_from_slice(&number.to_be_bytes());
        key.resize(of(number).0.max(8), 7);
        key
    };
    let value = |number: u32| filled(number, of(number).1);
    let sum: usize = lengths.iter().map(|(key, value)| key + value).sum();
    let all: Vec<u32> = (0..5_000_000 * lengths.len() as u32 / (sum as u32)).collect();
    let table = RedbTable::create(&disk, &directory.join("old"), CACHE_BYTES).unwrap();
    for (at, part) in all.chunks(all.len() / 5 + 1).enumerate() {
        let mut changes = part
            .iter()
            .map(|&number| (KeyBytes::new(&key(number)), Some(value(number))));
        table.commit(applied(at as u64 + 1), &mut changes).unwrap();
    }
    let grown = table.size_bytes();
    let gone = all.iter().filter(|number| **number % 4 != 0);
    table
        .commit(
            applied(9),
            &mut gone.map(|&number| (KeyBytes::new(&key(number)), None)),
        )
        .unwrap();
    let copy = table
        .copy(&disk, &directory.join("new"), CACHE_BYTES)
        .unwrap();
    assert_eq!(copy.applied(), applied(9));
    assert_eq!(copy.live_bytes(), table.live_bytes());
    let (took, may) = (copy.size_bytes(), copy.live_bytes());
    println!("{lengths:?}: {took} of {may}, before {grown}");
    assert!(took <= may, "{took} of {may} bytes, records of {lengths:?}");
    assert!(
        may < grown * 2 / 3,
        "{may} of {grown} bytes, records of {lengths:?}"
    );
    drop(copy);
    let copy = RedbTable::open(&disk, &directory.join("new"), CACHE_BYTES).unwrap();
    for &number in &all {
        let expected = (number % 4 == 0).then(|| value(number));
        assert_eq!(copy.get(&key(number)).unwrap(), expected);
    }
    let rest = all.iter().filter(|number| **number % 4 == 0);
    copy.commit(
        applied(10),
        &mut rest.map(|&number| (KeyBytes::new(&key(number)), None)),
    )
    .unwrap();
    assert_eq!(copy.live_bytes(), crate::limits::CHECKPOINT_EMPTY_BYTES);
}

#[test]
fn a_copy_holds_the_same_and_takes_no_more_than_it_may() {
    // Small records, long keys, some that fill half a page, those that are just too long for one, two,
    // three, and mixtures.
    let kinds: [&[(usize, usize)]; 10] = [
        &[(17, 20)],
        &[(41, 90)],
        &[(264, 30)],
        &[(9, 400)],
        &[(9, 1400)],
        &[(9, 2100)],
        &[(9, 4100)],
        &[(9, 8300)],
        &[(9, 12_400)],
        &[(9, 90), (9, 4100), (9, 200), (264, 700), (9, 1900)],
    ];
    for lengths in kinds {
        let directory = tempfile::tempdir().unwrap();
        copied(directory.path(), lengths);
    }
}

#[test]
fn no_damaged_byte_is_served() {
    let disk = CrashDisk::new();
    let table = on_disk(&disk);
    let value = |number: u32| Bytes::from(number.to_be_bytes().repeat(40));
    let mut changes =
        (0..300u32).map(|number| (KeyBytes::new(&number.to_be_bytes()), Some(value(number))));
    table.commit(applied(1), &mut changes).unwrap();
    drop(table);
    let length = table_length(&disk);
    let (mut noticed, mut harmless) = (0, 0);
    for at in (0..length).step_by(length / 400) {
        let copy = CrashDisk::new();
        let table = on_disk(&copy);
        let mut changes =
            (0..300u32).map(|number| (KeyBytes::new(&number.to_be_bytes()), Some(value(number))));
        table.commit(applied(1), &mut changes).unwrap();
        drop(table);
        copy.corrupt(Path::new(PATH), |bytes| bytes[at] ^= 0x10)
            .unwrap();
        let dynamic: Arc<dyn Disk> = Arc::new(copy);
        let Ok(table) = RedbTable::open(&dynamic, Path::new(PATH), CACHE_BYTES) else {
            noticed += 1;
            continue;
        };
        let mut bad = false;
        for number in 0..300u32 {
            match table.get(&number.to_be_bytes()) {
                Ok(Some(found)) => assert_eq!(found, value(number), "byte {at}"),
                Ok(None) | Err(_) => bad = true,
            }
        }
        if bad { noticed += 1 } else { harmless += 1 }
    }
    assert!(noticed > 0, "{noticed} {harmless}");
}

fn table_length(disk: &CrashDisk) -> usize {
    let file = disk
        .open(Path::new(PATH), wolfdisk_common::disk::OpenMode::Read)
        .unwrap();
    file.len().unwrap() as usize
}

#[test]
fn a_missing_an_empty_and_a_foreign_file_are_refused() {
    let disk = CrashDisk::new();
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = Path::new(PATH);
    assert!(RedbTable::open(&dynamic, path, CACHE_BYTES).is_err());
    disk.open(path, wolfdisk_common::disk::OpenMode::CreateNew)
        .unwrap();
    assert!(RedbTable::open(&dynamic, path, CACHE_BYTES).is_err());
    disk.corrupt(path, |bytes| bytes.resize(100_000, 7))
        .unwrap();
    assert!(RedbTable::open(&dynamic, path, CACHE_BYTES).is_err());
}
