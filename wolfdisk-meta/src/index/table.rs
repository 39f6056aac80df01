//! The ordered store under the overlay, reduced to what the index needs of it.

use bytes::Bytes;
use wolfdisk_common::ids::{LogIndex, Term, Version};

use super::key_bytes::KeyBytes;

/// How far a state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last log entry in it.
    pub index: LogIndex,
    /// That entry's term.
    pub term: Term,
    /// Mutations in it.
    pub version: Version,
}

/// Why the table could not answer. The daemon ends.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The checkpoint file could not be read or written, or is damaged.
    #[error("the checkpoint {path}: {what}")]
    Storage {
        /// The file.
        path: std::path::PathBuf,
        /// What the store said.
        what: String,
    },
    /// A record could not be decoded.
    #[error("the index holds a damaged record of key {key:02x?}: {what}")]
    Record {
        /// The key's bytes.
        key: Vec<u8>,
        /// What is wrong.
        what: String,
    },
}

/// One change of a commit: a key, and its new value or none.
pub type Change = (KeyBytes, Option<Bytes>);

/// An ordered map of bytes to bytes that changes only by whole commits.
///
/// Readers see the state of the last finished commit, also while the next one is under way.
pub trait Table: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// Storage failed.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, TableError>;

    /// Calls `visit` for each entry with `from <= key < to`, in order, until it answers `false`.
    ///
    /// # Errors
    /// Storage failed.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TableError>;

    /// Makes `changes` and `applied` durable in one transaction. From one thread at a time.
    ///
    /// # Errors
    /// Storage failed; the state is the one before.
    fn commit(
        &self,
        applied: Applied,
        changes: &mut dyn Iterator<Item = Change>,
    ) -> Result<(), TableError>;

    /// How far the last finished commit has come.
    fn applied(&self) -> Applied;

    /// Bytes on disk.
    fn size_bytes(&self) -> u64;

    /// What a table with the same content takes on disk at the most, without anything dead in it.
    fn live_bytes(&self) -> u64;
}
