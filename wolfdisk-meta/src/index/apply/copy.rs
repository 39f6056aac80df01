//! Copying a range by sharing its extents. No data moves.

use super::fail::{Done, Fail, require};
use super::{content, extents, fallocate, reap};
use crate::index::extent::Extent;
use crate::index::op::{Answer, Op, SetTime};
use crate::index::records::Records;
use crate::index::tx::Tx;
use crate::limits::COPY_EXTENTS_MAX;

/// `Op::CopyRange`. The answer's offset is how many bytes were copied: fewer than asked at the end of
/// the source, or where an entry would grow too large.
pub(crate) fn copy<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let &Op::CopyRange {
        source,
        source_offset,
        target,
        target_offset,
        length,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let from = content::file(tx, source)?;
    let mut inode = content::file(tx, target)?;
    content::end_of(target_offset, length)?;
    let source_end = content::end_of(source_offset, length)?.min(from.size);
    let apart = target_offset.abs_diff(source_offset) >= length;
    require(source != target || apart, libc::EINVAL)?;
    let answer = Answer {
        inodes: vec![target],
        ..Answer::default()
    };
    if source_offset >= source_end {
        return Ok(answer);
    }
    reap::end_tail(tx, target, &mut inode)?;
    let (pieces, end) = shared(tx, op, source_end)?;
    let copied = end - source_offset;
    fallocate::room_for(tx, &inode, copied)?;
    extents::clear(
        tx,
        target,
        &mut inode,
        target_offset,
        target_offset + copied,
    )?;
    for piece in pieces {
        let start = piece.start - source_offset + target_offset;
        extents::insert(tx, target, &mut inode, piece.moved(start))?;
    }
    inode.size = inode.size.max(target_offset + copied);
    content::changed(tx, target, &mut inode, SetTime::Now);
    Ok(Answer {
        offset: copied,
        ..answer
    })
}

/// The parts of the source that are shared, and where in the source they end.
fn shared<R: Records>(tx: &Tx<'_, R>, op: &Op, source_end: u64) -> Done<(Vec<Extent>, u64)> {
    let &Op::CopyRange {
        source,
        source_offset,
        ..
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let found = extents::within(tx, source, source_offset, source_end, COPY_EXTENTS_MAX)?;
    let part = |extent: &Extent| extent.part(source_offset, source_end);
    let pieces: Vec<Extent> = found.iter().filter_map(part).collect();
    let end = match pieces.last() {
        Some(last) if pieces.len() == COPY_EXTENTS_MAX => last.end(),
        _ => source_end,
    };
    Ok((pieces, end))
}
