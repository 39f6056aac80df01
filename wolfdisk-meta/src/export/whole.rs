//! What an index has to have to be one: records that this release can read, those that every index has, and the entries of
//! the log that content rides in. For whoever makes an index of what came from elsewhere.

use bytes::Bytes;
use wolfdisk_common::ids::LogIndex;
use wolfdisk_common::time::Timestamp;

use super::format::Header;
use crate::index::KeyBytes;
use crate::index::codec::{DecodeError, Wire, decode};
use crate::index::key::Key;
use crate::index::record::{
    Chunk, Cookie, Counters, Dirent, ExtentRecord, Garbage, Inode, Kept, Link, Lock, Member, Node,
    Orphan, Reap, Session, SessionLock, Sparse, Token, Undestaged, Usage, Volume, Voters, Xattr,
};

/// Looks at everything as it comes.
pub struct Whole {
    header: Header,
    /// The first entry of the log that came.
    first: Option<LogIndex>,
    time: Option<Timestamp>,
    has_volume: bool,
}

/// Why what came is no index.
#[derive(Debug, thiserror::Error)]
pub enum WholeError {
    /// A newer release wrote it, or nobody did.
    #[error("a record that this release cannot read (key {key:02x?}): {source}")]
    Record {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        source: DecodeError,
    },
    /// Something is missing.
    #[error("{0}")]
    Incomplete(&'static str),
}

impl Whole {
    /// Of what has this header.
    pub fn of(header: &Header) -> Whole {
        Whole {
            header: header.clone(),
            first: None,
            time: None,
            has_volume: false,
        }
    }

    /// An entry of the log came.
    pub fn entry(&mut self, index: LogIndex) {
        self.first.get_or_insert(index);
    }

    /// The first one that did.
    pub fn first(&self) -> Option<LogIndex> {
        self.first
    }

    /// A record came. Gives its key.
    ///
    /// # Errors
    /// See [`WholeError`].
    pub fn record(&mut self, key: &KeyBytes, value: &Bytes) -> Result<Key, WholeError> {
        let bad = |source| WholeError::Record {
            key: key.to_vec(),
            source,
        };
        let parsed = Key::decode(key).map_err(bad)?;
        readable(&parsed, value.clone()).map_err(bad)?;
        match parsed {
            Key::Counters => {
                let counters = decode::<Counters>(value.clone()).map_err(bad)?;
                if counters.stamp != self.header.version {
                    return Err(WholeError::Incomplete(
                        "its version is not that of its records",
                    ));
                }
                self.time = Some(counters.time);
            }
            Key::Volume => {
                let volume = decode::<Volume>(value.clone()).map_err(bad)?;
                self.has_volume = volume.id == *self.header.volume.as_bytes();
            }
            Key::Undestaged { log_index, .. } => {
                let there = self.first.is_some_and(|first| first <= log_index);
                if !there || log_index > self.header.index {
                    return Err(WholeError::Incomplete("content in the log is missing"));
                }
            }
            _ => {}
        }
        Ok(parsed)
    }

    /// There is no more. Gives the time of the index.
    ///
    /// # Errors
    /// `Incomplete`.
    pub fn finish(&self) -> Result<Timestamp, WholeError> {
        self.time
            .filter(|_| self.has_volume)
            .ok_or(WholeError::Incomplete(
                "the records that every index has are missing",
            ))
    }
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
