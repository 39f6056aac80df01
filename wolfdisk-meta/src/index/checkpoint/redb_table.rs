//! The checkpoint in a redb file **\[format\]**.
//!
//! redb 4 file format, two tables of bytes to bytes:
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | a record's key | the record's value, then CRC32C (u32, little-endian) of key and value |
//! | `state` | `applied` | index u64, term u64, version u64, little-endian, then CRC32C of those 24 bytes |
//! | `state` | `format` | u32, little-endian: 1 |
//! | `state` | `live` | u64, little-endian: the sum of [`footprint`] over `records`; then CRC32C of those 8 |
//!
//! redb verifies its own page checksums only after a crash, so every value carries one of ours: no
//! damaged record is ever served. Commits are two-phase with the allocator's state saved, so that opening
//! after a crash takes no walk over the whole file.
//!
//! On a damaged file redb may panic; see `fence`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition,
};
use wolfdisk_common::disk::{Disk, DiskFile, OpenMode};
use wolfdisk_common::ids::{LogIndex, Term, Version};

use super::backend::Backend;
use super::fence::{Fenced, fenced};
use crate::index::KeyBytes;
use crate::index::key::KeyRange;
use crate::index::records::Read;
use crate::index::table::{Applied, Change, Table, TableError};
use crate::limits;

type BytesTable = TableDefinition<'static, &'static [u8], &'static [u8]>;

const RECORDS: BytesTable = TableDefinition::new("records");
const STATE: BytesTable = TableDefinition::new("state");
const APPLIED_KEY: &[u8] = b"applied";
const FORMAT_KEY: &[u8] = b"format";
const LIVE_KEY: &[u8] = b"live";
/// redb's pages.
const PAGE_BYTES: u64 = 4096;
const FORMAT: u32 = 1;
const CRC_BYTES: usize = 4;

/// See the module.
pub struct RedbTable {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Dropped before `database`: it pins the pages that it reads.
    view: RwLock<View>,
    database: Fenced<Database>,
}

/// The last finished commit, kept open because opening it costs more than a lookup.
struct View {
    records: Arc<Fenced<RecordsTable>>,
    applied: Applied,
    /// The sum of [`footprint`] over all records.
    live: u64,
}

impl RedbTable {
    /// Makes an empty table in a new file at `path`, durably.
    ///
    /// # Errors
    /// `Storage`; a file may have been left.
    pub fn create(
        disk: &Arc<dyn Disk>,
        path: &Path,
        cache_bytes: usize,
    ) -> Result<RedbTable, TableError> {
        let io = |error: std::io::Error| storage(path, error);
        let file = disk.open(path, OpenMode::CreateNew).map_err(io)?;
        let table = fenced(path, || {
            let database = database(path, &file, cache_bytes)?;
            write(
                path,
                &database,
                Applied::default(),
                0,
                &mut std::iter::empty(),
            )?;
            RedbTable::over(path, file.clone(), database)
        })?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
            .map_err(io)?;
        Ok(table)
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// `Storage`: it is missing, damaged, or of a newer format.
    pub fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        cache_bytes: usize,
    ) -> Result<RedbTable, TableError> {
        let file = disk
            .open(path, OpenMode::ReadWrite)
            .map_err(|error| storage(path, error))?;
        if file.len().map_err(|error| storage(path, error))? == 0 {
            return Err(storage(path, "it is empty"));
        }
        fenced(path, || {
            let database = database(path, &file, cache_bytes)?;
            RedbTable::over(path, file.clone(), database)
        })
    }

    fn over(
        path: &Path,
        file: Arc<dyn DiskFile>,
        database: Fenced<Database>,
    ) -> Result<RedbTable, TableError> {
        let view = RwLock::new(view(path, &database)?);
        Ok(RedbTable {
            path: path.to_owned(),
            file,
            view,
            database,
        })
    }

