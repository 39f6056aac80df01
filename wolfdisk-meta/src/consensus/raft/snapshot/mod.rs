//! The state of the index in parts, for a node that lacks entries that are gone from the log.

use std::io;

use bytes::Bytes;

/// A snapshot that can be read in parts, by several at a time.
pub trait SnapshotParts: Send + Sync {
    /// Its id: of two snapshots with the same one all parts are the same.
    fn id(&self) -> [u8; 16];

    /// A part, from 0; none: there are no more. Any part may be asked for again.
    ///
    /// # Errors
    /// It cannot be read.
    fn part(&self, number: u64) -> io::Result<Option<Bytes>>;
}
