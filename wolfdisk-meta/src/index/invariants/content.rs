//! Extents, the chunks that they name, and what of the content is still in the log.

use std::collections::BTreeMap;

use wolfdisk_common::ids::{ChunkId, Ino, Version};

use super::Inspection;
use super::breach::Breach;
use super::inodes::{HAS_EXTENTS, hash};
use super::plan::ChunkFix;
use super::walk::Walk;
use crate::index::codec::{DecodeError, Wire};
use crate::index::extent::Extent;
use crate::index::key::{self, Key, KeyRange};
use crate::index::op::RepairUsage;
use crate::index::read::extent_of;
use crate::index::record::{
    Chunk, ExtentRecord, ExtentSource, Garbage, Inode, Sparse, Undestaged, Usage,
};
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::limits;

/// What is held of a chunk: what its record says, less what was counted.
struct Row {
    id: ChunkId,
    length: u32,
    counted: u32,
    references: i64,
    bytes: i64,
    /// Its marks, and whether it is to have a sparse one by what its record says.
    garbage: bool,
    sparse: bool,
    is_sparse: bool,
}

/// All chunks, ascending.
#[derive(Default)]
pub(super) struct Chunks {
    rows: Vec<Row>,
    /// Named by extents, but without a record.
    unknown: BTreeMap<ChunkId, u64>,
}

/// A set of pieces in the log, by count and sum of hashes.
#[derive(Default, PartialEq, Eq)]
struct InLog {
    count: u64,
    sum: u64,
    bytes: u64,
}

impl InLog {
    fn add(&mut self, key: &Key, length: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash(&(key.encode(), length)));
        self.bytes = self.bytes.wrapping_add(length);
    }
}

impl Chunks {
    fn find(&mut self, id: &ChunkId) -> Option<&mut Row> {
        let at = self.rows.binary_search_by_key(id, |row| row.id).ok()?;
        self.rows.get_mut(at)
    }

    /// Ids, lengths, and whether extents name them.
    pub(super) fn summary(self) -> Vec<(ChunkId, u32, bool)> {
        let rows = self.rows.into_iter();
        rows.map(|row| (row.id, row.length, row.counted > 0))
            .collect()
    }
}

/// The extents of one file, as far as they were walked over.
#[derive(Default)]
struct File {
    ino: Option<Ino>,
    bytes: u64,
    last: Option<Extent>,
    overlaps: bool,
    untidy: bool,
    misfit: bool,
    short_inline: bool,
}

impl File {
    fn add(&mut self, extent: Extent) {
        if let Some(last) = &self.last {
            self.overlaps |= last.end() > extent.start;
            // Inline ones may come to be joinable when they are cut; that is not worth a second look.
            let inline = matches!(last.source, ExtentSource::Inline { .. });
            self.untidy |= !inline && last.joined(&extent).is_some();
        }
        self.bytes = self.bytes.saturating_add(extent.length);
        self.last = Some(extent);
    }
}

