//! What all changes of a file's content share.

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::FILE_SIZE_MAX_BYTES;
use wolfdisk_common::time::Timestamp;

use super::fail::{Done, Fail, require};
use super::names;
use crate::index::key;
use crate::index::op::{Effect, Kind, SetTime};
use crate::index::record::Inode;
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// A regular file whose content may be changed.
pub(crate) fn file<R: Records>(tx: &Tx<'_, R>, ino: Ino) -> Done<Inode> {
    let inode = names::existing(tx, ino)?;
    match inode.kind {
        Kind::File => {}
        Kind::Directory => return Err(Fail::Errno(libc::EISDIR)),
        _ => return Err(Fail::Errno(libc::EINVAL)),
    }
    // Without links and holders it is being deleted in steps.
    let wanted = inode.nlink > 0 || !tx.keys(&key::orphan_holders(ino), 1)?.is_empty();
    require(wanted, libc::ESTALE)?;
    Ok(inode)
}

/// The end of a range, if a file can reach so far.
pub(crate) fn end_of(offset: u64, length: u64) -> Done<u64> {
    let end = offset
        .checked_add(length)
        .filter(|end| *end <= FILE_SIZE_MAX_BYTES);
    end.ok_or(Fail::Errno(libc::EFBIG))
}

/// Writes the inode of a file whose content has changed.
pub(crate) fn changed<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode, mtime: SetTime) {
    inode.content_version = tx.version();
    inode.mtime = time_of(tx, mtime);
    // A buffered write was made earlier: who looked meanwhile was told that time, and a program that
    // compares it (tar) must not see another change when the write arrives. It never goes back.
    inode.ctime = inode.mtime.min(tx.time).max(inode.ctime);
    tx.store_inode(ino, inode);
    tx.effect(Effect::Data { ino });
}

/// The time that is meant.
pub(crate) fn time_of<R: Records>(tx: &Tx<'_, R>, time: SetTime) -> Timestamp {
    match time {
        SetTime::Now => tx.time,
        SetTime::At(time) => time,
    }
}

/// Clears what a write by somebody without privilege clears: set-user-id, and set-group-id where it
/// is no mark for mandatory locking.
pub(crate) fn kill_suid(inode: &mut Inode) {
    inode.permissions &= !libc::S_ISUID;
    if inode.permissions & libc::S_IXGRP != 0 {
        inode.permissions &= !libc::S_ISGID;
    }
}
