//! Names and inodes: looking up, attributes, making and linking nodes.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuser::{ReplyAttr, ReplyData, ReplyEntry, TimeOrNow};
use wolfdisk_client::{
    Attr, Entry, Error, FileKind, Lookup, NewNode, RenameFlags, Result, SetAttr, SetTime,
};
use wolfdisk_common::ids::Ino;

use super::{Adapter, answer};
use crate::caller::Caller;
use crate::numbers::root;
use crate::time::{received, received_or_now};

/// Permission, set-id and sticky bits.
const PERMISSIONS: u32 = 0o7777;
/// Says with which capabilities a program runs.
const CAPABILITY: &[u8] = b"security.capability";
/// Permissions of every symbolic link.
const SYMLINK_PERMISSIONS: u32 = 0o777;

/// The kind of node that `mknod(2)` is to make; no type means a file.
pub fn kind_of_new(mode: u32) -> Option<FileKind> {
    match mode & libc::S_IFMT {
        0 => Some(FileKind::File),
        libc::S_IFDIR | libc::S_IFLNK => None,
        _ => FileKind::from_mode(mode),
    }
}

/// A node to be made. `rdev` stays in the encoding of the kernel.
pub fn node(kind: FileKind, mode: u32, umask: u32, caller: Caller, rdev: u32) -> NewNode {
    NewNode {
        kind,
        permissions: mode & PERMISSIONS,
        umask,
        uid: caller.uid,
        gid: caller.gid,
        rdev: u64::from(rdev),
        symlink: Bytes::new(),
    }
}

/// A symbolic link to be made.
pub fn symlink(target: &[u8], caller: Caller) -> NewNode {
    let symlink = Bytes::copy_from_slice(target);
    NewNode {
        symlink,
        ..node(FileKind::Symlink, SYMLINK_PERMISSIONS, 0, caller, 0)
    }
}

/// How a rename treats its target; `None` for flags that are not supported (`RENAME_WHITEOUT`).
pub fn rename_flags(flags: fuser::RenameFlags) -> Option<RenameFlags> {
    let known = fuser::RenameFlags::RENAME_NOREPLACE | fuser::RenameFlags::RENAME_EXCHANGE;
    let parsed = RenameFlags {
        no_replace: flags.contains(fuser::RenameFlags::RENAME_NOREPLACE),
        exchange: flags.contains(fuser::RenameFlags::RENAME_EXCHANGE),
    };
    (known.contains(flags) && !(parsed.no_replace && parsed.exchange)).then_some(parsed)
}

/// A change of attributes. The kernel clears set-id bits by `mode` itself where a change of owner or
/// size demands it.
pub fn change(
    mode: Option<u32>,
    (uid, gid): (Option<u32>, Option<u32>),
    size: Option<u64>,
    (atime, mtime, ctime): (Option<TimeOrNow>, Option<TimeOrNow>, Option<SystemTime>),
) -> SetAttr {
    SetAttr {
        permissions: mode.map(|mode| mode & PERMISSIONS),
        uid,
        gid,
        size,
        atime: atime.map(received_or_now),
        mtime: mtime.map(received_or_now),
        ctime: ctime.map(|time| SetTime::At(received(time))),
        kill_suid: false,
    }
}

impl Adapter {
    /// Looks up a name; "." and ".." come from an NFS server that has only a file handle.
    pub(super) fn look_up(&self, parent: Ino, name: &[u8], reply: ReplyEntry) {
        let stamp = self.freshness.stamp();
        let result = match name {
            b"." => self.by_number(parent),
            // Nothing of the mount is above its root.
            b".." if parent == root() => self.by_number(parent),
            b".." => self
                .volume
                .getattr(parent)
                .and_then(|(attr, _)| self.by_number(attr.parent)),
            name => self.volume.lookup(parent, name),
        };
        match result {
            Ok(Lookup::Found(entry)) => self.send_entry(reply, stamp, entry),
            Ok(Lookup::Missing { valid }) => self.send_missing(reply, stamp, valid),
            Err(error) => answer::failed(reply, "lookup", parent.0, &error),
        }
    }

    /// An inode whose name is not known.
    fn by_number(&self, ino: Ino) -> Result<Lookup> {
        let (attr, attr_valid) = self.volume.living(ino)?;
        Ok(Lookup::Found(Entry {
            attr,
            entry_valid: Duration::ZERO,
            attr_valid,
        }))
    }

    pub(super) fn get_attributes(&self, ino: Ino, reply: ReplyAttr) {
        let stamp = self.freshness.stamp();
        match self.volume.getattr(ino) {
            Ok((attr, valid)) => self.send_attr(reply, stamp, attr, valid),
            Err(error) => answer::failed_inode(reply, "getattr", ino.0, &error),
        }
    }

    pub(super) fn set_attributes(
        &self,
        ino: Ino,
        change: SetAttr,
        caller: Caller,
        reply: ReplyAttr,
    ) {
        let stamp = self.freshness.stamp();
        if change.atime.is_some() {
            self.times.set(ino);
        }
        let change = self
            .may_set(ino, &change, caller)
            .and_then(|()| match change.size {
                Some(_) => self.without_privileges(ino, change, caller),
                None => Ok(change),
            });
        match change.and_then(|change| self.volume.setattr(ino, change)) {
            Ok((attr, valid)) => self.send_attr(reply, stamp, attr, valid),
            Err(error) => answer::failed_inode(reply, "setattr", ino.0, &error),
        }
    }

