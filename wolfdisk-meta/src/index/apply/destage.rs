//! Moving data from the log into chunks. The content of files stays as it is, so nobody's cache minds.

use super::fail::{Done, Fail, require};
use super::{chunks, extents};
use crate::index::extent::Extent;
use crate::index::key::Key;
use crate::index::op::{Answer, DestageChunk, DestageMove};
use crate::index::record::{ExtentSource, Inode};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// `Op::Destage`. Of each range, what still is the data that was moved is swapped; the rest has been
/// written over, and stays.
pub(crate) fn destage<R: Records>(
    tx: &mut Tx<'_, R>,
    packed: &[DestageChunk],
    moves: &[DestageMove],
) -> Done<Answer> {
    for chunk in packed {
        chunks::acquire(tx, chunk.id, chunk.length, &chunk.receipts)?;
    }
    for step in moves {
        let chunk = packed
            .get(step.chunk as usize)
            .ok_or(Fail::Errno(libc::EINVAL))?;
        let end = u64::from(step.chunk_offset).checked_add(step.length);
        require(
            end.is_some_and(|end| end <= u64::from(chunk.length)),
            libc::EINVAL,
        )?;
        swap(tx, step, chunk)?;
    }
    Ok(Answer::default())
}

fn swap<R: Records>(tx: &mut Tx<'_, R>, step: &DestageMove, chunk: &DestageChunk) -> Done {
    let Some(mut inode) = tx.load::<Inode>(&Key::Inode { ino: step.ino })? else {
        return Ok(());
    };
    let to = step.offset.saturating_add(step.length);
    let found = extents::within(tx, step.ino, step.offset, to, usize::MAX)?;
    for part in found
        .iter()
        .filter_map(|extent| extent.part(step.offset, to))
    {
        let skipped = part.start - step.offset;
        let unchanged = matches!(
            part.source,
            ExtentSource::Log { log_index, offset } if log_index == step.log_index
                && u64::from(offset) == u64::from(step.log_offset) + skipped
        );
        if unchanged {
            let source = ExtentSource::Chunk {
                id: chunk.id,
                chunk_length: chunk.length,
                offset: step.chunk_offset + skipped as u32,
            };
            let swapped = Extent {
                start: part.start,
                length: part.length,
                source,
            };
            extents::insert(tx, step.ino, &mut inode, swapped)?;
        }
    }
    Ok(())
}
