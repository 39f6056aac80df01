//! The kernel's requests, answered from the tree.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};
use parking_lot::RwLock;
use wolfdisk_common::limits::LEASE_MS;
use wolfdisk_fuse::capabilities::negotiate;

use crate::tree::{Content, Tree, visible};

/// How long the kernel keeps what it is told: a lease, as on a mount of WolfDisk.
const VALID: Duration = Duration::from_millis(LEASE_MS);
const GENERATION: Generation = Generation(0);
const NO_HANDLE: FileHandle = FileHandle(0);
/// Entries for one buffer of the kernel: more than it holds.
const LISTED: usize = 512;

/// See the module.
#[derive(Default)]
pub struct Adapter(RwLock<Tree>);

impl Adapter {
    fn content(&self, ino: INodeNo) -> Result<Content, Errno> {
        self.0.read().get(ino.0).map(|node| node.content.clone())
    }

    fn entry(&self, made: Result<FileAttr, Errno>, reply: ReplyEntry) {
        match made {
            Ok(attr) => reply.entry(&VALID, &attr, GENERATION),
            Err(errno) => reply.error(errno),
        }
    }

    fn make(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        kind: FileType,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let owner = (request.uid(), request.gid());
        let mut tree = self.0.write();
        Ok(visible(tree.make(parent.0, name, kind, mode, owner)?))
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn time(at: TimeOrNow) -> SystemTime {
    match at {
        TimeOrNow::SpecificTime(at) => at,
        TimeOrNow::Now => SystemTime::now(),
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        negotiate(config, false, false).map(drop)
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.0.read().look_up(parent.0, name).map(visible);
        match found {
            // An entry without an inode is the kernel's negative entry.
            Err(_) => {
                let nothing = wolfdisk_fuse::attributes::bare(
                    wolfdisk_common::ids::Ino(0),
                    FileType::RegularFile,
                );
                reply.entry(&VALID, &nothing, GENERATION);
            }
            found => self.entry(found, reply),
        }
    }

    fn getattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match self.0.read().get(ino.0).map(visible) {
            Ok(attr) => reply.attr(&VALID, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.0.write();
        let node = match tree.get_mut(ino.0) {
            Ok(node) => node,
            Err(errno) => return reply.error(errno),
        };
        if let Some(size) = size {
            node.content.write().resize(size as usize, 0);
        }
        let attr = &mut node.attr;
        attr.perm = mode.map_or(attr.perm, |mode| (mode & 0o7777) as u16);
        attr.uid = uid.unwrap_or(attr.uid);
        attr.gid = gid.unwrap_or(attr.gid);
        attr.atime = atime.map_or(attr.atime, time);
        attr.mtime = mtime.map_or(attr.mtime, time);
        reply.attr(&VALID, &visible(node));
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        match self.0.read().get(ino.0) {
            Ok(node) => reply.data(node.target.as_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.make(request, parent, name, FileType::Directory, mode & !umask);
        self.entry(made, reply);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let owner = (request.uid(), request.gid());
        let mut tree = self.0.write();
        let made = tree
            .make(parent.0, name, FileType::Symlink, 0o777, owner)
            .map(|node| {
                node.target = target.into();
                visible(node)
            });
        drop(tree);
        self.entry(made, reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.0.write().remove(parent.0, name, false), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.0.write().remove(parent.0, name, true), reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        done(self.0.write().rename(from, to), reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(request, parent, name, FileType::RegularFile, mode & !umask) {
            Ok(attr) => {
                let how = FopenFlags::empty();
                reply.created(&VALID, &attr, GENERATION, NO_HANDLE, how);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.content(ino) {
            Ok(content) => {
                if flags.0 & libc::O_TRUNC != 0 {
                    content.write().clear();
                }
                reply.opened(NO_HANDLE, FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.content(ino) {
            Ok(content) => {
                let bytes = content.read();
                let start = (offset as usize).min(bytes.len());
                let end = (start + size as usize).min(bytes.len());
                reply.data(bytes.get(start..end).unwrap_or_default());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let content = match self.content(ino) {
            Ok(content) => content,
            Err(errno) => return reply.error(errno),
        };
        let mut bytes = content.write();
        let start = match flags.0 & libc::O_APPEND {
            0 => offset as usize,
            _ => bytes.len(),
        };
        let end = start + data.len();
        if bytes.len() < start {
            bytes.resize(start, 0);
        }
        let over = bytes.len().min(end) - start;
        let (replaced, added) = data.split_at(over);
        if let Some(place) = bytes.get_mut(start..start + over) {
            place.copy_from_slice(replaced);
        }
        bytes.extend_from_slice(added);
        reply.written(data.len() as u32);
    }

    fn flush(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _data: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _data: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn opendir(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(NO_HANDLE, FopenFlags::empty());
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.0.read().list(ino.0, offset, LISTED) {
            Ok(entries) => {
                for (position, name, attr) in entries {
                    if reply.add(attr.ino, position, attr.kind, &name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let tree = self.0.read();
        match tree.list(ino.0, offset, LISTED) {
            Ok(entries) => {
                for (position, name, attr) in entries {
                    let attr = tree.get(attr.ino.0).map_or(attr, visible);
                    if reply.add(attr.ino, position, &name, &VALID, &attr, GENERATION) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn getxattr(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _name: &OsStr,
        _size: u32,
        reply: ReplyXattr,
    ) {
        reply.error(Errno::ENODATA);
    }

    fn setlk(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        _sleep: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }
}
