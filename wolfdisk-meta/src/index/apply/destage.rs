//! Moving data from the log, or from chunks of which little is left, into other chunks. The content of files
//! stays as it is, so nobody's cache minds.

use wolfdisk_common::ids::{ChunkId, Ino};

use super::extents::References;
use super::fail::{Done, Fail, require};
use super::{chunks, extents};
use crate::index::extent::Extent;
use crate::index::op::{Answer, DestageChunk, DestageMove, RepackMove};
use crate::index::record::ExtentSource;
use crate::index::records::Records;
use crate::index::tx::Tx;

/// `Op::Destage`. Of each range, what still is the data that was moved is swapped; the rest has been
/// written over, and stays.
pub(crate) fn destage<R: Records>(
    tx: &mut Tx<'_, R>,
    packed: &[DestageChunk],
    moves: &[DestageMove],
) -> Done<Answer> {
    acquire(tx, packed)?;
    let mut references = References::default();
    for step in moves {
        let place = Place {
            ino: step.ino,
            from: step.offset,
            length: step.length,
        };
        let target = target(packed, step.chunk, step.chunk_offset, step.length)?;
        swap(tx, &place, &target, &mut references, |source, skipped| {
            matches!(source, ExtentSource::Log { log_index, offset } if *log_index == step.log_index
                && u64::from(*offset) == u64::from(step.log_offset) + skipped)
        })?;
    }
    references.settle(tx)?;
    Ok(Answer::default())
}

/// `Op::Repack`. Likewise; a range that was written over and holds the same bytes of the same chunk again
/// is as good as one that was not.
pub(crate) fn repack<R: Records>(
    tx: &mut Tx<'_, R>,
    sources: &[ChunkId],
    packed: &[DestageChunk],
    moves: &[RepackMove],
) -> Done<Answer> {
    acquire(tx, packed)?;
    let mut references = References::default();
    for step in moves {
        let place = Place {
            ino: step.ino,
            from: step.offset,
            length: step.length,
        };
        let from = sources
            .get(step.source as usize)
            .ok_or(Fail::Errno(libc::EINVAL))?;
        let target = target(packed, step.chunk, step.chunk_offset, step.length)?;
        swap(tx, &place, &target, &mut references, |source, skipped| {
            matches!(source, ExtentSource::Chunk { id, offset, .. } if id == from
                && u64::from(*offset) == u64::from(step.source_offset) + skipped)
        })?;
    }
    references.settle(tx)?;
    Ok(Answer::default())
}

/// A range of a file.
struct Place {
    ino: Ino,
    from: u64,
    length: u64,
}

/// Where its bytes are now.
struct Target<'a> {
    chunk: &'a DestageChunk,
    offset: u32,
}

fn acquire<R: Records>(tx: &mut Tx<'_, R>, packed: &[DestageChunk]) -> Done {
    for chunk in packed {
        chunks::acquire(tx, chunk.id, chunk.length, &chunk.receipts)?;
    }
    Ok(())
}

fn target(packed: &[DestageChunk], chunk: u32, offset: u32, length: u64) -> Done<Target<'_>> {
    let chunk = packed
        .get(chunk as usize)
        .ok_or(Fail::Errno(libc::EINVAL))?;
    let end = u64::from(offset).checked_add(length);
    require(
        end.is_some_and(|end| end <= u64::from(chunk.length)),
        libc::EINVAL,
    )?;
    Ok(Target { chunk, offset })
}

/// Swaps those parts of a range that `unchanged` knows by their source and their distance from its start.
fn swap<R: Records>(
    tx: &mut Tx<'_, R>,
    place: &Place,
    target: &Target<'_>,
    references: &mut References,
    unchanged: impl Fn(&ExtentSource, u64) -> bool,
) -> Done {
    let Some(mut inode) = tx.find_inode(place.ino)? else {
        return Ok(());
    };
    let to = place.from.saturating_add(place.length);
    let moved = |part: &Extent, skipped: u64| Extent {
        start: part.start,
        length: part.length,
        source: ExtentSource::Chunk {
            id: target.chunk.id,
            chunk_length: target.chunk.length,
            offset: target.offset + skipped as u32,
        },
    };
    // Most files are small and were written at once: no neighbours to look for.
    if let Some(old) = extents::only(tx, place.ino, &inode, place.from, to)? {
        if unchanged(&old.source, 0) {
            let new = moved(&old, 0);
            extents::swap_one(tx, place.ino, &mut inode, (old, new), references)?;
        }
        return Ok(());
    }
    let found = extents::within(tx, place.ino, place.from, to, usize::MAX)?;
    for part in found
        .iter()
        .filter_map(|extent| extent.part(place.from, to))
    {
        let skipped = part.start - place.from;
        if unchanged(&part.source, skipped) {
            let swapped = moved(&part, skipped);
            extents::put_in(tx, place.ino, &mut inode, swapped, references)?;
        }
    }
    Ok(())
}
