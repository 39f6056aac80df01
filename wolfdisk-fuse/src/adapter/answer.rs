//! Answers: the errors of every kind of reply, and those replies that carry attributes.

use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileType, Generation, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr,
};
use wolfdisk_client::{Attr, Entry, Error};
use wolfdisk_common::ids::Ino;

use super::Adapter;
use crate::attributes::{bare, file_attr};
use crate::errno;
use crate::freshness::{Lifetime, Stamp};
use crate::outcome::Outcome;

/// Inode numbers are never used again, so that one generation is enough for NFS.
pub const GENERATION: Generation = Generation(0);

/// A reply that can be an error.
pub trait Refuse {
    /// Answers with `errno`, and notes that the request ended so.
    fn refuse(self, errno: Errno);
}

macro_rules! refuse {
    ($($reply:ty),+) => {
        $(impl Refuse for $reply {
            fn refuse(self, errno: Errno) {
                Outcome::of(errno).note();
                self.error(errno);
            }
        })+
    };
}

refuse!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLock,
    ReplyLseek,
    ReplyOpen,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr
);

/// Answers with an error of the volume.
pub fn failed(reply: impl Refuse, operation: &'static str, ino: u64, error: &Error) {
    errno::log(operation, ino, error);
    reply.refuse(errno::errno(error));
}

/// Answers a request that names an inode with an error of the volume. If the inode is gone, the name that led to it
/// may lead to another meanwhile: `ESTALE` makes the kernel look the path up again, once.
pub fn failed_inode(reply: impl Refuse, operation: &'static str, ino: u64, error: &Error) {
    match error.errno() {
        libc::ENOENT => reply.refuse(Errno::ESTALE),
        _ => failed(reply, operation, ino, error),
    }
}

/// Answers a request that names an inode and gives nothing back.
pub fn done_inode(reply: ReplyEmpty, operation: &'static str, ino: u64, result: Result<(), Error>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => failed_inode(reply, operation, ino, &error),
    }
}

/// Answers a request that gives nothing back.
pub fn done(reply: ReplyEmpty, operation: &'static str, ino: u64, result: Result<(), Error>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => failed(reply, operation, ino, &error),
    }
}

impl Adapter {
    /// Attributes as the kernel shall see them.
    pub(super) fn visible(&self, mut attr: Attr) -> FileAttr {
        self.times.overlay(&mut attr);
        file_attr(&attr)
    }

    /// Answers with a name and what it leads to.
    pub(super) fn send_entry(&self, reply: ReplyEntry, stamp: Stamp, entry: Entry) {
        let (name, attributes) = (entry.entry_valid, entry.attr_valid);
        let attr = self.visible(entry.attr);
        self.freshness.send(stamp, |lifetime| {
            let (name, attributes) = (lifetime.of(name), lifetime.of(attributes));
            reply.entry_with_ttls(&attributes, &name, &attr, GENERATION);
        });
    }

    /// Answers that a name is missing, and for how long.
    pub(super) fn send_missing(&self, reply: ReplyEntry, stamp: Stamp, valid: Duration) {
        self.freshness
            .send(stamp, |lifetime| match lifetime.of(valid) {
                Duration::ZERO => reply.error(Errno::ENOENT),
                // An entry without an inode is the kernel's negative entry.
                valid => {
                    let nothing = bare(Ino(0), FileType::RegularFile);
                    reply.entry_with_ttls(&Duration::ZERO, &valid, &nothing, GENERATION);
                }
            });
    }

    /// Answers with attributes.
    pub(super) fn send_attr(&self, reply: ReplyAttr, stamp: Stamp, attr: Attr, valid: Duration) {
        let attr = self.visible(attr);
        self.freshness
            .send(stamp, |lifetime| reply.attr(&lifetime.of(valid), &attr));
    }
}

/// How long the kernel may keep an entry where it takes one lifetime for name and attributes.
pub fn both(entry: &Entry, lifetime: Lifetime) -> Duration {
    lifetime.of(entry.entry_valid.min(entry.attr_valid))
}
