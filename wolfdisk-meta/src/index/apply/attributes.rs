//! Attributes: chmod, chown, truncate, utimes.

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::FILE_SIZE_MAX_BYTES;

use super::fail::{Done, Fail, require};
use super::{content, names, reap, xattrs};
use crate::index::op::{Answer, Effect, Op, SetTime};
use crate::index::record::Inode;
use crate::index::records::Records;
use crate::index::tx::Tx;

const PERMISSION_BITS: u32 = 0o7777;

/// `Op::SetAttr`. The change time is that of the entry unless one is given: a front-end that keeps
/// access times lazily passes the one it saw.
pub(crate) fn set<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::SetAttr {
        ino,
        permissions,
        uid,
        gid,
        size,
        atime,
        mtime,
        ctime,
        kill_suid,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let ino = *ino;
    let mut inode = match size {
        Some(_) => content::file(tx, ino)?,
        None => names::existing(tx, ino)?,
    };
    let before = inode.clone();
    if let Some(size) = size {
        resize(tx, ino, &mut inode, *size)?;
    }
    if uid.is_some() || gid.is_some() {
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
        if permissions.is_none() && !inode.is_directory() {
            content::kill_suid(&mut inode);
        }
    }
    if let Some(permissions) = permissions {
        inode.permissions = permissions & PERMISSION_BITS;
        xattrs::follow_chmod(tx, ino, &mut inode)?;
    }
    if *kill_suid && !inode.is_directory() {
        content::kill_suid(&mut inode);
    }
    if let Some(atime) = atime {
        inode.atime = content::time_of(tx, *atime);
    }
    if let Some(mtime) = mtime {
        inode.mtime = content::time_of(tx, *mtime);
    }
    inode.ctime = content::time_of(tx, ctime.unwrap_or(SetTime::Now));
    let effect = if size.is_some() {
        Effect::Data { ino }
    } else if only_read(&before, &inode) {
        Effect::AccessTime { ino }
    } else {
        Effect::Attr { ino }
    };
    tx.store_inode(ino, &mut inode);
    tx.effect(effect);
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

/// Nothing differs but the access time: a front-end kept one lazily. Whoever sets it otherwise changes
/// the change time too.
fn only_read(before: &Inode, after: &Inode) -> bool {
    let read = Inode {
        atime: after.atime,
        ..before.clone()
    };
    read == *after
}

fn resize<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode, size: u64) -> Done {
    require(size <= FILE_SIZE_MAX_BYTES, libc::EFBIG)?;
    if size > inode.size {
        reap::end_tail(tx, ino, inode)?;
    } else {
        // Also at the same size: what was reserved beyond the end goes, as on ext4.
        reap::begin_tail(tx, ino, inode, size)?;
    }
    inode.size = size;
    inode.mtime = tx.time;
    inode.content_version = tx.version();
    Ok(())
}
