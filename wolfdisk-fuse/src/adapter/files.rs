//! Open files: opening, writing, seeking, copying. Reading has a file of its own.

use fuser::{Errno, FileHandle, FopenFlags, ReplyCreate, ReplyLseek, ReplyOpen, ReplyWrite};
use wolfdisk_client::{Error, HandleId, NewNode, OpenFlags, Opened};
use wolfdisk_common::ids::Ino;

use super::answer::{GENERATION, both, failed, failed_inode};
use super::nodes::has_set_id;
use super::{Adapter, Refuse};
use crate::caller::Caller;
use crate::limits::WRITE_MAX_BYTES;

/// What a write request says besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct WriteHow {
    /// To the end, wherever that is. Not so for pages that the kernel writes back: they have their
    /// place, and the handle is any that fits.
    append: bool,
    /// The kernel leaves it to us to clear set-id bits.
    clears_set_id: bool,
    /// The kernel writes back pages that were changed through a mapping.
    from_cache: bool,
    caller: Caller,
}

impl WriteHow {
    /// From the flags of the request and of the open file.
    pub fn new(write: fuser::WriteFlags, flags: i32, caller: Caller) -> WriteHow {
        let from_cache = write.contains(fuser::WriteFlags::FUSE_WRITE_CACHE);
        WriteHow {
            append: flags & libc::O_APPEND != 0 && !from_cache,
            clears_set_id: write.contains(fuser::WriteFlags::FUSE_WRITE_KILL_SUIDGID),
            from_cache,
            caller,
        }
    }

    /// Whether the bytes go to the end, wherever that is.
    pub fn is_append(&self) -> bool {
        self.append
    }
}

impl Adapter {
    /// What the volume is told. Not that the file appends: each write says so for itself, since pages
    /// that the kernel writes back through the same handle have their place.
    fn open_flags(&self, raw: i32) -> OpenFlags {
        let flags = OpenFlags::from_raw(raw);
        OpenFlags {
            sync: flags.sync || self.sync,
            append: false,
            read: flags.read || self.granted.writes_back,
            ..flags
        }
    }

    pub(super) fn open_file(&self, ino: Ino, raw: i32, reply: ReplyOpen) {
        match self.open_checked(ino, raw) {
            Ok((opened, how)) => reply.opened(FileHandle(opened.handle.0), how),
            Err(error) => failed_inode(reply, "open", ino.0, &error),
        }
    }

    fn open_checked(&self, ino: Ino, raw: i32) -> Result<(Opened, FopenFlags), Error> {
        let flags = self.open_flags(raw);
        let opened = self.volume.open(ino, flags)?;
        let counts = OpenFlags::from_raw(raw).read
            && raw & libc::O_NOATIME == 0
            && self.times.counts_files();
        let bypasses = self.may_bypass(raw);
        if !counts && !bypasses {
            return Ok((opened, how_opened(opened, false)));
        }
        // From the volume's cache: it has just been opened.
        let attr = match self.volume.getattr(ino) {
            Ok((attr, _)) => attr,
            Err(error) => {
                self.volume.release(opened.handle)?;
                return Err(error);
            }
        };
        if counts {
            self.times
                .opened(opened.handle, &attr, opened.keep_cache && !flags.write);
        }
        Ok((
            opened,
            how_opened(opened, bypasses && !has_set_id(attr.permissions)),
        ))
    }

    /// Appending bypasses the page cache: the index picks the place, and the kernel would put the bytes
    /// where it believes the end to be. Not for set-id files: there the kernel clears the bits itself,
    /// but only before a write through the cache. Nor where the kernel knows the end itself.
    pub(super) fn may_bypass(&self, raw: i32) -> bool {
        let appends = raw & libc::O_APPEND != 0 && raw & libc::O_ACCMODE != libc::O_RDONLY;
        appends && self.granted.direct_mmap && !self.granted.writes_back
    }