    /// Clears set-id bits of a file that `caller` changes, if they are there and it has no right to
    /// leave them. The kernel takes size and times for changed then, but not the mode: it is told.
    pub(super) fn clear_set_id(&self, ino: Ino, caller: Caller) -> std::result::Result<(), Error> {
        let (attr, _) = self.volume.getattr(ino)?;
        if !loses_set_id(&attr, caller) {
            return Ok(());
        }
        // A group's mark for mandatory locking goes too, if it is a stranger who writes; the index does
        // not know who does.
        let is_mark = attr.permissions & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID;
        let without = attr.permissions & !(libc::S_ISUID | libc::S_ISGID);
        let takes_mark = is_mark && !caller.is_in_group(attr.gid);
        self.volume
            .setattr(
                ino,
                SetAttr {
                    permissions: takes_mark.then_some(without),
                    kill_suid: true,
                    ..SetAttr::default()
                },
            )
            .map(|_| self.volume.forget_above(ino))
    }

    /// Before a change of a file's content other than a write: what the kernel leaves to us, and the
    /// mark for mandatory locking, which it never takes.
    pub(super) fn clear_privileges(
        &self,
        ino: Ino,
        caller: Caller,
    ) -> std::result::Result<(), Error> {
        self.clear_set_id(ino, caller)?;
        if self.granted.clears_privileges {
            self.clear_capability(ino)?;
        }
        Ok(())
    }

    /// The same before a change of the size. Where the kernel clears set-id bits itself it does so with
    /// the same request, which must not bring back the mark.
    fn without_privileges(
        &self,
        ino: Ino,
        change: SetAttr,
        caller: Caller,
    ) -> std::result::Result<SetAttr, Error> {
        self.clear_privileges(ino, caller)?;
        let Some(permissions) = change.permissions else {
            return Ok(change);
        };
        let left = self.volume.getattr(ino)?.0.permissions;
        Ok(SetAttr {
            permissions: Some(permissions & (left | !(libc::S_ISUID | libc::S_ISGID))),
            ..change
        })
    }

    /// Takes the capabilities from a file that is changed, whoever does it.
    pub(super) fn clear_capability(&self, ino: Ino) -> std::result::Result<(), Error> {
        if !self.volume.getattr(ino)?.0.has_xattr {
            return Ok(());
        }
        let gone = |result| match result {
            Err(Error::Refused(libc::ENODATA)) => Ok(()),
            other => other,
        };
        match self.volume.get_xattr(ino, CAPABILITY) {
            Ok(_) => gone(self.volume.remove_xattr(ino, CAPABILITY)),
            Err(error) => gone(Err(error)),
        }
    }

    pub(super) fn read_link(&self, ino: Ino, reply: ReplyData) {
        match self.volume.readlink(ino) {
            Ok(target) => {
                if let Ok((attr, _)) = self.volume.getattr(ino) {
                    self.times.touched(&attr);
                }
                reply.data(&target);
            }
            Err(error) => answer::failed_inode(reply, "readlink", ino.0, &error),
        }
    }

    pub(super) fn make(&self, parent: Ino, name: &[u8], node: NewNode, reply: ReplyEntry) {
        let stamp = self.freshness.stamp();
        match self.volume.create(parent, name, node) {
            Ok(entry) => self.send_entry(reply, stamp, entry),
            Err(error) => answer::failed(reply, "create", parent.0, &error),
        }
    }

    pub(super) fn make_link(&self, ino: Ino, parent: Ino, name: &[u8], reply: ReplyEntry) {
        let stamp = self.freshness.stamp();
        match self.volume.link(ino, parent, name) {
            Ok(entry) => self.send_entry(reply, stamp, entry),
            Err(error) => answer::failed(reply, "link", ino.0, &error),
        }
    }
}

/// Whether a change of the content by `caller` takes set-id bits from the file: the rule of the kernel
/// for local file systems.
fn loses_set_id(attr: &Attr, caller: Caller) -> bool {
    if attr.kind != FileKind::File || attr.permissions & (libc::S_ISUID | libc::S_ISGID) == 0 {
        return false;
    }
    (has_set_id(attr.permissions) || !caller.is_in_group(attr.gid)) && !caller.keeps_set_id_bits()
}

/// Whether running the file would change user or group. Set-gid without execution by the group marks
/// mandatory locking, by old custom, and stays.
pub fn has_set_id(permissions: u32) -> bool {
    let group = libc::S_ISGID | libc::S_IXGRP;
    permissions & libc::S_ISUID != 0 || permissions & group == group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_cannot_both_keep_and_swap_and_whiteouts_are_refused() {
        use fuser::RenameFlags as Raw;
        let none = Some(RenameFlags::default());
        assert_eq!(rename_flags(Raw::empty()), none);
        assert!(rename_flags(Raw::RENAME_NOREPLACE).is_some_and(|flags| flags.no_replace));
        assert!(rename_flags(Raw::RENAME_EXCHANGE).is_some_and(|flags| flags.exchange));
        for bad in [
            Raw::RENAME_WHITEOUT,
            Raw::RENAME_NOREPLACE | Raw::RENAME_EXCHANGE,
            Raw::from_bits_retain(1 << 9),
        ] {
            assert_eq!(rename_flags(bad), None);
        }
    }

    #[test]
    fn mknod_makes_all_kinds_but_directories_and_links() {
        assert_eq!(kind_of_new(0o644), Some(FileKind::File));
        assert_eq!(kind_of_new(libc::S_IFIFO | 0o600), Some(FileKind::Fifo));
        assert_eq!(kind_of_new(libc::S_IFDIR | 0o700), None);
        assert_eq!(kind_of_new(libc::S_IFLNK | 0o700), None);
    }

    #[test]
    fn set_gid_without_execution_is_no_set_id() {
        assert!(has_set_id(0o4644) && has_set_id(0o2755));
        assert!(!has_set_id(0o2644) && !has_set_id(0o1777));
    }
}
