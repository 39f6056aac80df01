//! Extended attributes, and the two of them that are ACLs.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::{XATTR_LIST_MAX_BYTES, XATTR_NAME_MAX_BYTES, XATTR_VALUE_MAX_BYTES};

use super::fail::{Done, Fail, require};
use super::names;
use crate::index::acl::{self, Acl};
use crate::index::key::Key;
use crate::index::op::{Answer, Effect, Kind, Op};
use crate::index::record::{Inode, Xattr};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;
use crate::limits::XATTR_TOTAL_MAX_BYTES;

/// `Op::SetXattr`.
pub(crate) fn set<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::SetXattr {
        ino,
        name,
        value,
        create,
        replace,
        keep_setgid,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let ino = *ino;
    require(
        !name.is_empty() && name.len() <= XATTR_NAME_MAX_BYTES,
        libc::ERANGE,
    )?;
    require(value.len() <= XATTR_VALUE_MAX_BYTES, libc::E2BIG)?;
    let mut inode = names::existing(tx, ino)?;
    let key = Key::Xattr {
        ino,
        name: name.clone(),
    };
    let old = tx.load::<Xattr>(&key)?;
    require(!(*create && old.is_some()), libc::EEXIST)?;
    require(!*replace || old.is_some(), libc::ENODATA)?;
    let (permissions, value) = match name.as_ref() {
        acl::ACCESS => access_acl(&inode, value, *keep_setgid)?,
        acl::DEFAULT => (inode.permissions, default_acl(&inode, value)?),
        _ => (inode.permissions, Some(value.clone())),
    };
    // As on ext4: what is set to what it is keeps its time.
    if permissions == inode.permissions && value == old.map(|old| old.value) {
        return Ok(answer(ino));
    }
    inode.permissions = permissions;
    match value {
        Some(value) => place(tx, ino, &mut inode, name, value)?,
        None => take(tx, ino, &mut inode, name).map(drop)?,
    }
    Ok(finish(tx, ino, &mut inode))
}

/// `Op::RemoveXattr`.
pub(crate) fn remove<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, name: &Bytes) -> Done<Answer> {
    let mut inode = names::existing(tx, ino)?;
    require(take(tx, ino, &mut inode, name)?, libc::ENODATA)?;
    Ok(finish(tx, ino, &mut inode))
}

fn finish<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode) -> Answer {
    inode.ctime = tx.time;
    tx.store_inode(ino, inode);
    tx.effect(Effect::Attr { ino });
    answer(ino)
}

fn answer(ino: Ino) -> Answer {
    Answer {
        inodes: vec![ino],
        ..Answer::default()
    }
}

/// The ACL in a value; none if it has no entries, which asks for its removal.
fn parse(inode: &Inode, value: &Bytes) -> Done<Option<Acl>> {
    require(inode.kind != Kind::Symlink, libc::EOPNOTSUPP)?;
    let acl = Acl::parse(value).ok_or(Fail::Errno(libc::EINVAL))?;
    Ok(if acl.is_empty() { None } else { Some(acl) })
}

/// The permissions that an access ACL brings, and what is kept of it beside them.
fn access_acl(inode: &Inode, value: &Bytes, keep_setgid: bool) -> Done<(u32, Option<Bytes>)> {
    let acl = parse(inode, value)?;
    let mut permissions = inode.permissions;
    if let Some(acl) = &acl {
        permissions = (permissions & !0o777) | acl.mode();
        if !keep_setgid {
            permissions &= !libc::S_ISGID;
        }
    }
    let kept = acl.filter(|acl| !acl.is_only_mode());
    Ok((permissions, kept.map(|acl| acl.encode())))
}

/// What is kept of a default ACL.
fn default_acl(inode: &Inode, value: &Bytes) -> Done<Option<Bytes>> {
    let acl = parse(inode, value)?;
    require(acl.is_none() || inode.is_directory(), libc::EACCES)?;
    Ok(acl.map(|acl| acl.encode()))
}

/// An access ACL follows a change of mode (`posix_acl_chmod` of Linux).
pub(crate) fn follow_chmod<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode) -> Done {
    if !inode.acl_access {
        return Ok(());
    }
    let name = Bytes::from_static(acl::ACCESS);
    let Some(xattr) = tx.load::<Xattr>(&Key::Xattr { ino, name })? else {
        return Ok(());
    };
    let Some(mut acl) = Acl::parse(&xattr.value) else {
        return Ok(());
    };
    acl.chmod(inode.permissions);
    place(tx, ino, inode, acl::ACCESS, acl.encode())
}

/// Sets an attribute and keeps the inode's counts. The caller writes the inode.
pub(crate) fn place<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    name: &[u8],
    value: Bytes,
) -> Done {
    let name = Bytes::copy_from_slice(name);
    take(tx, ino, inode, &name)?;
    inode.xattr_count += 1;
    inode.xattr_name_bytes += name.len() as u64 + 1;
    inode.xattr_bytes += (name.len() + value.len()) as u64;
    require(
        inode.xattr_name_bytes <= XATTR_LIST_MAX_BYTES as u64,
        libc::ENOSPC,
    )?;
    require(inode.xattr_bytes <= XATTR_TOTAL_MAX_BYTES, libc::ENOSPC)?;
    mark(inode, &name, true);
    let stamp = tx.version();
    // Copied, since a slice of the entry would keep all of it in memory.
    let value = Bytes::copy_from_slice(&value);
    tx.store(&Key::Xattr { ino, name }, &Xattr { stamp, value });
    Ok(())
}

/// Removes an attribute, if it is there: true then. The caller writes the inode.
fn take<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, inode: &mut Inode, name: &Bytes) -> Done<bool> {
    let key = Key::Xattr {
        ino,
        name: name.clone(),
    };
    let Some(old) = tx.load::<Xattr>(&key)? else {
        return Ok(false);
    };
    inode.xattr_count -= 1;
    inode.xattr_name_bytes -= name.len() as u64 + 1;
    inode.xattr_bytes -= (name.len() + old.value.len()) as u64;
    mark(inode, name, false);
    tx.remove(&key);
    Ok(true)
}

fn mark(inode: &mut Inode, name: &[u8], there: bool) {
    match name {
        acl::ACCESS => inode.acl_access = there,
        acl::DEFAULT => inode.acl_default = there,
        _ => {}
    }
}
