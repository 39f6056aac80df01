//! The kernel's requests, translated to calls of the volume, and nothing else.
//!
//! This file is the table of operations; each is carried out in the module of its family. A handler
//! blocks its thread until the volume answers; only requests for locks that have to wait move elsewhere.

mod answer;
mod directories;
mod files;
mod locking;
mod nodes;
mod ownership;
mod reading;
mod xattrs;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags,
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use wolfdisk_client::{FileKind, HandleId, Ledger, Volume};

pub use self::answer::Refuse;
use self::directories::BufferGuess;
use self::reading::Beyond;
use crate::access_time::AccessTimes;
use crate::caller::Caller;
use crate::calls::Call;
use crate::capabilities::{Granted, negotiate, used};
use crate::freshness::Freshness;
use crate::gate::{Gate, Inside};
use crate::locks::Waiters;
use crate::numbers::ino;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::succession::{Negotiated, Succession, was_sent_before};

/// A volume as the FUSE library drives it. See the module.
#[derive(Debug)]
pub struct Adapter {
    volume: Arc<Volume>,
    freshness: Arc<Freshness>,
    times: Arc<AccessTimes>,
    waiters: Waiters,
    beyond: Beyond,
    granted: Granted,
    buffer: BufferGuess,
    gate: Arc<Gate>,
    /// Where a successor finds what was negotiated.
    ledger: Option<Arc<Ledger>>,
    /// A predecessor died: what the kernel asks again may have been done.
    after_crash: bool,
    /// Every file is opened as if with `O_SYNC`.
    sync: bool,
    /// Set-id bits have an effect.
    suid: bool,
    /// There is no other mount.
    exclusive: bool,
}

impl Adapter {
    /// Serves `volume`. Whoever invalidates the kernel's cache must pass `freshness` first.
    pub fn new(
        volume: Arc<Volume>,
        freshness: Arc<Freshness>,
        times: Arc<AccessTimes>,
        options: &Options,
        (gate, succession): (Arc<Gate>, Option<&Succession>),
    ) -> Adapter {
        let estate = succession.and_then(Succession::estate);
        Adapter {
            volume,
            freshness,
            times,
            waiters: Waiters::default(),
            beyond: Beyond::default(),
            granted: Granted::default(),
            buffer: BufferGuess::default(),
            gate,
            ledger: succession
                .filter(|_| estate.is_none())
                .map(|succession| Arc::clone(succession.ledger())),
            after_crash: estate.is_some_and(|estate| !estate.is_clean()),
            sync: options.sync,
            suid: options.suid,
            exclusive: options.is_exclusive(),
        }
    }

    /// Those that wait for locks.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// A predecessor may have done this: once more it would fail, or do something else.
    fn may_be_done(&self, request: &Request) -> bool {
        self.after_crash && was_sent_before(request)
    }

    /// Begins what cannot be done twice; none if it may have been done.
    fn enter_once(&self, call: Call, request: &Request) -> Option<Inside<'_>> {
        let inside = self.gate.enter(call);
        if self.may_be_done(request) {
            Outcome::Failed.note();
            return None;
        }
        Some(inside)
    }
}