    /// Makes a table with the same content in a new file at `path`, durably. It takes no more than
    /// [`Table::live_bytes`]. Not while a commit is under way.
    ///
    /// # Errors
    /// `Storage`, or a damaged record; a file may have been left.
    pub fn copy(
        &self,
        disk: &Arc<dyn Disk>,
        path: &Path,
        cache_bytes: usize,
    ) -> Result<RedbTable, TableError> {
        let copy = RedbTable::create(disk, path, cache_bytes)?;
        let (records, applied) = {
            let view = self.view.read();
            (view.records.clone(), view.applied)
        };
        let io = |error| storage(&self.path, error);
        let mut range = fenced(&self.path, || records.range::<&[u8]>(..).map_err(io))?;
        let mut end = false;
        // By parts: a transaction keeps in memory which pages it has made.
        while !end {
            let (mut part, mut bytes): (Vec<Change>, usize) = (Vec::new(), 0);
            while !end && bytes < limits::CHECKPOINT_COPY_PART_BYTES {
                let next = fenced(&self.path, || {
                    let next = range.next().transpose().map_err(io)?;
                    next.map(|(key, value)| {
                        let key = KeyBytes::new(key.value());
                        let value = Bytes::copy_from_slice(checked(&key, value.value())?);
                        Ok((key, value))
                    })
                    .transpose()
                })?;
                match next {
                    Some((key, value)) => {
                        bytes += key.len() + value.len();
                        part.push((key, Some(value)));
                    }
                    None => end = true,
                }
            }
            copy.commit(applied, &mut part.into_iter())?;
        }
        Ok(copy)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn records(&self) -> Arc<Fenced<RecordsTable>> {
        self.view.read().records.clone()
    }
}

/// The state of one commit, kept as it is: pages that it reads are not used again before it is dropped, and
/// the file stays open when another one takes its place.
pub struct Snapshot {
    /// Dropped before `table`, as in it.
    records: Arc<Fenced<RecordsTable>>,
    applied: Applied,
    live: u64,
    table: Arc<RedbTable>,
}

impl RedbTable {
    /// The state of the last finished commit.
    pub fn snapshot(self: &Arc<Self>) -> Snapshot {
        let view = self.view.read();
        Snapshot {
            records: view.records.clone(),
            applied: view.applied,
            live: view.live,
            table: self.clone(),
        }
    }
}

impl Snapshot {
    /// How far it has come.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// As [`Table::live_bytes`].
    pub fn live_bytes(&self) -> u64 {
        self.live + limits::CHECKPOINT_EMPTY_BYTES
    }

    /// Records in it.
    ///
    /// # Errors
    /// Storage failed.
    pub fn count(&self) -> Result<u64, TableError> {
        let path = &self.table.path;
        fenced(path, || {
            self.records.len().map_err(|error| storage(path, error))
        })
    }
}

impl Read for Snapshot {
    fn bytes(&self, key: &KeyBytes) -> Result<Option<Bytes>, TableError> {
        get(&self.table.path, &self.records, key)
    }

    fn range(
        &self,
        (from, to): &KeyRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        scan(&self.table.path, &self.records, from, to, visit)
    }
}

type RecordsTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn get(path: &Path, records: &RecordsTable, key: &[u8]) -> Result<Option<Bytes>, TableError> {
    fenced(path, || {
        let found = records.get(key).map_err(|error| storage(path, error))?;
        found
            .map(|found| checked(key, found.value()).map(Bytes::copy_from_slice))
            .transpose()
    })
}

fn scan(
    path: &Path,
    records: &RecordsTable,
    from: &[u8],
    to: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), TableError> {
    if from >= to {
        return Ok(());
    }
    let io = |error| storage(path, error);
    let mut range = fenced(path, || records.range(from..to).map_err(io))?;
    // `visit` runs outside the fence: a panic in it is not the table's.
    while let Some(entry) = fenced(path, || range.next().transpose().map_err(io))? {
        let (key, value) = fenced(path, || {
            let key = entry.0.value();
            Ok((key, checked(key, entry.1.value())?))
        })?;
        if !visit(key, value) {
            break;
        }
    }
    Ok(())
}

impl Table for RedbTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        let view = self.view.read();
        get(&self.path, &view.records, key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError> {
        // Not under the lock: `visit` may take long, and may read the table itself.
        scan(&self.path, &self.records(), from, to, visit)
    }

    fn commit(
        &self,
        applied: Applied,
        changes: &mut dyn Iterator<Item = Change>,
    ) -> Result<(), TableError> {
        let next = fenced(&self.path, || {
            let live = self.view.read().live;
            write(&self.path, &self.database, applied, live, changes)?;
            view(&self.path, &self.database)
        })?;
        *self.view.write() = next;
        Ok(())
    }

    fn applied(&self) -> Applied {
        self.view.read().applied
    }

    fn size_bytes(&self) -> u64 {
        // An estimate; a file that cannot be asked fails at the next real access.
        self.file.allocated().unwrap_or(0)
    }

    fn live_bytes(&self) -> u64 {
        self.view.read().live + limits::CHECKPOINT_EMPTY_BYTES
    }
}

fn database(
    path: &Path,
    file: &Arc<dyn DiskFile>,
    cache_bytes: usize,
) -> Result<Fenced<Database>, TableError> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
        .create_with_backend(Backend(file.clone()))
        .map(Fenced::new)
        .map_err(|error| storage(path, error))
}

