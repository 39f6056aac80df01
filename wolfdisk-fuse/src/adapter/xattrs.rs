//! Extended attributes and POSIX ACLs.
//!
//! The kernel has checked who may use which namespace, but for one: a listing hides `trusted` from
//! those who could not read it.

use fuser::{Errno, ReplyEmpty, ReplyXattr};
use wolfdisk_client::{Error, Result, XattrMode};
use wolfdisk_common::ids::Ino;

use super::{Adapter, Refuse, answer};
use crate::caller::Caller;

/// The ACL that grants access.
pub(super) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// The ACL that new entries of a directory inherit.
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
/// Namespaces whose attributes are kept as they are.
const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// The one that only administrators see.
const TRUSTED: &[u8] = b"trusted.";

fn is_acl(name: &[u8]) -> bool {
    name == ACL_ACCESS || name == ACL_DEFAULT
}

/// Why there cannot be such an attribute: an unknown namespace, or no name in it.
fn refusal(name: &[u8]) -> Option<Errno> {
    if NAMESPACES.contains(&name) {
        return Some(Errno::EINVAL);
    }
    let known = is_acl(name) || NAMESPACES.iter().any(|space| name.starts_with(space));
    (!known).then_some(Errno::EOPNOTSUPP)
}

impl Adapter {
    pub(super) fn get_attribute(&self, ino: Ino, name: &[u8], size: u32, reply: ReplyXattr) {
        if let Some(errno) = refusal(name) {
            return reply.refuse(errno);
        }
        match self.volume.get_xattr(ino, name) {
            Ok(value) => sized(reply, &value, size),
            Err(error) => answer::failed_inode(reply, "getxattr", ino.0, &error),
        }
    }

    pub(super) fn set_attribute(
        &self,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        flags: i32,
        caller: Caller,
        reply: ReplyEmpty,
    ) {
        if let Some(errno) = refusal(name) {
            return reply.refuse(errno);
        }
        let result = self
            .may_change(ino, name, caller)
            .and_then(|()| self.keeps_setgid(ino, name, caller))
            .and_then(|keep_setgid| {
                let mode = XattrMode {
                    create: flags & libc::XATTR_CREATE != 0,
                    replace: flags & libc::XATTR_REPLACE != 0,
                    keep_setgid,
                };
                self.volume.set_xattr(ino, name, value, mode)
            });
        answer::done_inode(reply, "setxattr", ino.0, result);
    }

    fn may_change(&self, ino: Ino, name: &[u8], caller: Caller) -> Result<()> {
        match is_acl(name) {
            true => self.may_set_acl(ino, caller),
            false => Ok(()),
        }
    }

    /// Setting an access ACL clears set-gid, as chmod does, unless the caller belongs to the group. The
    /// kernel's own word on that is not negotiated.
    fn keeps_setgid(&self, ino: Ino, name: &[u8], caller: Caller) -> Result<bool> {
        if name != ACL_ACCESS {
            return Ok(true);
        }
        let (attr, _) = self.volume.getattr(ino)?;
        Ok(attr.permissions & libc::S_ISGID == 0 || caller.is_in_group(attr.gid))
    }

    pub(super) fn list_attributes(&self, ino: Ino, size: u32, caller: Caller, reply: ReplyXattr) {
        let names = match self.volume.list_xattr(ino) {
            Ok(names) => names,
            Err(error) => return answer::failed_inode(reply, "listxattr", ino.0, &error),
        };
        let has_trusted = names.iter().any(|name| name.starts_with(TRUSTED));
        let hides = has_trusted && !caller.sees_trusted();
        let mut list = Vec::new();
        for name in names
            .iter()
            .filter(|name| !(hides && name.starts_with(TRUSTED)))
        {
            list.extend_from_slice(name);
            list.push(0);
        }
        sized(reply, &list, size);
    }

    pub(super) fn remove_attribute(
        &self,
        ino: Ino,
        name: &[u8],
        caller: Caller,
        reply: ReplyEmpty,
    ) {
        if let Some(errno) = refusal(name) {
            return reply.refuse(errno);
        }
        let removed = self
            .may_change(ino, name, caller)
            .and_then(|()| self.volume.remove_xattr(ino, name));
        let result = match removed {
            // To remove an ACL that is not there succeeds on local file systems.
            Err(Error::Refused(libc::ENODATA)) if is_acl(name) => Ok(()),
            other => other,
        };
        answer::done_inode(reply, "removexattr", ino.0, result);
    }
}

/// Answers with a value: its size if the caller has no room (0), `ERANGE` if too little.
fn sized(reply: ReplyXattr, value: &[u8], room: u32) {
    match u32::try_from(value.len()) {
        Ok(size) if room == 0 => reply.size(size),
        Ok(size) if size <= room => reply.data(value),
        Ok(_) | Err(_) => reply.refuse(Errno::ERANGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_namespaces_with_a_name_are_supported() {
        for good in [
            &b"user.x"[..],
            b"trusted.a.b",
            b"security.capability",
            ACL_ACCESS,
            ACL_DEFAULT,
        ] {
            assert_eq!(refusal(good), None);
        }
        for foreign in [&b"user"[..], b"system.nfs4_acl", b"plain", b"", b"usr.x"] {
            assert_eq!(refusal(foreign), Some(Errno::EOPNOTSUPP));
        }
        for nameless in NAMESPACES {
            assert_eq!(refusal(nameless), Some(Errno::EINVAL));
        }
    }
}
