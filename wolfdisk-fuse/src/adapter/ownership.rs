//! What only the owner of an inode may do, checked with the owner that it has now.
//!
//! The kernel checks first, but before a change of attributes, and before a name is taken from a sticky
//! directory, it asks for no attributes: it goes by the owner that it last heard of, who may have given the
//! inode away on another mount since. Root is trusted with what the kernel found, and so is everybody where there is no
//! other mount: there the kernel also sets times on its own account, as whoever it happens to work for.

use wolfdisk_client::{Attr, Error, FileKind, Lookup, Result, SetAttr, SetTime};
use wolfdisk_common::ids::Ino;

use super::Adapter;
use super::xattrs::ACL_ACCESS;
use crate::caller::Caller;

const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
/// Permission to write, as one of three bits.
const WRITE: u32 = 2;
/// Head and entries of an ACL as an extended attribute.
const ACL_HEAD_BYTES: usize = 4;
const ACL_ENTRY_BYTES: usize = 8;

impl Adapter {
    /// What the kernel found counts.
    fn is_checked(&self, caller: Caller) -> bool {
        caller.is_root() || self.granted.writes_back
    }

    /// Whether `caller` may make `change`: `EPERM` or `EACCES` if not.
    pub(super) fn may_set(&self, ino: Ino, change: &SetAttr, caller: Caller) -> Result<()> {
        if self.is_checked(caller) {
            return Ok(());
        }
        let (attr, _) = self.volume.getattr(ino)?;
        if caller.owns(&attr) {
            let given_away = change.uid.is_some_and(|uid| uid != attr.uid);
            let strange_group = change
                .gid
                .is_some_and(|gid| gid != attr.gid && !caller.is_member(gid));
            return allowed(
                !(given_away || strange_group) || caller.may_chown(&attr),
                libc::EPERM,
            );
        }
        let changes_owner = change.uid.is_some() || change.gid.is_some();
        if changes_owner && !caller.may_chown(&attr) {
            return Err(Error::Refused(libc::EPERM));
        }
        let sets_mode = change
            .permissions
            .is_some_and(|permissions| !changes_owner && !takes_set_id(&attr, permissions));
        let times = times_of(change);
        let owners = sets_mode || times == Times::Set;
        if (owners || times == Times::Touched) && caller.acts_as_owner(&attr) {
            return Ok(());
        }
        allowed(!owners, libc::EPERM)?;
        let may_write = times == Times::Left || self.may_write(&attr, caller)?;
        allowed(may_write, libc::EACCES)
    }

    /// Whether `caller` may set or remove an ACL.
    pub(super) fn may_set_acl(&self, ino: Ino, caller: Caller) -> Result<()> {
        if self.is_checked(caller) {
            return Ok(());
        }
        let (attr, _) = self.volume.getattr(ino)?;
        allowed(caller.acts_as_owner(&attr), libc::EPERM)
    }

    /// Whether `caller` may take the name, if there is one, from a directory that it may write.
    pub(super) fn may_take(&self, parent: Ino, name: &[u8], caller: Caller) -> Result<()> {
        if self.is_checked(caller) {
            return Ok(());
        }
        let (directory, _) = self.volume.getattr(parent)?;
        if directory.permissions & libc::S_ISVTX == 0 || caller.owns(&directory) {
            return Ok(());
        }
        match self.volume.lookup(parent, name)? {
            Lookup::Found(entry) => allowed(caller.acts_as_owner(&entry.attr), libc::EPERM),
            Lookup::Missing { .. } => Ok(()),
        }
    }

    /// Whether the permissions, or the ACL, let somebody write who does not own the inode.
    fn may_write(&self, attr: &Attr, caller: Caller) -> Result<bool> {
        if caller.overrides_permissions(attr) {
            return Ok(true);
        }
        if attr.has_xattr {
            match self.volume.get_xattr(attr.ino, ACL_ACCESS) {
                Ok(acl) => return Ok(acl_lets_write(&acl, attr.gid, caller)),
                Err(Error::Refused(libc::ENODATA)) => {}
                Err(error) => return Err(error),
            }
        }
        let shift = if caller.is_member(attr.gid) { 3 } else { 0 };
        Ok(attr.permissions >> shift & WRITE != 0)
    }
}

