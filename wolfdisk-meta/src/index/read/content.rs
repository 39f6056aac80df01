//! The content of files: which bytes are where, and what is still in the log.

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino, LogIndex, Version};

use crate::index::Index;
use crate::index::extent::Extent;
use crate::index::key::{self, Key};
use crate::index::record::{ExtentRecord, ExtentSource, Undestaged};
use crate::index::records::{Read, Records};
use crate::index::table::TableError;

/// Where a piece of a mapped range is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the extent record")]
pub enum MapSource {
    Chunk {
        id: ChunkId,
        chunk_length: u32,
        offset: u32,
    },
    Log {
        log_index: LogIndex,
        offset: u32,
    },
    Inline(Bytes),
    /// Zeroes that are allocated.
    Zero,
    /// Zeroes that are not.
    Hole,
}

/// A piece of a mapped range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapPiece {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Where they are.
    pub source: MapSource,
}

/// A mapped range: the pieces cover `[offset, covered_to)` without gaps, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// The file's size.
    pub size: u64,
    /// The file's content version.
    pub content_version: Version,
    /// Where the pieces end: the end of the range or of the file, or earlier at the limit.
    pub covered_to: u64,
    /// The pieces.
    pub pieces: Vec<MapPiece>,
}

/// An extent whose data is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndestagedRange {
    /// The file.
    pub ino: Ino,
    /// Where the extent begins.
    pub offset: u64,
    /// Its length.
    pub length: u64,
    /// The entry.
    pub log_index: LogIndex,
    /// Offset in the entry's payload.
    pub log_offset: u32,
}

/// An extent whose data is in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRange {
    /// The file.
    pub ino: Ino,
    /// Where the extent begins.
    pub offset: u64,
    /// Its length.
    pub length: u64,
    /// The chunk.
    pub chunk: ChunkId,
    /// Where in it.
    pub chunk_offset: u32,
}

/// What one look over extents found.
#[derive(Clone, Debug, Default)]
pub struct ChunkRanges {
    /// In the order of files and offsets.
    pub ranges: Vec<ChunkRange>,
    /// Where to go on; none: these were the last.
    pub next: Option<(Ino, u64)>,
}

impl From<ExtentSource> for MapSource {
    fn from(source: ExtentSource) -> MapSource {
        match source {
            ExtentSource::Chunk {
                id,
                chunk_length,
                offset,
            } => MapSource::Chunk {
                id,
                chunk_length,
                offset,
            },
            ExtentSource::Log { log_index, offset } => MapSource::Log { log_index, offset },
            ExtentSource::Inline { bytes } => MapSource::Inline(bytes),
            ExtentSource::Zero => MapSource::Zero,
        }
    }
}

impl<R: Records> Index<R> {
    /// The pieces of a range of a file, at most `max_pieces`; none if there is no such inode.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn map(
        &self,
        ino: Ino,
        offset: u64,
        length: u64,
        max_pieces: usize,
    ) -> Result<Option<Map>, TableError> {
        let Some(inode) = self.inode(ino)? else {
            return Ok(None);
        };
        let end = offset.saturating_add(length).min(inode.size);
        let mut pieces = Vec::new();
        let mut at = offset;
        self.records()
            .each(&key::extents(ino, offset), |key, record: ExtentRecord| {
                let Some(extent) = extent_of(&key, record) else {
                    return true;
                };
                let Some(part) = extent.part(at, end) else {
                    return false;
                };
                if part.start > at && pieces.len() < max_pieces {
                    let length = part.start - at;
                    pieces.push(MapPiece {
                        offset: at,
                        length,
                        source: MapSource::Hole,
                    });
                    at = part.start;
                }
                if pieces.len() >= max_pieces {
                    return false;
                }
                at = part.end();
                let (offset, length) = (part.start, part.length);
                pieces.push(MapPiece {
                    offset,
                    length,
                    source: part.source.into(),
                });
                at < end
            })?;
        if at < end && pieces.len() < max_pieces {
            pieces.push(MapPiece {
                offset: at,
                length: end - at,
                source: MapSource::Hole,
            });
            at = end;
        }
        let (size, content_version) = (inode.size, inode.content_version);
        Ok(Some(Map {
            size,
            content_version,
            covered_to: at,
            pieces,
        }))
    }

    /// Extents whose data is in the log from entry `from` on, oldest first, at most `limit`.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn undestaged(
        &self,
        from: LogIndex,
        limit: usize,
    ) -> Result<Vec<UndestagedRange>, TableError> {
        let (_, to) = key::undestaged();
        let first = Key::Undestaged {
            log_index: from,
            log_offset: 0,
            ino: Ino(0),
            end: 0,
        };
        let mut found = Vec::new();
        self.records()
            .each(&(first.encode(), to), |key, record: Undestaged| {
                if let Key::Undestaged {
                    log_index,
                    log_offset,
                    ino,
                    end,
                } = key
                    && found.len() < limit
                {
                    let length = record.length;
                    let offset = end.saturating_sub(length);
                    found.push(UndestagedRange {
                        ino,
                        offset,
                        length,
                        log_index,
                        log_offset,
                    });
                }
                found.len() < limit
            })?;
        Ok(found)
    }

    /// Those of the extents after `(ino, end)` whose data is in a chunk that is `wanted`; looks at `limit`
    /// extents at the most.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn extents_in(
        &self,
        (ino, end): (Ino, u64),
        limit: usize,
        wanted: &dyn Fn(&ChunkId) -> bool,
    ) -> Result<ChunkRanges, TableError> {
        let mut found = ChunkRanges::default();
        let mut left = limit;
        self.records().each(
            &key::extents_after(ino, end),
            |key, record: ExtentRecord| {
                let &Key::Extent { ino, end } = &key else {
                    return true;
                };
                let offset = end.saturating_sub(record.length);
                if let ExtentSource::Chunk {
                    id: chunk,
                    offset: chunk_offset,
                    ..
                } = record.source
                    && wanted(&chunk)
                {
                    found.ranges.push(ChunkRange {
                        ino,
                        offset,
                        length: record.length,
                        chunk,
                        chunk_offset,
                    });
                }
                left -= 1;
                found.next = (left == 0).then_some((ino, end));
                left > 0
            },
        )?;
        Ok(found)
    }

    /// The first log entry whose data an extent needs; entries before it may be truncated once they
    /// are in a checkpoint.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn first_needed_log_index(&self) -> Result<Option<LogIndex>, TableError> {
        let first = self.undestaged(LogIndex(0), 1)?;
        Ok(first.first().map(|range| range.log_index))
    }

    /// Bytes of extents whose data is in the log.
    pub fn undestaged_bytes(&self) -> u64 {
        self.counters().undestaged_bytes
    }
}

/// The extent that a key and its record are.
pub(crate) fn extent_of(key: &Key, record: ExtentRecord) -> Option<Extent> {
    match key {
        Key::Extent { end, .. } => Some(Extent {
            start: end.checked_sub(record.length)?,
            length: record.length,
            source: record.source,
        }),
        _ => None,
    }
}
