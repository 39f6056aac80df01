//! Reserving, punching and zeroing ranges.

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::FILE_SIZE_MAX_BYTES;

use super::fail::{Done, require};
use super::{content, extents, reap};
use crate::index::extent::Extent;
use crate::index::key::Key;
use crate::index::op::{Answer, SetTime};
use crate::index::record::{ExtentSource, Inode, Usage};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

const KEEP_SIZE: u32 = libc::FALLOC_FL_KEEP_SIZE as u32;
const PUNCH_HOLE: u32 = libc::FALLOC_FL_PUNCH_HOLE as u32;
const ZERO_RANGE: u32 = libc::FALLOC_FL_ZERO_RANGE as u32;

/// `Op::Fallocate`.
pub(crate) fn fallocate<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    mode: u32,
    offset: u64,
    length: u64,
) -> Done<Answer> {
    require(length > 0, libc::EINVAL)?;
    let action = mode & !KEEP_SIZE;
    require(
        matches!(action, 0 | PUNCH_HOLE | ZERO_RANGE),
        libc::EOPNOTSUPP,
    )?;
    require(
        action != PUNCH_HOLE || mode & KEEP_SIZE != 0,
        libc::EOPNOTSUPP,
    )?;
    let mut inode = content::file(tx, ino)?;
    let end = content::end_of(offset, length)?;
    reap::end_tail(tx, ino, &mut inode)?;
    match action {
        PUNCH_HOLE => extents::clear(tx, ino, &mut inode, offset, end)?,
        ZERO_RANGE => {
            room_for(tx, &inode, length)?;
            extents::insert(tx, ino, &mut inode, zeroes(offset, end))?;
        }
        _ => {
            room_for(tx, &inode, length)?;
            fill_holes(tx, ino, &mut inode, offset, end)?;
        }
    }
    if mode & KEEP_SIZE == 0 {
        inode.size = inode.size.max(end);
    }
    content::changed(tx, ino, &mut inode, SetTime::Now);
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

fn zeroes(from: u64, to: u64) -> Extent {
    Extent {
        start: from,
        length: to - from,
        source: ExtentSource::Zero,
    }
}

fn fill_holes<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    from: u64,
    to: u64,
) -> Done {
    let mut at = from;
    for extent in extents::within(tx, ino, from, to, usize::MAX)? {
        if extent.start > at {
            extents::insert(tx, ino, inode, zeroes(at, extent.start))?;
        }
        at = extent.end();
    }
    if at < to {
        extents::insert(tx, ino, inode, zeroes(at, to))?;
    }
    Ok(())
}

/// The usage of a project stays countable. How much there really is, the service knows.
pub(crate) fn room_for<R: Records>(tx: &Tx<'_, R>, inode: &Inode, length: u64) -> Done {
    let usage = tx
        .load::<Usage>(&Key::Usage {
            project: inode.project,
        })?
        .unwrap_or_default();
    let after = usage.bytes.saturating_add(length);
    require(after <= FILE_SIZE_MAX_BYTES, libc::ENOSPC)
}