    pub(super) fn create_file(
        &self,
        parent: Ino,
        name: &[u8],
        node: NewNode,
        raw: i32,
        reply: ReplyCreate,
    ) {
        let stamp = self.freshness.stamp();
        let flags = self.open_flags(raw);
        match self.volume.create_open(parent, name, node, flags) {
            Ok((entry, opened)) => {
                let handle = FileHandle(opened.handle.0);
                if OpenFlags::from_raw(raw).read && raw & libc::O_NOATIME == 0 {
                    self.times.opened(opened.handle, &entry.attr, false);
                }
                let bypasses = self.may_bypass(raw) && !has_set_id(entry.attr.permissions);
                let how = how_opened(opened, bypasses);
                let attr = self.visible(entry.attr.clone());
                self.freshness.send(stamp, |lifetime| {
                    reply.created(&both(&entry, lifetime), &attr, GENERATION, handle, how);
                });
            }
            // Somebody else made it meanwhile. The kernel has checked no permission of that file: it
            // must look again and open it like any other.
            Err(Error::Refused(libc::EEXIST)) if raw & libc::O_EXCL == 0 => {
                reply.refuse(Errno::ESTALE);
            }
            Err(error) => failed(reply, "create", parent.0, &error),
        }
    }

    pub(super) fn write_file(
        &self,
        ino: Ino,
        handle: HandleId,
        offset: u64,
        data: &[u8],
        how: WriteHow,
        reply: ReplyWrite,
    ) {
        match self
            .clear_before_write(ino, how)
            .and_then(|()| self.volume.write(handle, offset, data, how.append))
        {
            Ok(written) => reply.written(u32::try_from(written).unwrap_or(u32::MAX)),
            Err(error) => failed(reply, "write", ino.0, &error),
        }
    }

    /// Takes from the file what a program keeps only as long as nobody writes to it.
    fn clear_before_write(&self, ino: Ino, how: WriteHow) -> Result<(), Error> {
        // Where the kernel clears them itself it leaves out the mark for mandatory locking.
        if how.clears_set_id || (!self.granted.clears_privileges && !how.from_cache) {
            self.clear_set_id(ino, how.caller)?;
        }
        // Before a write that bypasses its cache the kernel never does so.
        if how.append || (self.granted.clears_privileges && !how.from_cache) {
            self.clear_capability(ino)?;
        }
        Ok(())
    }

    pub(super) fn seek(
        &self,
        ino: Ino,
        handle: HandleId,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        if self.granted.writes_back {
            // The kernel asks without having written its pages back. It then takes all of a file for data.
            return reply.refuse(Errno::ENOSYS);
        }
        let Ok(offset) = u64::try_from(offset) else {
            return reply.refuse(Errno::ENXIO);
        };
        let found = match whence {
            libc::SEEK_DATA => self.volume.seek_data(handle, offset),
            libc::SEEK_HOLE => self.volume.seek_hole(handle, offset),
            _ => return reply.refuse(Errno::EINVAL),
        };
        match found.map(i64::try_from) {
            Ok(Ok(place)) => reply.offset(place),
            Ok(Err(_)) => reply.refuse(Errno::EOVERFLOW),
            Err(error) => failed(reply, "lseek", ino.0, &error),
        }
    }

    /// Copies; the answer holds 32 bits, so that at most the pages below 4 GiB are copied at once.
    pub(super) fn copy(
        &self,
        target: Ino,
        from: (HandleId, u64),
        to: (HandleId, u64),
        length: u64,
        reply: ReplyWrite,
    ) {
        let most = u64::from(u32::MAX) / u64::from(WRITE_MAX_BYTES) * u64::from(WRITE_MAX_BYTES);
        let length = length.min(most);
        match self.volume.copy_range(from.0, from.1, to.0, to.1, length) {
            Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
            Err(error) => failed(reply, "copy_file_range", target.0, &error),
        }
    }
}

fn how_opened(opened: Opened, bypasses: bool) -> FopenFlags {
    let mut how = FopenFlags::empty();
    how.set(FopenFlags::FOPEN_KEEP_CACHE, opened.keep_cache);
    how.set(FopenFlags::FOPEN_DIRECT_IO, bypasses);
    how
}

#[cfg(test)]
mod tests {
    use fuser::WriteFlags;

    use super::*;

    #[test]
    fn pages_written_back_are_never_appended() {
        let caller = Caller {
            uid: 1,
            gid: 1,
            tid: 0,
        };
        let how = |write| WriteHow::new(write, libc::O_APPEND | libc::O_RDWR, caller);
        assert!(how(WriteFlags::empty()).append);
        assert!(!how(WriteFlags::FUSE_WRITE_CACHE).append);
        assert!(how(WriteFlags::FUSE_WRITE_KILL_SUIDGID).clears_set_id);
        assert!(!WriteHow::new(WriteFlags::empty(), libc::O_RDWR, caller).append);
    }
}
