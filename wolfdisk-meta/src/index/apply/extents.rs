//! The extents of a file under a mutation, with everything that hangs on them: references of chunks,
//! the list of what is in the log, allocated bytes, usage.

use wolfdisk_common::ids::{ChunkId, Ino};

use super::chunks;
use super::fail::Done;
use crate::index::extent::Extent;
use crate::index::key::{self, Key};
use crate::index::read::extent_of;
use crate::index::record::{ExtentRecord, ExtentSource, Inode, Undestaged};
use crate::index::records::{Read, Records};
use crate::index::table::TableError;
use crate::index::tx::Tx;

/// Extents that have bytes in `[from, to)`, at most `limit`.
pub(crate) fn within<R: Read>(
    records: &R,
    ino: Ino,
    from: u64,
    to: u64,
    limit: usize,
) -> Result<Vec<Extent>, TableError> {
    let mut found = Vec::new();
    if from >= to || limit == 0 {
        return Ok(found);
    }
    records.each(
        &key::extents(ino, from),
        |key, record: ExtentRecord| match extent_of(&key, record) {
            Some(extent) if extent.start < to => {
                found.push(extent);
                found.len() < limit
            }
            _ => false,
        },
    )?;
    Ok(found)
}

/// The one extent of a file that has no other, if it is this range.
pub(crate) fn only<R: Records>(
    tx: &Tx<'_, R>,
    ino: Ino,
    inode: &Inode,
    from: u64,
    to: u64,
) -> Result<Option<Extent>, TableError> {
    if inode.allocated != to.saturating_sub(from) {
        return Ok(None);
    }
    let key = Key::Extent { ino, end: to };
    let found = tx.load::<ExtentRecord>(&key)?;
    let found = found.and_then(|record| extent_of(&key, record));
    Ok(found.filter(|extent| extent.start == from))
}

/// Makes `extent` the content of its range, joined with its neighbours where they go on.
pub(crate) fn insert<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    extent: Extent,
) -> Done {
    let mut references = References::default();
    put_in(tx, ino, inode, extent, &mut references)?;
    references.settle(tx)
}

/// As [`insert`], with the references of chunks to be settled later.
pub(crate) fn put_in<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    extent: Extent,
    references: &mut References,
) -> Done {
    let (start, end) = (extent.start, extent.end());
    let old = within(
        tx,
        ino,
        start.saturating_sub(1),
        end.saturating_add(1),
        usize::MAX,
    )?;
    let before = old.iter().filter_map(|old| old.part(0, start));
    let after = old.iter().filter_map(|old| old.part(end, u64::MAX));
    let mut new: Vec<Extent> = Vec::with_capacity(old.len() + 3);
    for next in before.chain(std::iter::once(extent.clone())).chain(after) {
        match new.last().and_then(|last| last.joined(&next)) {
            Some(joined) => {
                new.pop();
                new.push(joined);
            }
            None => new.push(next),
        }
    }
    exchange(tx, ino, inode, (&old, &new), references)
}

/// Swaps one extent for another of the same range that its neighbours do not go on with.
pub(crate) fn swap_one<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    (old, new): (Extent, Extent),
    references: &mut References,
) -> Done {
    exchange(tx, ino, inode, (&[old], &[new]), references)
}

/// Makes `[from, to)` a hole.
pub(crate) fn clear<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    from: u64,
    to: u64,
) -> Done {
    let old = within(tx, ino, from, to, usize::MAX)?;
    let around = |old: &Extent| [old.part(0, from), old.part(to, u64::MAX)];
    let new: Vec<Extent> = old.iter().flat_map(around).flatten().collect();
    exchange_and_settle(tx, ino, inode, &old, &new)
}

/// Removes what lies at or above `from`, at most `limit` extents of it; true if that was all.
pub(crate) fn remove_from<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    from: u64,
    limit: usize,
) -> Done<bool> {
    let mut old = within(tx, ino, from, u64::MAX, limit.saturating_add(1))?;
    let finished = old.len() <= limit;
    old.truncate(limit);
    let new: Vec<Extent> = old.iter().filter_map(|old| old.part(0, from)).collect();
    exchange_and_settle(tx, ino, inode, &old, &new)?;
    Ok(finished)
}

/// What changes for one chunk.
struct Delta {
    id: ChunkId,
    references: i64,
    bytes: i64,
}

/// What changes for chunks. A mutation that names one often writes its record once, at the end.
#[derive(Default)]
pub(crate) struct References(Vec<Delta>);

impl References {
    fn note(&mut self, extent: &Extent, sign: i64) {
        let ExtentSource::Chunk { id, .. } = extent.source else {
            return;
        };
        // A chunk is at most 4 MiB, so the length of an extent of one fits.
        let bytes = sign * extent.length as i64;
        match self.0.iter_mut().rev().find(|delta| delta.id == id) {
            Some(delta) => {
                delta.references += sign;
                delta.bytes += bytes;
            }
            None => self.0.push(Delta {
                id,
                references: sign,
                bytes,
            }),
        }
    }

    /// Writes the chunks' records.
    pub(crate) fn settle<R: Records>(self, tx: &mut Tx<'_, R>) -> Done {
        for Delta {
            id,
            references,
            bytes,
        } in self.0
        {
            chunks::adjust(tx, id, references, bytes)?;
        }
        Ok(())
    }
}

fn exchange_and_settle<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    old: &[Extent],
    new: &[Extent],
) -> Done {
    let mut references = References::default();
    exchange(tx, ino, inode, (old, new), &mut references)?;
    references.settle(tx)
}

/// Replaces extents by others, with everything that hangs on them; the references of chunks are noted.
fn exchange<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    (old, new): (&[Extent], &[Extent]),
    references: &mut References,
) -> Done {
    for extent in old.iter().filter(|extent| !new.contains(extent)) {
        tx.remove(&Key::Extent {
            ino,
            end: extent.end(),
        });
        if let Some(key) = undestaged_key(ino, extent) {
            tx.remove(&key);
            tx.counters.undestaged_bytes -= extent.length;
        }
        references.note(extent, -1);
    }
    let stamp = tx.version();
    for extent in new.iter().filter(|extent| !old.contains(extent)) {
        let record = ExtentRecord {
            stamp,
            length: extent.length,
            source: extent.source.clone(),
        };
        tx.store(
            &Key::Extent {
                ino,
                end: extent.end(),
            },
            &record,
        );
        if let Some(key) = undestaged_key(ino, extent) {
            tx.store(
                &key,
                &Undestaged {
                    stamp,
                    length: extent.length,
                },
            );
            tx.counters.undestaged_bytes += extent.length;
        }
        references.note(extent, 1);
    }
    let sum = |extents: &[Extent]| extents.iter().map(|extent| extent.length).sum::<u64>();
    let (before, after) = (sum(old), sum(new));
    inode.allocated = inode.allocated + after - before;
    Ok(tx.use_more(inode.project, i128::from(after) - i128::from(before), 0)?)
}

fn undestaged_key(ino: Ino, extent: &Extent) -> Option<Key> {
    match extent.source {
        ExtentSource::Log { log_index, offset } => Some(Key::Undestaged {
            log_index,
            log_offset: offset,
            ino,
            end: extent.end(),
        }),
        ExtentSource::Chunk { .. } | ExtentSource::Inline { .. } | ExtentSource::Zero => None,
    }
}
