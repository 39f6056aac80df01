//! Attributes of inodes in the words of the FUSE library.

use std::time::UNIX_EPOCH;

use fuser::{FileAttr, FileType};
use wolfdisk_client::{Attr, FileKind};
use wolfdisk_common::ids::Ino;

use crate::limits::PREFERRED_BLOCK_BYTES;
use crate::numbers::number;
use crate::time::sent;

/// The unit of `st_blocks`, by POSIX.
const STAT_BLOCK_BYTES: u64 = 512;

/// What kind of file the kernel shall see.
pub fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
    }
}

/// What `stat(2)` shows. Device numbers keep the encoding in which the kernel sent them.
pub fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: number(attr.ino),
        size: attr.size,
        blocks: attr.allocated.div_ceil(STAT_BLOCK_BYTES),
        atime: sent(attr.atime),
        mtime: sent(attr.mtime),
        ctime: sent(attr.ctime),
        crtime: sent(attr.btime),
        kind: file_type(attr.kind),
        perm: (attr.permissions & 0o7777) as u16,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: u32::try_from(attr.rdev).unwrap_or(0),
        blksize: PREFERRED_BLOCK_BYTES,
        flags: 0,
    }
}

/// Number and type alone, where nothing else is looked at.
pub fn bare(ino: Ino, kind: FileType) -> FileAttr {
    FileAttr {
        ino: number(ino),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}
