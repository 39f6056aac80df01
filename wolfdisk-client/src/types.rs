//! The words in which front-ends and the volume speak: plain values without behaviour.

use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::time::Timestamp;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are POSIX's")]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

impl FileKind {
    /// From the type bits of `st_mode`.
    pub fn from_mode(mode: u32) -> Option<FileKind> {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Some(FileKind::File),
            libc::S_IFDIR => Some(FileKind::Directory),
            libc::S_IFLNK => Some(FileKind::Symlink),
            libc::S_IFIFO => Some(FileKind::Fifo),
            libc::S_IFSOCK => Some(FileKind::Socket),
            libc::S_IFCHR => Some(FileKind::CharDevice),
            libc::S_IFBLK => Some(FileKind::BlockDevice),
            _ => None,
        }
    }

    /// The type bits of `st_mode`.
    pub fn to_mode(self) -> u32 {
        match self {
            FileKind::File => libc::S_IFREG,
            FileKind::Directory => libc::S_IFDIR,
            FileKind::Symlink => libc::S_IFLNK,
            FileKind::Fifo => libc::S_IFIFO,
            FileKind::Socket => libc::S_IFSOCK,
            FileKind::CharDevice => libc::S_IFCHR,
            FileKind::BlockDevice => libc::S_IFBLK,
        }
    }
}

/// The attributes of an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Its number.
    pub ino: Ino,
    /// What it is.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits (07777).
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that lead to it.
    pub nlink: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that are allocated, for `st_blocks`.
    pub allocated: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of anything.
    pub ctime: Timestamp,
    /// Birth.
    pub btime: Timestamp,
    /// Device number of a device node.
    pub rdev: u64,
    /// Version of the last change of content.
    pub content_version: Version,
    /// Of a directory its parent; else a hint.
    pub parent: Ino,
    /// Whether there is any extended attribute.
    pub has_xattr: bool,
    /// Target of a symlink, else empty.
    pub symlink: Bytes,
    /// Version of the last change of this record.
    pub attr_version: Version,
}

/// A name and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The inode's attributes.
    pub attr: Attr,
    /// How long the name may be relied on; zero: not beyond this answer.
    pub entry_valid: Duration,
    /// How long the attributes may be relied on.
    pub attr_valid: Duration,
}

/// What looking up a name gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It exists.
    Found(Entry),
    /// It does not, and that may be relied on for `valid`.
    Missing {
        /// Zero: not beyond this answer.
        valid: Duration,
    },
}

/// A node to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits as the caller gave them, umask not applied.
    pub permissions: u32,
    /// The caller's umask; ignored where the parent has a default ACL.
    pub umask: u32,
    /// Owner.
    pub uid: u32,
    /// Group, unless the parent is set-gid.
    pub gid: u32,
    /// Device number.
    pub rdev: u64,
    /// Target of a symlink.
    pub symlink: Bytes,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The leader's time of the mutation.
    Now,
    /// This.
    At(Timestamp),
}

/// Attributes to change; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (07777).
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
    /// Change time.
    pub ctime: Option<SetTime>,
    /// Clear set-id bits, because somebody other than the owner writes or truncates.
    pub kill_suid: bool,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags {
    /// It will be read.
    pub read: bool,
    /// It will be written.
    pub write: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// `O_SYNC` or `O_DSYNC`: a write is answered when durable.
    pub sync: bool,
    /// `O_DIRECT`: nothing is cached above; coherent with buffered access all the same.
    pub direct: bool,
}

impl OpenFlags {
    /// From the flags of `open(2)`.
    pub fn from_raw(flags: i32) -> OpenFlags {
        let access = flags & libc::O_ACCMODE;
        OpenFlags {
            read: access != libc::O_WRONLY,
            write: access != libc::O_RDONLY,
            append: flags & libc::O_APPEND != 0,
            sync: flags & libc::O_DSYNC != 0,
            direct: flags & libc::O_DIRECT != 0,
        }
    }
}

/// Names an open file of this volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandleId(pub u64);

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its handle.
    pub handle: HandleId,
    /// The pages that the kernel holds of it are the current ones.
    pub keep_cache: bool,
}

/// How a rename treats an existing target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameFlags {
    /// `EEXIST` if there is one.
    pub no_replace: bool,
    /// Swap the two.
    pub exchange: bool,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirItem {
    /// The name.
    pub name: Bytes,
    /// Where it leads.
    pub ino: Ino,
    /// What that is.
    pub kind: FileKind,
    /// Position after this entry: stable for the life of the directory. Always greater than 2, so
    /// that a front-end can number `.` and `..` itself.
    pub cookie: u64,
    /// Attributes and lifetimes, where attributes were asked for.
    pub entry: Option<Entry>,
}

/// A page of a listing, without `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// In order of cookies.
    pub entries: Vec<DirItem>,
    /// Nothing follows.
    pub end: bool,
    /// For `..`.
    pub parent: Ino,
}

/// How an extended attribute is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XattrMode {
    /// `EEXIST` if there is one.
    pub create: bool,
    /// `ENODATA` if there is none.
    pub replace: bool,
    /// Setting an access ACL must not clear the set-gid bit.
    pub keep_setgid: bool,
}

/// Room on the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSystemStats {
    /// Size.
    pub total_bytes: u64,
    /// Free.
    pub free_bytes: u64,
    /// Free for ordinary users.
    pub available_bytes: u64,
    /// Inodes in use.
    pub inodes: u64,
    /// Inodes that could still be made.
    pub free_inodes: u64,
}
