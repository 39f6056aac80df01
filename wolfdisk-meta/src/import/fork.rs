//! What becomes of each record of an export.
//!
//! The index that is lost went on after the export, and others remember what it said: front-ends its versions, inodes
//! and sessions, members their numbers, chunk stores what they were told to free. An imported index is a new branch of the
//! history that must not be taken for the lost one:
//!
//! - Counters go on from numbers that the lost one never reached, so that none means two things.
//! - What is known of chunk stores goes. A receipt counts only after the store has said itself in which life it is, and
//!   that is one that began after the import; chunks that were freed since the export are not referred to by receipts of
//!   before.
//! - Tokens go: which of them were used since is not known.
//! - Sessions of then end. They are closed by entries of the log, like those that expire, so that their locks and what
//!   they held open go by the one rule for that.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, LogIndex, SessionId, Version};
use wolfdisk_common::time::Timestamp;

use super::error::ImportError;
use crate::export::format::Header;
use crate::index::KeyBytes;
use crate::index::codec::{DecodeError, Wire, decode, encode};
use crate::index::key::Key;
use crate::index::op::{Entry, Op};
use crate::index::record::{
    Chunk, Cookie, Counters, Dirent, ExtentRecord, Garbage, Inode, Kept, Link, Lock, Member, Node,
    Orphan, Reap, Session, SessionLock, Sparse, Token, Undestaged, Usage, Volume, Voters, Xattr,
};
use crate::limits;

/// See the module.
pub(super) struct Fork {
    header: Header,
    /// The first entry of the log that the export has.
    first: Option<LogIndex>,
    time: Option<Timestamp>,
    has_volume: bool,
    sessions: Vec<SessionId>,
}

impl Fork {
    pub(super) fn of(header: &Header) -> Fork {
        Fork {
            header: header.clone(),
            first: None,
            time: None,
            has_volume: false,
            sessions: Vec::new(),
        }
    }

    /// The export has this entry.
    pub(super) fn entry(&mut self, index: LogIndex) {
        self.first.get_or_insert(index);
    }

    /// What a record becomes; none: it goes.
    pub(super) fn record(
        &mut self,
        key: &KeyBytes,
        value: Bytes,
    ) -> Result<Option<Bytes>, ImportError> {
        let bad = |source| ImportError::Record {
            key: key.to_vec(),
            source,
        };
        let parsed = Key::decode(key).map_err(bad)?;
        readable(&parsed, value.clone()).map_err(bad)?;
        match parsed {
            Key::Counters => {
                let counters = decode::<Counters>(value).map_err(bad)?;
                self.time = Some(counters.time);
                return Ok(Some(encode(&self.counters(counters)?)));
            }
            Key::Volume => {
                let volume = decode::<Volume>(value.clone()).map_err(bad)?;
                self.has_volume = volume.id == *self.header.volume.as_bytes();
            }
            Key::Session { session } => self.sessions.push(session),
            Key::Undestaged { log_index, .. } => {
                let there = self.first.is_some_and(|first| first <= log_index);
                if !there || log_index > self.header.index {
                    return Err(ImportError::Incomplete("content in the log is missing"));
                }
            }
            Key::Node { .. } | Key::Token { .. } | Key::Voters => return Ok(None),
            _ => {}
        }
        Ok(Some(value))
    }

    /// The version that the imported index begins with.
    pub(super) fn version(&self) -> Result<Version, ImportError> {
        later(
            self.header.version.0,
            limits::IMPORT_VERSIONS,
            u64::MAX,
            "versions",
        )
        .map(Version)
    }

    fn counters(&self, counters: Counters) -> Result<Counters, ImportError> {
        if counters.stamp != self.header.version {
            return Err(ImportError::Incomplete(
                "its version is not that of its records",
            ));
        }
        let (ino, session) = (counters.next_ino.0, counters.next_session.0);
        let member = counters.next_member;
        // The last number is the system root's.
        let last = Ino::SYSTEM_ROOT.0 - 1;
        Ok(Counters {
            stamp: self.version()?,
            next_ino: Ino(later(ino, limits::IMPORT_INODES, last, "inodes")?),
            next_session: SessionId(later(
                session,
                limits::IMPORT_SESSIONS,
                u64::MAX,
                "sessions",
            )?),
            next_member: later(member, limits::IMPORT_MEMBERS, u64::MAX, "members")?,
            ..counters
        })
    }

    /// The entries that the log goes on with, when all records have been seen.
    pub(super) fn finish(self) -> Result<Vec<Bytes>, ImportError> {
        let Some(time) = self.time.filter(|_| self.has_volume) else {
            return Err(ImportError::Incomplete(
                "the records that every index has are missing",
            ));
        };
        let close = |session| {
            let entry = Entry {
                time,
                origin: None,
                op: Op::CloseSession {
                    session,
                    expired: true,
                },
            };
            entry.encode()
        };
        Ok(self.sessions.into_iter().map(close).collect())
    }
}

fn later(number: u64, by: u64, last: u64, what: &'static str) -> Result<u64, ImportError> {
    let later = number.checked_add(by).filter(|later| *later <= last);
    later.ok_or(ImportError::NoNumbers(what))
}

/// Whether a value is one of its key. A newer release may have written others.
fn readable(key: &Key, value: Bytes) -> Result<(), DecodeError> {
    fn of<T: Wire>(value: Bytes) -> Result<(), DecodeError> {
        decode::<T>(value).map(drop)
    }
    match key {
        Key::Counters => of::<Counters>(value),
        Key::Volume => of::<Volume>(value),
        Key::Inode { .. } => of::<Inode>(value),
        Key::Dirent { .. } => of::<Dirent>(value),
        Key::Cookie { .. } => of::<Cookie>(value),
        Key::Link { .. } => of::<Link>(value),
        Key::Extent { .. } => of::<ExtentRecord>(value),
        Key::Xattr { .. } => of::<Xattr>(value),
        Key::Chunk { .. } => of::<Chunk>(value),
        Key::Garbage { .. } => of::<Garbage>(value),
        Key::Usage { .. } => of::<Usage>(value),
        Key::Session { .. } => of::<Session>(value),
        Key::Answer { .. } => of::<Kept>(value),
        Key::Lock { .. } => of::<Lock>(value),
        Key::SessionLock { .. } => of::<SessionLock>(value),
        Key::Orphan { .. } | Key::SessionOrphan { .. } => of::<Orphan>(value),
        Key::Node { .. } => of::<Node>(value),
        Key::Undestaged { .. } => of::<Undestaged>(value),
        Key::Reap { .. } => of::<Reap>(value),
        Key::Sparse { .. } => of::<Sparse>(value),
        Key::Member { .. } => of::<Member>(value),
        Key::Token { .. } => of::<Token>(value),
        Key::Voters => of::<Voters>(value),
    }
}