fn write(
    path: &Path,
    database: &Database,
    applied: Applied,
    mut live: u64,
    changes: &mut dyn Iterator<Item = Change>,
) -> Result<(), TableError> {
    let failed = |error: redb::Error| storage(path, error);
    let mut transaction = database
        .begin_write()
        .map_err(|error| failed(error.into()))?;
    transaction.set_quick_repair(true);
    {
        let mut records = transaction
            .open_table(RECORDS)
            .map_err(|error| failed(error.into()))?;
        let mut stored = Vec::new();
        for (key, value) in changes {
            let before = match &value {
                None => records.remove(&*key),
                Some(value) => {
                    stored.clear();
                    stored.extend_from_slice(value);
                    stored.extend_from_slice(&checksum(&key, value).to_le_bytes());
                    records.insert(&*key, stored.as_slice())
                }
            };
            let before = before.map_err(|error| failed(error.into()))?;
            let before = before.map(|before| before.value().len().saturating_sub(CRC_BYTES));
            let takes = |length: usize| footprint(key.len(), length);
            live += value.as_ref().map_or(0, |value| takes(value.len()));
            live = live.saturating_sub(before.map_or(0, takes));
        }
        let mut state = transaction
            .open_table(STATE)
            .map_err(|error| failed(error.into()))?;
        let applied = numbers(&[applied.index.0, applied.term.0, applied.version.0]);
        let live = numbers(&[live]);
        let format = FORMAT.to_le_bytes();
        for (key, value) in [
            (APPLIED_KEY, applied.as_slice()),
            (FORMAT_KEY, &format),
            (LIVE_KEY, &live),
        ] {
            state
                .insert(key, value)
                .map_err(|error| failed(error.into()))?;
        }
    }
    transaction.commit().map_err(|error| failed(error.into()))
}

fn view(path: &Path, database: &Database) -> Result<View, TableError> {
    let failed = |error: redb::Error| storage(path, error);
    let transaction = database
        .begin_read()
        .map_err(|error| failed(error.into()))?;
    let state = transaction
        .open_table(STATE)
        .map_err(|error| failed(error.into()))?;
    let value = |key| state.get(key).map_err(|error| failed(error.into()));
    let format = value(FORMAT_KEY)?.and_then(|found| <[u8; 4]>::try_from(found.value()).ok());
    match format.map(u32::from_le_bytes) {
        Some(FORMAT) => {}
        Some(found) => {
            let what = format!("it has format {found}, this release reads up to {FORMAT}");
            return Err(storage(path, what));
        }
        None => return Err(storage(path, "it does not say its format")),
    }
    let stored = value(APPLIED_KEY)?.ok_or_else(|| storage(path, "it does not say its version"))?;
    let [index, term, version] = read_numbers(stored.value())
        .ok_or_else(|| storage(path, "the checksum of its version is wrong"))?;
    let stored =
        value(LIVE_KEY)?.ok_or_else(|| storage(path, "it does not say how much it holds"))?;
    let [live] = read_numbers(stored.value())
        .ok_or_else(|| storage(path, "the checksum of its size is wrong"))?;
    let records = transaction
        .open_table(RECORDS)
        .map_err(|error| failed(error.into()))?;
    Ok(View {
        records: Arc::new(Fenced::new(records)),
        applied: Applied {
            index: LogIndex(index),
            term: Term(term),
            version: Version(version),
        },
        live,
    })
}

/// What a record takes of the file at the most, whatever the order in which they came. A leaf is split in
/// halves when it is full; a record of more than half a page has a leaf of its own, of a power of two of
/// bytes; and each leaf has its place in a branch, half-filled too, and that one in another. (A file that
/// is written in order has full leaves.)
pub fn footprint(key_length: usize, value_length: usize) -> u64 {
    /// Of a record in its leaf, and of the leaf: where keys and values end, counts.
    const ENTRY_BYTES: u64 = 16;
    /// Of a leaf in its branch: the number of its page and its checksum.
    const CHILD_BYTES: u64 = 28;
    let key = key_length as u64;
    let entry = key + (value_length + CRC_BYTES) as u64 + ENTRY_BYTES;
    let in_leaf = match 2 * entry > PAGE_BYTES {
        true => entry.next_power_of_two().max(PAGE_BYTES),
        false => 2 * entry,
    };
    in_leaf + (in_leaf * (key + CHILD_BYTES) * 5 / 2).div_ceil(PAGE_BYTES)
}

/// Numbers and their checksum.
fn numbers(numbers: &[u64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The numbers, if there are so many and their checksum is right.
fn read_numbers<const N: usize>(stored: &[u8]) -> Option<[u64; N]> {
    let (bytes, crc) = stored.split_last_chunk::<CRC_BYTES>()?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: &[[u8; 8]; N] = numbers.try_into().ok()?;
    rest.is_empty().then(|| numbers.map(u64::from_le_bytes))
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

/// The value without its checksum, if that is right.
fn checked<'a>(key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], TableError> {
    match stored.split_last_chunk::<CRC_BYTES>() {
        Some((value, crc)) if checksum(key, value) == u32::from_le_bytes(*crc) => Ok(value),
        _ => Err(TableError::Record {
            key: key.to_vec(),
            what: "its checksum is wrong".into(),
        }),
    }
}

pub(super) fn storage(path: &Path, what: impl ToString) -> TableError {
    TableError::Storage {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