impl<R: Read> Inspection<'_, R> {
    pub(super) fn content(&mut self) -> Result<(), TableError> {
        self.take_chunks()?;
        let in_log = self.extents()?;
        self.undestaged(&in_log)?;
        self.close_chunks()
    }

    fn take_chunks(&mut self) -> Result<(), TableError> {
        let chunks = &mut self.chunks;
        self.walk
            .each::<Chunk>(key::chunks(), &mut |_, key, chunk| {
                if let Key::Chunk { id } = key {
                    chunks.rows.push(Row {
                        id,
                        length: chunk.length,
                        counted: 0,
                        references: chunk.references.cast_signed(),
                        bytes: chunk.live_bytes.cast_signed(),
                        garbage: false,
                        sparse: false,
                        is_sparse: chunk.is_sparse(),
                    });
                }
                Ok(())
            })?;
        self.take_marks::<Garbage>("garbage mark", key::garbage(None), |row| {
            row.garbage = true;
        })?;
        self.take_marks::<Sparse>("sparse mark", key::sparse(None), |row| row.sparse = true)
    }

    /// Notes the marks of one kind; one of a chunk that is not there is taken off.
    fn take_marks<T: Wire>(
        &mut self,
        what: &'static str,
        range: KeyRange,
        note: impl Fn(&mut Row),
    ) -> Result<(), TableError> {
        let chunks = &mut self.chunks;
        let mut strays = Vec::new();
        self.walk.each::<T>(range, &mut |_, key, _| {
            let (Key::Garbage { id } | Key::Sparse { id }) = key else {
                return Ok(());
            };
            match chunks.find(&id) {
                Some(row) => note(row),
                None => strays.push((id, key)),
            }
            Ok(())
        })?;
        for (id, key) in strays {
            let expected = self.walk.raw(&key)?;
            let fix = expected.and_then(|expected| self.plan.record::<T>(&key, expected, None));
            let breach = Breach::Chunk {
                id,
                what,
                found: 1,
                counted: 0,
            };
            self.walk.tell(breach, fix);
        }
        Ok(())
    }

    fn extents(&mut self) -> Result<InLog, TableError> {
        let mut in_log = InLog::default();
        let mut file = File::default();
        let mut files = Vec::new();
        let (chunks, inodes) = (&mut self.chunks, &mut self.inodes);
        let mut close = |walk: &Walk<'_, R>, file: File| {
            let Some(ino) = file.ino else { return Ok(()) };
            inodes.mark(ino, HAS_EXTENTS);
            let inode = walk.lookup::<Inode>(&Key::Inode { ino })?;
            if let Some(inode) = &inode {
                let (bytes, _) = inodes.usage.entry(inode.project).or_default();
                *bytes = bytes.saturating_add(file.bytes);
            }
            let allocated = inode.map(|inode| inode.allocated);
            let odd = file.overlaps || file.untidy || file.misfit || file.short_inline;
            if odd || allocated != Some(file.bytes) {
                files.push((ino, allocated, file));
            }
            Ok::<(), TableError>(())
        };
        self.walk
            .each::<ExtentRecord>(key::all_extents(), &mut |walk, key, record| {
                let extent = extent_of(&key, record).ok_or(DecodeError::Range("length"))?;
                let Key::Extent { ino, end } = key else {
                    return Ok(());
                };
                if file.ino != Some(ino) {
                    let next = File {
                        ino: Some(ino),
                        ..File::default()
                    };
                    close(walk, std::mem::replace(&mut file, next))?;
                }
                match &extent.source {
                    ExtentSource::Chunk {
                        id,
                        chunk_length,
                        offset,
                    } => {
                        let fits = u64::from(*offset) + extent.length <= u64::from(*chunk_length);
                        file.misfit |= !chunks.name(id, *chunk_length, extent.length) || !fits;
                    }
                    &ExtentSource::Log { log_index, offset } => {
                        let key = Key::Undestaged {
                            log_index,
                            log_offset: offset,
                            ino,
                            end,
                        };
                        in_log.add(&key, extent.length);
                    }
                    ExtentSource::Inline { bytes } => {
                        file.short_inline |= bytes.len() as u64 != extent.length;
                    }
                    ExtentSource::Zero => {}
                }
                file.add(extent);
                Ok(())
            })?;
        close(&self.walk, file)?;
        for (ino, allocated, file) in files {
            self.wrong_file(ino, allocated, &file);
        }
        Ok(in_log)
    }

    fn wrong_file(&mut self, ino: Ino, allocated: Option<u64>, file: &File) {
        if self.walk.is_stopped() {
            return;
        }
        for (holds, what) in [
            (file.overlaps, "extents overlap"),
            (file.untidy, Breach::UNTIDY),
            (file.misfit, "an extent does not fit its chunk"),
            (
                file.short_inline,
                "inline bytes are not as long as their extent",
            ),
            (allocated.is_none(), "extents of an inode that is missing"),
        ] {
            if holds {
                self.walk.shape(ino, what);
            }
        }
        if let Some(found) = allocated.filter(|found| *found != file.bytes) {
            let fix = self.plan.inode(ino, |fix| fix.allocated = Some(file.bytes));
            self.compare(ino, "allocated", found, file.bytes, fix);
        }
    }

    /// The list of what is in the log, against the extents.
    fn undestaged(&mut self, expected: &InLog) -> Result<(), TableError> {
        let mut listed = InLog::default();
        self.walk
            .each::<Undestaged>(key::undestaged(), &mut |_, key, record| {
                listed.add(&key, record.length);
                Ok(())
            })?;
        if self.walk.is_stopped() {
            return Ok(());
        }
        if listed != *expected {
            self.missing_in_list()?;
            self.strays_in_list()?;
        }
        let (found, counted) = (self.counters.undestaged_bytes, expected.bytes);
        if found != counted {
            let by = counted.wrapping_sub(found).cast_signed();
            let fix = self
                .plan
                .counters(|counters| counters.undestaged_bytes = by);
            let what = "undestaged bytes";
            let breach = Breach::Counter {
                what,
                found,
                counted,
            };
            self.walk.tell(breach, Some(fix));
        }
        Ok(())
    }

    /// Extents in the log that the list does not have.
    fn missing_in_list(&mut self) -> Result<(), TableError> {
        let mut missing = Vec::new();
        self.walk
            .each::<ExtentRecord>(key::all_extents(), &mut |walk, key, record| {
                let Key::Extent { ino, end } = key else {
                    return Ok(());
                };
                let ExtentSource::Log { log_index, offset } = record.source else {
                    return Ok(());
                };
                let key = Key::Undestaged {
                    log_index,
                    log_offset: offset,
                    ino,
                    end,
                };
                let listed = walk.lookup::<Undestaged>(&key)?;
                if listed.is_none_or(|listed| listed.length != record.length)
                    && missing.len() < limits::REPAIRS_MAX
                {
                    missing.push((ino, key, record.length));
                }
                Ok(())
            })?;
        for (ino, key, length) in missing {
            let record = Undestaged {
                stamp: Version(0),
                length,
            };
            let expected = self.walk.raw(&key)?;
            let fix = expected.and_then(|expected| self.plan.record(&key, expected, Some(&record)));
            let what = "content in the log is not listed";
            self.walk.tell(Breach::Shape { ino, what }, fix);
        }
        Ok(())
    }

    /// Entries of the list that no extent stands for.
    fn strays_in_list(&mut self) -> Result<(), TableError> {
        let mut strays = Vec::new();
        self.walk
            .each::<Undestaged>(key::undestaged(), &mut |walk, key, _| {
                let Key::Undestaged {
                    log_index,
                    log_offset,
                    ino,
                    end,
                } = key
                else {
                    return Ok(());
                };
                let extent = walk.lookup::<ExtentRecord>(&Key::Extent { ino, end })?;
                let stands = extent.is_some_and(|extent| {
                    let offset = log_offset;
                    extent.source == ExtentSource::Log { log_index, offset }
                });
                if !stands && strays.len() < limits::REPAIRS_MAX {
                    strays.push((ino, key));
                }
                Ok(())
            })?;
        for (ino, key) in strays {
            let expected = self.walk.raw(&key)?;
            let fix =
                expected.and_then(|expected| self.plan.record::<Undestaged>(&key, expected, None));
            let what = "the list of content in the log names what is not there";
            self.walk.tell(Breach::Shape { ino, what }, fix);
        }
        Ok(())
    }

    fn close_chunks(&mut self) -> Result<(), TableError> {
        if self.walk.is_stopped() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.chunks.rows);
        let mut garbage = 0;
        for row in &rows {
            let unused = row.counted == 0;
            garbage += u64::from(unused);
            let counts = row.references == 0 && row.bytes == 0;
            if counts && row.garbage == unused && row.sparse == row.is_sparse {
                continue;
            }
            let found = self.walk.lookup::<Chunk>(&Key::Chunk { id: row.id })?;
            let Some(found) = found else { continue };
            let counted = ChunkFix {
                references: found
                    .references
                    .wrapping_sub(row.references.cast_unsigned()),
                bytes: found.live_bytes.wrapping_sub(row.bytes.cast_unsigned()),
            };
            let sparse = counted.applied(&found).is_sparse();
            let fix = self.plan.chunk(row.id, counted);
            for (what, found, counted) in [
                ("references", found.references, counted.references),
                ("live_bytes", found.live_bytes, counted.bytes),
                ("garbage mark", u64::from(row.garbage), u64::from(unused)),
                ("sparse mark", u64::from(row.sparse), u64::from(sparse)),
            ] {
                let id = row.id;
                let breach = Breach::Chunk {
                    id,
                    what,
                    found,
                    counted,
                };
                if found != counted {
                    self.walk.tell(breach, fix);
                }
            }
        }
        for (id, counted) in std::mem::take(&mut self.chunks.unknown) {
            self.walk.found(Breach::Chunk {
                id,
                what: "references",
                found: 0,
                counted,
            });
        }
        for (what, found, counted) in [
            ("chunks", self.counters.chunks, rows.len() as u64),
            ("garbage", self.counters.garbage, garbage),
        ] {
            if found == counted {
                continue;
            }
            let by = counted.wrapping_sub(found).cast_signed();
            let fix = self.plan.counters(|counters| match what {
                "chunks" => counters.chunks = by,
                _ => counters.garbage = by,
            });
            let breach = Breach::Counter {
                what,
                found,
                counted,
            };
            self.walk.tell(breach, Some(fix));
        }
        self.chunks.rows = rows;
        Ok(())
    }

    /// What projects use.
    pub(super) fn totals(&mut self) {
        let mut counted = std::mem::take(&mut self.inodes.usage);
        let mut said = Vec::new();
        let walked = self
            .walk
            .each::<Usage>(key::usages(), &mut |_, key, usage| {
                if let Key::Usage { project } = key {
                    said.push((project, usage.bytes, usage.inodes));
                }
                Ok(())
            });
        if walked.is_err() || self.walk.is_stopped() {
            return;
        }
        for (project, bytes, inodes) in said {
            let counted = counted.remove(&project).unwrap_or_default();
            self.usage(project, (bytes, inodes), counted);
        }
        for (project, counted) in counted {
            self.usage(project, (0, 0), counted);
        }
    }

    fn usage(&mut self, project: u32, found: (u64, u64), counted: (u64, u64)) {
        if found == counted {
            return;
        }
        let fix = self.plan.usage(RepairUsage {
            project,
            bytes: counted.0.wrapping_sub(found.0).cast_signed(),
            inodes: counted.1.wrapping_sub(found.1).cast_signed(),
        });
        for (what, found, counted) in [
            ("bytes", found.0, counted.0),
            ("inodes", found.1, counted.1),
        ] {
            let breach = Breach::Usage {
                project,
                what,
                found,
                counted,
            };
            if found != counted {
                self.walk.tell(breach, Some(fix));
            }
        }
    }
}

impl Chunks {
    /// Counts an extent; false if its chunk is known with another length.
    fn name(&mut self, id: &ChunkId, length: u32, bytes: u64) -> bool {
        match self.find(id) {
            Some(row) => {
                row.counted = row.counted.saturating_add(1);
                row.references -= 1;
                row.bytes = row.bytes.wrapping_sub_unsigned(bytes);
                row.length == length
            }
            None => {
                if self.unknown.len() < limits::REPAIRS_MAX {
                    *self.unknown.entry(*id).or_default() += 1;
                }
                true
            }
        }
    }
}
