//! The checkpoint: a redb file. An input is the length of the file in pages, then the parts of it that are not zeroes,
//! each with its number before it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::disk::{Disk, OpenMode};
use wolfdisk_common::ids::{LogIndex, Term, Version};
use wolfdisk_meta::index::KeyBytes;
use wolfdisk_meta::index::checkpoint::RedbTable;
use wolfdisk_meta::index::table::{Applied, Change, Table, TableError};

use super::engine::{MEMORY_BYTES, Target, fuzz};

const PAGE_BYTES: usize = 4096;
const PART_BYTES: usize = 64;
const CACHE_BYTES: usize = 1 << 20;
const RECORDS: u32 = 60;
/// What a changed length makes of an input.
const EXPANDED_MAX_BYTES: usize = 4 << 20;
/// A damaged page number may name a page of this size, and redb makes room for it before it reads.
const LARGEST_PAGE_BYTES: usize = PAGE_BYTES << 20;
const PATH: &str = "/1.redb";
const COPY: &str = "/2.redb";

#[test]
fn a_checkpoint_is_read_or_refused() {
    fuzz(&Target {
        name: "checkpoint",
        seeds: || vec![seed()],
        reseal: |_| {},
        expand,
        memory_bytes: LARGEST_PAGE_BYTES + MEMORY_BYTES,
        check,
    });
}

fn applied(number: u64) -> Applied {
    Applied {
        index: LogIndex(number),
        term: Term(1),
        version: Version(number),
    }
}

fn key(number: u32) -> KeyBytes {
    KeyBytes::new(&number.to_be_bytes())
}

/// Every commit writes other values.
fn value(number: u32, commit: u8) -> Bytes {
    let length = 10 + 37 * number as usize % 200;
    [&number.to_be_bytes()[..], &vec![commit; length]]
        .concat()
        .into()
}

fn seed() -> Vec<u8> {
    let disk = CrashDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = Path::new(PATH);
    let table = RedbTable::create(&shared, path, CACHE_BYTES).expect("a table");
    for commit in 1..=2 {
        let numbers = (0..RECORDS).filter(|number| commit == 1 || number % 3 == 0);
        let mut changes = numbers.map(|number| (key(number), Some(value(number, commit))));
        table
            .commit(applied(commit.into()), &mut changes)
            .expect("a commit");
    }
    drop(table);
    let file = disk.open(path, OpenMode::Read).expect("a file");
    let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("small")];
    file.read_exact_at(&mut bytes, 0).expect("read");
    let mut input = ((bytes.len() / PAGE_BYTES) as u32).to_le_bytes().to_vec();
    for (number, part) in bytes.chunks(PART_BYTES).enumerate() {
        // In this profile redb fills what it frees with ones.
        if ![0, 0xff]
            .iter()
            .any(|fill| part.iter().all(|byte| byte == fill))
        {
            input.extend_from_slice(&(number as u32).to_le_bytes());
            input.extend_from_slice(part);
        }
    }
    input
}

fn expand(input: &[u8]) -> Cow<'_, [u8]> {
    let Some((pages, parts)) = input.split_first_chunk::<4>() else {
        return Cow::Borrowed(input);
    };
    let length = (u32::from_le_bytes(*pages) as usize).saturating_mul(PAGE_BYTES);
    let mut file = vec![0; length.min(EXPANDED_MAX_BYTES)];
    for part in parts.chunks(4 + PART_BYTES) {
        let Some((number, part)) = part.split_first_chunk::<4>() else {
            break;
        };
        let at = (u32::from_le_bytes(*number) as usize).saturating_mul(PART_BYTES);
        let room = file.get_mut(at..).unwrap_or_default();
        room.iter_mut().zip(part).for_each(|(old, new)| *old = *new);
    }
    Cow::Owned(file)
}

fn check(bytes: &[u8]) -> bool {
    let disk: Arc<dyn Disk> = Arc::new(CrashDisk::new());
    let path = Path::new(PATH);
    let file = disk.open(path, OpenMode::CreateNew).expect("made");
    file.write_at(bytes, 0).expect("written");
    let Ok(table) = RedbTable::open(&disk, path, CACHE_BYTES) else {
        return false;
    };
    used(&table, &disk).is_ok()
}

/// Does with a table what the index does. What is served was written once.
fn used(table: &RedbTable, disk: &Arc<dyn Disk>) -> Result<(), TableError> {
    for number in (0..RECORDS).step_by(9) {
        if let Some(found) = table.get(&key(number))? {
            check_record(&key(number), &found);
        }
    }
    table.scan(&[], &[0xff; 9], &mut |key, value| {
        check_record(key, value);
        true
    })?;
    let changes: [Change; 3] = [
        (key(7), Some(value(7, 9))),
        (key(RECORDS), Some(value(RECORDS, 9))),
        (key(50), None),
    ];
    table.commit(applied(3), &mut changes.into_iter())?;
    let copy = table.copy(disk, Path::new(COPY), CACHE_BYTES)?;
    assert_eq!(copy.get(&key(7))?, Some(value(7, 9)));
    Ok(())
}

fn check_record(found: &[u8], served: &[u8]) {
    let number = found.try_into().map(u32::from_be_bytes).expect("a key");
    assert!(
        [1, 2, 9]
            .iter()
            .any(|commit| served == value(number, *commit)),
        "{number}: {served:02x?}"
    );
}
