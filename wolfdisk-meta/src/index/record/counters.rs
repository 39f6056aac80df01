//! The counters, one record that every mutation rewrites: `stamp, time, next_ino, next_session,
//! feature_level, undestaged_bytes, chunks, garbage, next_member`.
//!
//! `stamp` is the version of the whole index.

use wolfdisk_common::ids::{Ino, SessionId, Version};
use wolfdisk_common::time::Timestamp;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Counters {
    /// Mutations applied.
    pub stamp: Version,
    /// The time of the last entry.
    pub time: Timestamp,
    /// The next inode's number.
    pub next_ino: Ino,
    /// The next session's number.
    pub next_session: SessionId,
    /// Semantics that are switched on.
    pub feature_level: u32,
    /// Bytes of extents whose data is in the log.
    pub undestaged_bytes: u64,
    /// Chunk records.
    pub chunks: u64,
    /// Those without references.
    pub garbage: u64,
    /// The number of the next member or token.
    pub next_member: u64,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            stamp: Version(0),
            time: Timestamp::default(),
            next_ino: Ino(Ino::ROOT.0 + 1),
            next_session: SessionId(1),
            feature_level: 1,
            undestaged_bytes: 0,
            chunks: 0,
            garbage: 0,
            next_member: 1,
        }
    }
}

wire_struct!(Counters {
    stamp,
    time,
    next_ino,
    next_session,
    feature_level,
    undestaged_bytes,
    chunks,
    garbage,
    next_member,
});
