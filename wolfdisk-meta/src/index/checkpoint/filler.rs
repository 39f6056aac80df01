//! Fills a new checkpoint's file with records as they come, by commits of a bounded size: a transaction keeps in memory
//! which pages it has made.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::disk::Disk;

use super::RedbTable;
use crate::index::KeyBytes;
use crate::index::table::{Applied, Change, Table, TableError};
use crate::limits::CHECKPOINT_COPY_PART_BYTES;

/// See the module.
pub struct Filler {
    table: RedbTable,
    applied: Applied,
    part: Vec<Change>,
    part_bytes: usize,
}

impl Filler {
    /// Makes the file at `path`, which says of itself that it is at `applied`.
    ///
    /// # Errors
    /// `Storage`; a file may have been left.
    pub fn create(
        disk: &Arc<dyn Disk>,
        path: &Path,
        cache_bytes: usize,
        applied: Applied,
    ) -> Result<Filler, TableError> {
        Ok(Filler {
            table: RedbTable::create(disk, path, cache_bytes)?,
            applied,
            part: Vec::new(),
            part_bytes: 0,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// `Storage`.
    pub fn record(&mut self, key: KeyBytes, value: Bytes) -> Result<(), TableError> {
        self.part_bytes += key.len() + value.len();
        self.part.push((key, Some(value)));
        match self.part_bytes >= CHECKPOINT_COPY_PART_BYTES {
            true => self.commit(),
            false => Ok(()),
        }
    }

    /// Everything is in it, durably.
    ///
    /// # Errors
    /// `Storage`.
    pub fn finish(mut self) -> Result<RedbTable, TableError> {
        self.commit()?;
        Ok(self.table)
    }

    fn commit(&mut self) -> Result<(), TableError> {
        let part = std::mem::take(&mut self.part);
        self.part_bytes = 0;
        self.table.commit(self.applied, &mut part.into_iter())
    }
}
