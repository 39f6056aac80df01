//! An inode: `stamp, content_version, born, kind, permissions, uid, gid, nlink, size, allocated, atime,
//! mtime, ctime, btime, rdev, symlink, parent, name, project, entries, next_cookie, xattr_count,
//! xattr_bytes, xattr_name_bytes, acl_access, acl_default, dead_from, s3`.
//!
//! `stamp` doubles as the attribute version: every change of the inode or of its xattrs rewrites it.
//! `parent` and `name` are the place of a directory, and of a file with one link; a file with several
//! has link records, and these two are a hint. `allocated` is the sum of the lengths of the extents.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::time::Timestamp;

use crate::index::codec::{wire_enum, wire_struct};
use crate::index::op::Kind;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Inode {
    /// The version that wrote this: the attribute version.
    pub stamp: Version,
    /// The version of the last change of content (of a directory: of its names).
    pub content_version: Version,
    /// The version that created it.
    pub born: Version,
    /// What it is.
    pub kind: Kind,
    /// The twelve permission bits.
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names; of a directory two and one for each directory in it.
    pub nlink: u32,
    /// Bytes; of a symlink the length of its target, of a directory the number of names in it.
    pub size: u64,
    /// Bytes that extents cover.
    pub allocated: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of anything.
    pub ctime: Timestamp,
    /// Creation.
    pub btime: Timestamp,
    /// Device number of a device.
    pub rdev: u64,
    /// Target of a symlink.
    pub symlink: Bytes,
    /// Where it is; see the module.
    pub parent: Ino,
    /// Its name there.
    pub name: Bytes,
    /// Whose quota it counts on.
    pub project: u32,
    /// Names in a directory.
    pub entries: u64,
    /// The next name's cookie in a directory.
    pub next_cookie: u64,
    /// Extended attributes.
    pub xattr_count: u32,
    /// Bytes of their names and values.
    pub xattr_bytes: u64,
    /// Bytes of their names with a NUL each.
    pub xattr_name_bytes: u64,
    /// It has an access ACL, so a change of mode changes that too.
    pub acl_access: bool,
    /// It has a default ACL, which new names in it inherit.
    pub acl_default: bool,
    /// Extents from here on belong to a truncated tail that is still being deleted.
    pub dead_from: Option<u64>,
    /// What is kept of it as an object: see [`super::ObjectRecord`].
    pub s3: Option<Bytes>,
}

/// What a new inode is made from.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of the inode")]
pub struct NewInode {
    pub kind: Kind,
    pub permissions: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    pub symlink: Bytes,
    pub parent: Ino,
    pub name: Bytes,
    pub project: u32,
}

/// Cookies 1 and 2 are `.` and `..` wherever a listing has them.
const FIRST_COOKIE: u64 = 3;

impl Inode {
    /// A new inode with one name; a directory has its own `.` beside it.
    pub fn new(new: NewInode, born: Version, time: Timestamp) -> Inode {
        Inode {
            stamp: born,
            content_version: born,
            born,
            kind: new.kind,
            permissions: new.permissions,
            uid: new.uid,
            gid: new.gid,
            nlink: if new.kind == Kind::Directory { 2 } else { 1 },
            size: new.symlink.len() as u64,
            allocated: 0,
            atime: time,
            mtime: time,
            ctime: time,
            btime: time,
            rdev: new.rdev,
            symlink: new.symlink,
            parent: new.parent,
            name: new.name,
            project: new.project,
            entries: 0,
            next_cookie: FIRST_COOKIE,
            xattr_count: 0,
            xattr_bytes: 0,
            xattr_name_bytes: 0,
            acl_access: false,
            acl_default: false,
            dead_from: None,
            s3: None,
        }
    }

    /// `st_mode`: type and permission bits.
    pub fn mode(&self) -> u32 {
        self.kind.mode_bits() | self.permissions
    }

    /// It is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// The best that its permissions grant to anybody but root, as `rwx` of one digit. Its owner can give himself
    /// everything. The group's bits are those of an access ACL's mask, which bounds all whom the ACL names.
    pub fn granted_but_to_root(&self) -> u32 {
        if self.uid != 0 {
            return 7;
        }
        let group = match self.gid != 0 || self.acl_access {
            true => self.permissions >> 3,
            false => 0,
        };
        (group | self.permissions) & 7
    }

    /// It has extended attributes, ACLs included.
    pub fn has_xattr(&self) -> bool {
        self.xattr_count > 0
    }
}

impl Kind {
    /// The type bits of `st_mode`.
    pub fn mode_bits(self) -> u32 {
        match self {
            Kind::File => libc::S_IFREG,
            Kind::Directory => libc::S_IFDIR,
            Kind::Symlink => libc::S_IFLNK,
            Kind::Fifo => libc::S_IFIFO,
            Kind::Socket => libc::S_IFSOCK,
            Kind::CharDevice => libc::S_IFCHR,
            Kind::BlockDevice => libc::S_IFBLK,
        }
    }
}

wire_enum!(Kind {
    1 => File,
    2 => Directory,
    3 => Symlink,
    4 => Fifo,
    5 => Socket,
    6 => CharDevice,
    7 => BlockDevice,
});

wire_struct!(Inode {
    stamp,
    content_version,
    born,
    kind,
    permissions,
    uid,
    gid,
    nlink,
    size,
    allocated,
    atime,
    mtime,
    ctime,
    btime,
    rdev,
    symlink,
    parent,
    name,
    project,
    entries,
    next_cookie,
    xattr_count,
    xattr_bytes,
    xattr_name_bytes,
    acl_access,
    acl_default,
    dead_from,
    s3,
});

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(uid: u32, gid: u32, permissions: u32, acl_access: bool) -> u32 {
        let new = NewInode {
            kind: Kind::File,
            permissions,
            uid,
            gid,
            rdev: 0,
            symlink: Bytes::new(),
            parent: Ino::ROOT,
            name: Bytes::new(),
            project: 0,
        };
        let mut inode = Inode::new(new, Version(1), Timestamp::default());
        inode.acl_access = acl_access;
        inode.granted_but_to_root()
    }

    #[test]
    fn nobody_but_root_gets_what_only_root_has() {
        assert_eq!(granted(0, 0, 0o770, false), 0);
        assert_eq!(granted(0, 0, 0o751, false), 1);
        assert_eq!(granted(0, 5, 0o740, false), 4, "somebody is in that group");
        assert_eq!(granted(0, 5, 0o742, false), 6, "and somebody else is not");
        assert_eq!(granted(0, 0, 0o760, true), 6, "whom the list names");
        assert_eq!(granted(5, 0, 0o000, false), 7, "the owner can change that");
    }
}