fn handle(number: FileHandle) -> HandleId {
    HandleId(number.0)
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.granted = negotiate(config, self.suid, self.exclusive)?;
        match &self.ledger {
            Some(ledger) => ledger.set_front_end(&Negotiated::new(config, used()).to_bytes()),
            None => Ok(()),
        }
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _inside = self.gate.enter(Call::Lookup);
        self.look_up(ino(parent), name.as_bytes(), reply);
    }

    fn forget(&self, _request: &Request, number: INodeNo, _lookups: u64) {
        self.volume.forgotten(ino(number));
    }

    fn getattr(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let _inside = self.gate.enter(Call::Getattr);
        self.get_attributes(ino(number), reply);
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _inside = self.gate.enter(Call::Setattr);
        let change = nodes::change(mode, (uid, gid), size, (atime, mtime, ctime));
        self.set_attributes(ino(number), change, request.into(), reply);
    }

    fn readlink(&self, _request: &Request, number: INodeNo, reply: ReplyData) {
        let _inside = self.gate.enter(Call::Readlink);
        self.read_link(ino(number), reply);
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let Some(_inside) = self.enter_once(Call::Mknod, request) else {
            return reply.refuse(Errno::EIO);
        };
        let Some(kind) = nodes::kind_of_new(mode) else {
            return reply.refuse(Errno::EINVAL);
        };
        let node = nodes::node(kind, mode, umask, request.into(), rdev);
        self.make(ino(parent), name.as_bytes(), node, reply);
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
        let Some(_inside) = self.enter_once(Call::Mkdir, request) else {
            return reply.refuse(Errno::EIO);
        };
        let node = nodes::node(FileKind::Directory, mode, umask, request.into(), 0);
        self.make(ino(parent), name.as_bytes(), node, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some(_inside) = self.enter_once(Call::Unlink, request) else {
            return reply.refuse(Errno::EIO);
        };
        let (directory, name) = (ino(parent), name.as_bytes());
        let result = self
            .may_take(directory, name, request.into())
            .and_then(|()| self.volume.unlink(directory, name));
        answer::done(reply, "unlink", parent.0, result);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some(_inside) = self.enter_once(Call::Rmdir, request) else {
            return reply.refuse(Errno::EIO);
        };
        let (directory, name) = (ino(parent), name.as_bytes());
        let result = self
            .may_take(directory, name, request.into())
            .and_then(|()| self.volume.rmdir(directory, name));
        answer::done(reply, "rmdir", parent.0, result);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let Some(_inside) = self.enter_once(Call::Symlink, request) else {
            return reply.refuse(Errno::EIO);
        };
        let node = nodes::symlink(target.as_os_str().as_bytes(), request.into());
        self.make(ino(parent), name.as_bytes(), node, reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let Some(_inside) = self.enter_once(Call::Rename, request) else {
            return reply.refuse(Errno::EIO);
        };
        let Some(flags) = nodes::rename_flags(flags) else {
            return reply.refuse(Errno::EINVAL);
        };
        let (from, to) = (name.as_bytes(), new_name.as_bytes());
        let (directory, new_directory) = (ino(parent), ino(new_parent));
        let result = self
            .may_take(directory, from, request.into())
            .and_then(|()| self.may_take(new_directory, to, request.into()))
            .and_then(|()| {
                self.volume
                    .rename(directory, from, new_directory, to, flags)
            });
        answer::done(reply, "rename", parent.0, result);
    }

    fn link(
        &self,
        request: &Request,
        number: INodeNo,
        new_parent: INodeNo,
        new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        let Some(_inside) = self.enter_once(Call::Link, request) else {
            return reply.refuse(Errno::EIO);
        };
        self.make_link(ino(number), ino(new_parent), new_name.as_bytes(), reply);
    }

    fn open(&self, _request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _inside = self.gate.enter(Call::Open);
        self.open_file(ino(number), flags.0, reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let Some(_inside) = self.enter_once(Call::Create, request) else {
            return reply.refuse(Errno::EIO);
        };
        let node = nodes::node(FileKind::File, mode, umask, request.into(), 0);
        self.create_file(ino(parent), name.as_bytes(), node, flags, reply);
    }

    fn read(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _inside = self.gate.enter(Call::Read);
        self.read_file(ino(number), handle(fh), (offset, size), flags.0, reply);
    }

    fn write(
        &self,
        request: &Request,
        number: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _inside = self.gate.enter(Call::Write);
        let how = files::WriteHow::new(write_flags, flags.0, request.into());
        if how.is_append() && self.may_be_done(request) {
            return reply.refuse(Errno::EIO);
        }
        self.write_file(ino(number), handle(fh), offset, data, how, reply);
    }

    fn flush(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Flush);
        let result = self.volume.flush(handle(fh), Some(lock_owner.0));
        answer::done(reply, "flush", number.0, result);
    }

    fn release(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _flock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Release);
        self.times.closed(handle(fh));
        answer::done(reply, "release", number.0, self.volume.release(handle(fh)));
    }

    fn fsync(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Fsync);
        let result = self.volume.fsync(handle(fh), datasync);
        answer::done(reply, "fsync", number.0, result);
    }

    fn fallocate(
        &self,
        request: &Request,
        number: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Fallocate);
        let mode = mode.cast_unsigned();
        let result = self
            .clear_privileges(ino(number), request.into())
            .and_then(|()| self.volume.fallocate(handle(fh), mode, offset, length));
        answer::done(reply, "fallocate", number.0, result);
    }

    fn lseek(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let _inside = self.gate.enter(Call::Lseek);
        self.seek(ino(number), handle(fh), offset, whence, reply);
    }

    fn copy_file_range(
        &self,
        request: &Request,
        _source: INodeNo,
        source_handle: FileHandle,
        source_offset: u64,
        target: INodeNo,
        target_handle: FileHandle,
        target_offset: u64,
        length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let _inside = self.gate.enter(Call::CopyFileRange);
        let from = (handle(source_handle), source_offset);
        let to = (handle(target_handle), target_offset);
        match self.clear_privileges(ino(target), request.into()) {
            Ok(()) => self.copy(ino(target), from, to, length, reply),
            Err(error) => answer::failed(reply, "copy_file_range", target.0, &error),
        }
    }

    fn opendir(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _inside = self.gate.enter(Call::Opendir);
        self.open_directory(ino(number), reply);
    }

    fn releasedir(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Releasedir);
        let result = self.volume.closedir(handle(fh));
        answer::done(reply, "releasedir", number.0, result);
    }

    fn readdir(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let _inside = self.gate.enter(Call::Readdir);
        self.list(ino(number), offset, reply);
    }

    fn readdirplus(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let _inside = self.gate.enter(Call::Readdirplus);
        self.list_plus(ino(number), offset, reply);
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Fsyncdir);
        let result = self.volume.fsync_inode(ino(number));
        answer::done(reply, "fsyncdir", number.0, result);
    }

    fn statfs(&self, _request: &Request, number: INodeNo, reply: ReplyStatfs) {
        let _inside = self.gate.enter(Call::Statfs);
        self.room(ino(number), reply);
    }

    fn setxattr(
        &self,
        request: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Setxattr);
        let caller = Caller::from(request);
        if flags != 0 && self.may_be_done(request) {
            return reply.refuse(Errno::EIO);
        }
        self.set_attribute(ino(number), name.as_bytes(), value, flags, caller, reply);
    }

    fn getxattr(
        &self,
        _request: &Request,
        number: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let _inside = self.gate.enter(Call::Getxattr);
        self.get_attribute(ino(number), name.as_bytes(), size, reply);
    }

    fn listxattr(&self, request: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let _inside = self.gate.enter(Call::Listxattr);
        self.list_attributes(ino(number), size, request.into(), reply);
    }

    fn removexattr(&self, request: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let Some(_inside) = self.enter_once(Call::Removexattr, request) else {
            return reply.refuse(Errno::EIO);
        };
        self.remove_attribute(ino(number), name.as_bytes(), request.into(), reply);
    }

    fn getlk(
        &self,
        _request: &Request,
        number: INodeNo,
        fh: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        let _inside = self.gate.enter(Call::Getlk);
        match crate::locks::request(owner.0, typ, (start, end), pid) {
            Ok(lock) => self.test_lock(ino(number), handle(fh), lock, reply),
            Err(errno) => reply.refuse(errno),
        }
    }

    fn setlk(
        &self,
        request: &Request,
        _number: INodeNo,
        fh: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let _inside = self.gate.enter(Call::Setlk);
        match crate::locks::request(owner.0, typ, (start, end), pid) {
            Ok(lock) => self.take_lock(handle(fh), lock, sleep, request.into(), reply),
            Err(errno) => reply.refuse(errno),
        }
    }

    fn ioctl(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _input: &[u8],
        _output_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    // For these two the kernel is to do what it does without an answer of ours: files are always
    // ready, and blocks have no device. It asks once.

    fn poll(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn bmap(
        &self,
        _request: &Request,
        _number: INodeNo,
        _block_size: u32,
        _block: u64,
        reply: ReplyBmap,
    ) {
        reply.error(Errno::ENOSYS);
    }
}
