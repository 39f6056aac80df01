//! New names: for a new inode, and for one that has a name already.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::{LINK_MAX, SYMLINK_MAX_BYTES};
use wolfdisk_common::name::FileName;

use super::fail::{Done, Fail, require};
use super::names;
use super::xattrs;
use crate::index::acl::{self, Acl};
use crate::index::key::Key;
use crate::index::op::{Answer, Effect, Kind, Op};
use crate::index::record::{Inode, NewInode, Xattr};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

const PERMISSION_BITS: u32 = 0o7777;

/// `Op::Create`.
pub(crate) fn create<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::Create {
        parent,
        name,
        kind,
        permissions,
        umask,
        uid,
        gid,
        rdev,
        symlink,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let parent = *parent;
    let mut directory = names::directory(tx, parent)?;
    require(names::find(tx, parent, name)?.is_none(), libc::EEXIST)?;
    require(*kind == Kind::Symlink || symlink.is_empty(), libc::EINVAL)?;
    require(symlink.len() <= SYMLINK_MAX_BYTES, libc::ENAMETOOLONG)?;
    require(*kind != Kind::Symlink || !symlink.is_empty(), libc::ENOENT)?;
    require(
        *kind != Kind::Directory || directory.nlink < LINK_MAX,
        libc::EMLINK,
    )?;

    let new = NewInode {
        kind: *kind,
        permissions: *permissions,
        uid: *uid,
        gid: *gid,
        rdev: if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
            *rdev
        } else {
            0
        },
        symlink: symlink.clone(),
        parent,
        name: names::bytes_of(name),
        project: directory.project,
    };
    let (ino, mut inode) = new_inode(tx, &directory, new, *umask)?;
    let cookie = names::add(tx, parent, &mut directory, name, ino, *kind)?;
    if *kind == Kind::Directory {
        directory.nlink += 1;
    }
    tx.store_inode(ino, &mut inode);
    tx.store_inode(parent, &mut directory);
    tx.effect(Effect::Attr { ino: parent });
    Ok(Answer {
        inodes: vec![ino, parent],
        cookie,
        ..Answer::default()
    })
}

/// The next inode's number.
pub(crate) fn next_ino<R: Records>(tx: &mut Tx<'_, R>) -> Done<Ino> {
    let ino = tx.counters.next_ino;
    require(ino < Ino::SYSTEM_ROOT, libc::ENOSPC)?;
    tx.counters.next_ino = Ino(ino.0 + 1);
    Ok(ino)
}

/// Makes an inode whose first name is in `directory`; its owner and permissions are as the caller gave them. Name and
/// inode are for the caller to write.
pub(crate) fn new_inode<R: Records>(
    tx: &mut Tx<'_, R>,
    directory: &Inode,
    new: NewInode,
    umask: u32,
) -> Done<(Ino, Inode)> {
    let ino = next_ino(tx)?;
    let mut inode = Inode::new(new, tx.version(), tx.time);
    settle(tx, ino, &mut inode, directory, umask)?;
    tx.use_more(inode.project, 0, 1)?;
    Ok((ino, inode))
}

/// Gives an inode what it gets from the directory of its first name, its parent: group, set-gid, access lists.
pub(crate) fn settle<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    directory: &Inode,
    umask: u32,
) -> Done {
    let setgid = directory.permissions & libc::S_ISGID != 0;
    let inherited = inherited_acl(tx, inode.parent, directory, inode.kind)?;
    inode.permissions &= PERMISSION_BITS;
    if inherited.is_none() {
        inode.permissions &= !umask;
    }
    if setgid {
        inode.gid = directory.gid;
        if inode.is_directory() {
            inode.permissions |= libc::S_ISGID;
        }
    }
    if inode.kind == Kind::Symlink {
        inode.permissions = 0o777;
    }
    match inherited {
        Some((default, raw)) => inherit(tx, ino, inode, default, raw),
        None => Ok(()),
    }
}

/// The default ACL that a new inode of this kind inherits.
fn inherited_acl<R: Records>(
    tx: &Tx<'_, R>,
    parent: Ino,
    directory: &Inode,
    kind: Kind,
) -> Done<Option<(Acl, Bytes)>> {
    if !directory.acl_default || kind == Kind::Symlink {
        return Ok(None);
    }
    let name = Bytes::from_static(acl::DEFAULT);
    let Some(xattr) = tx.load::<Xattr>(&Key::Xattr { ino: parent, name })? else {
        return Ok(None);
    };
    Ok(Acl::parse(&xattr.value).map(|parsed| (parsed, xattr.value)))
}

/// Gives a new inode what its directory's default ACL says (`posix_acl_create` of Linux).
fn inherit<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    mut acl: Acl,
    default: Bytes,
) -> Done {
    inode.permissions = acl.create_masq(inode.permissions);
    if !acl.is_only_mode() {
        xattrs::place(tx, ino, inode, acl::ACCESS, acl.encode())?;
        inode.acl_access = true;
    }
    if inode.is_directory() {
        xattrs::place(tx, ino, inode, acl::DEFAULT, default)?;
        inode.acl_default = true;
    }
    Ok(())
}

/// `Op::Link`.
pub(crate) fn link<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    parent: Ino,
    name: &FileName,
) -> Done<Answer> {
    let mut inode = names::existing(tx, ino)?;
    let mut directory = names::directory(tx, parent)?;
    require(names::find(tx, parent, name)?.is_none(), libc::EEXIST)?;
    require(!inode.is_directory(), libc::EPERM)?;
    require(inode.nlink > 0, libc::ENOENT)?;
    require(inode.nlink < LINK_MAX, libc::EMLINK)?;
    names::link_added(tx, ino, &mut inode, parent, name);
    inode.ctime = tx.time;
    let cookie = names::add(tx, parent, &mut directory, name, ino, inode.kind)?;
    tx.store_inode(ino, &mut inode);
    tx.store_inode(parent, &mut directory);
    tx.effect(Effect::Attr { ino: parent });
    tx.effect(Effect::Attr { ino });
    Ok(Answer {
        inodes: vec![ino, parent],
        cookie,
        ..Answer::default()
    })
}
