//! The segmented log: records in order, in files that are preallocated and zeroed before they are used,
//! so that a sync touches nothing but data.
//!
//! - [`format`]: bytes of segments and records.
//! - [`recover`]: what opening believes, cuts and refuses.
//! - [`segment`]: one file and the index of its records in memory.
//! - [`store`]: appending, reading, removing.
//! - [`sync`]: the thread that makes it durable.
//! - [`counts`]: what it counts.
//! - [`cut`]: taking entries back.
//! - [`spare`]: the thread that makes the next file and removes old ones.

mod counts;
pub mod cut;
pub mod format;
mod recover;
mod segment;
mod spare;
pub mod store;
mod sync;
#[cfg(test)]
mod tests;

pub use counts::LogCounts;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::consensus::ReplicationError;
use crate::limits::{SEGMENT_SIZE_BYTES, SYNC_INTERVAL_MS};

/// Who syncs, makes segments and removes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// Threads of the log's own: a sync begins at the latest `interval` after a write.
    Thread {
        /// See above.
        interval: Duration,
    },
    /// The caller's thread, and a sync only where one is asked for: the same run gives the same
    /// operations on the disk.
    Manual,
}

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Size of a segment; one that must hold a longer record is larger.
    pub segment_bytes: u64,
    /// See [`Syncing`].
    pub syncing: Syncing,
    /// Segments with a lower sequence are leftovers and are removed at opening.
    pub first_segment: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: SEGMENT_SIZE_BYTES,
            syncing: Syncing::Thread {
                interval: Duration::from_millis(SYNC_INTERVAL_MS),
            },
            first_segment: 0,
        }
    }
}

/// For `map_err`: names the file.
fn at(path: &Path) -> impl FnOnce(io::Error) -> ReplicationError + '_ {
    |source| ReplicationError::Io {
        path: path.to_owned(),
        source,
    }
}
