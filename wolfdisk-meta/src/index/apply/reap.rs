//! Deleting the extents of inodes, at most so many in one entry: the rest waits in the queue of
//! [`Reap`] records for entries of its own.

use wolfdisk_common::ids::Ino;

use super::extents;
use super::fail::Done;
use crate::index::key::{self, Key};
use crate::index::op::{Answer, Effect};
use crate::index::record::{Inode, Reap};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;
use crate::limits::REAP_INLINE_EXTENTS;

/// Deletes an inode without links and holders; or begins to, if it has many extents.
pub(crate) fn begin<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode) -> Done {
    tx.effect(Effect::Gone { ino });
    if extents::remove_from(tx, ino, inode, 0, REAP_INLINE_EXTENTS)? {
        return vanish(tx, ino, inode);
    }
    let stamp = tx.version();
    tx.store(&Key::Reap { ino }, &Reap { stamp, from: 0 });
    tx.store_inode(ino, inode);
    Ok(())
}

/// Deletes the tail of a file that was truncated to `from`; or begins to.
pub(crate) fn begin_tail<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    from: u64,
) -> Done {
    if !extents::remove_from(tx, ino, inode, from, REAP_INLINE_EXTENTS)? {
        let from = inode.dead_from.map_or(from, |earlier| earlier.min(from));
        inode.dead_from = Some(from);
        let stamp = tx.version();
        tx.store(&Key::Reap { ino }, &Reap { stamp, from });
    } else if inode.dead_from.take().is_some() {
        tx.remove(&Key::Reap { ino });
    }
    Ok(())
}

/// Ends at once what is left of a tail that is being deleted: its range is wanted again.
pub(crate) fn end_tail<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode) -> Done {
    if let Some(from) = inode.dead_from.take() {
        extents::remove_from(tx, ino, inode, from, usize::MAX)?;
        tx.remove(&Key::Reap { ino });
    }
    Ok(())
}

/// `Op::Reap`: the next `count` extents.
pub(crate) fn step<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, count: u32) -> Done<Answer> {
    let key = Key::Reap { ino };
    let Some(reap) = tx.load::<Reap>(&key)? else {
        return Ok(Answer::default());
    };
    let mut inode = tx.inode(ino)?;
    let finished = extents::remove_from(tx, ino, &mut inode, reap.from, count.max(1) as usize)?;
    if finished {
        tx.remove(&key);
        inode.dead_from = None;
    }
    let unused = inode.nlink == 0 && tx.keys(&key::orphan_holders(ino), 1)?.is_empty();
    if finished && unused {
        vanish(tx, ino, &mut inode)?;
    } else {
        tx.store_inode(ino, &mut inode);
        tx.effect(Effect::Attr { ino });
    }
    Ok(Answer::default())
}

/// The last of an inode. Its extents are gone.
fn vanish<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode) -> Done {
    if inode.has_xattr() {
        for key in tx.keys(&key::xattrs(ino), usize::MAX)? {
            tx.remove(&key);
        }
    }
    for key in tx.keys(&key::locks(ino), usize::MAX)? {
        if let Key::Lock { session, .. } = key {
            tx.remove(&Key::SessionLock { session, ino });
        }
        tx.remove(&key);
    }
    tx.use_more(inode.project, 0, -1)?;
    if inode.dead_from.is_some() {
        tx.remove(&Key::Reap { ino });
    }
    tx.remove(&Key::Inode { ino });
    Ok(())
}
