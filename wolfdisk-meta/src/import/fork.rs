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

use super::error::ImportError;
use crate::export::format::Header;
use crate::export::whole::Whole;
use crate::index::KeyBytes;
use crate::index::codec::{decode, encode};
use crate::index::key::Key;
use crate::index::op::{Entry, Op};
use crate::index::record::Counters;
use crate::limits;

/// See the module.
pub(super) struct Fork {
    header: Header,
    whole: Whole,
    sessions: Vec<SessionId>,
}

impl Fork {
    pub(super) fn of(header: &Header) -> Fork {
        Fork {
            header: header.clone(),
            whole: Whole::of(header),
            sessions: Vec::new(),
        }
    }

    /// The export has this entry.
    pub(super) fn entry(&mut self, index: LogIndex) {
        self.whole.entry(index);
    }

    /// What a record becomes; none: it goes.
    pub(super) fn record(
        &mut self,
        key: &KeyBytes,
        value: Bytes,
    ) -> Result<Option<Bytes>, ImportError> {
        match self.whole.record(key, &value)? {
            Key::Counters => {
                let counters = decode::<Counters>(value);
                let counters = counters.map_err(|source| ImportError::Record {
                    key: key.to_vec(),
                    source,
                })?;
                return Ok(Some(encode(&self.counters(counters)?)));
            }
            Key::Session { session } => self.sessions.push(session),
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
        let time = self.whole.finish()?;
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