fn allowed(is: bool, errno: i32) -> Result<()> {
    if is {
        Ok(())
    } else {
        Err(Error::Refused(errno))
    }
}

/// How a program wants times changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Left,
    /// Both to now, which who may write may do.
    Touched,
    Set,
}

fn times_of(change: &SetAttr) -> Times {
    match (change.atime, change.mtime) {
        (None, None) => Times::Left,
        // That of content is changed with the size.
        (None, Some(SetTime::Now)) if change.size.is_some() => Times::Left,
        (Some(SetTime::Now), Some(SetTime::Now)) => Times::Touched,
        _ => Times::Set,
    }
}

/// Not the wish of a program but what a change of the content by anybody entails, where the kernel sees to
/// that: set-id bits go and nothing else changes.
fn takes_set_id(attr: &Attr, permissions: u32) -> bool {
    let taken = attr.permissions & !permissions;
    attr.kind == FileKind::File
        && taken != 0
        && taken & !SET_ID == 0
        && permissions & !attr.permissions == 0
}

/// What `posix_acl_permission` of the kernel says of somebody who is not the owner.
fn acl_lets_write(acl: &[u8], group: u32, caller: Caller) -> bool {
    const USER: u16 = 0x02;
    const GROUP_OBJ: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    let entries = acl.get(ACL_HEAD_BYTES..).unwrap_or_default();
    let entries: Vec<(u16, bool, u32)> = entries
        .chunks_exact(ACL_ENTRY_BYTES)
        .filter_map(|entry| {
            let (tag, rest) = entry.split_first_chunk::<2>()?;
            let (bits, rest) = rest.split_first_chunk::<2>()?;
            let (who, _) = rest.split_first_chunk::<4>()?;
            let writes = u32::from(u16::from_le_bytes(*bits)) & WRITE != 0;
            Some((u16::from_le_bytes(*tag), writes, u32::from_le_bytes(*who)))
        })
        .collect();
    let of = |tag| {
        entries
            .iter()
            .find(|entry| entry.0 == tag)
            .map(|entry| entry.1)
    };
    let mask = of(MASK).unwrap_or(true);
    let user = entries
        .iter()
        .find(|(tag, _, who)| *tag == USER && *who == caller.uid);
    if let Some((_, writes, _)) = user {
        return *writes && mask;
    }
    let groups: Vec<bool> = entries
        .iter()
        .filter(|(tag, _, who)| match *tag {
            GROUP_OBJ => caller.is_member(group),
            GROUP => caller.is_member(*who),
            _ => false,
        })
        .map(|entry| entry.1)
        .collect();
    if groups.is_empty() {
        of(OTHER).unwrap_or(false)
    } else {
        groups.contains(&true) && mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut acl = vec![2, 0, 0, 0];
        for (tag, bits, who) in entries {
            acl.extend_from_slice(&tag.to_le_bytes());
            acl.extend_from_slice(&bits.to_le_bytes());
            acl.extend_from_slice(&who.to_le_bytes());
        }
        acl
    }

    #[test]
    fn an_acl_is_asked_in_the_order_of_the_kernel() {
        let ann = Caller {
            uid: 1001,
            gid: 1001,
            tid: 0,
        };
        let (user, object, group, mask, other) = (
            (2, 6, 1001),
            (4, 0, 0),
            (8, 6, 1001),
            (16, 6, 0),
            (32, 6, 0),
        );
        let narrow = (16, 4, 0);
        let lets = |entries: &[(u16, u16, u32)], group| acl_lets_write(&acl(entries), group, ann);
        assert!(lets(&[user, object, mask, other], 5));
        assert!(
            !lets(&[user, object, narrow, other], 5),
            "the mask holds for users"
        );
        assert!(
            !lets(&[(2, 4, 1001), object, mask, other], 5),
            "a user who is named is not asked for as other"
        );
        assert!(lets(&[object, group, mask, other], 5));
        assert!(
            lets(&[object, group, mask, other], 1001),
            "one of its groups is enough"
        );
        assert!(
            !lets(&[object, group, narrow, other], 5),
            "the mask holds for groups"
        );
        assert!(
            !lets(&[object, mask, other], 1001),
            "a member is not asked for as other"
        );
        assert!(
            lets(&[object, mask, other], 5),
            "the mask does not hold for others"
        );
    }
}
