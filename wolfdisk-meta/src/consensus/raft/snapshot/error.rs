//! Why a snapshot is not given or not taken.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use wolfdisk_common::ids::LogIndex;

use super::format::PartError;
use crate::consensus::ReplicationError;
use crate::export::format::FormatError;
use crate::export::whole::WholeError;
use crate::index::table::TableError;
use crate::storage::StorageError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A part is none, or damaged.
    #[error("part {number} of the snapshot: {source}")]
    Part {
        /// Which.
        number: u64,
        /// What is wrong with it.
        source: PartError,
    },
    /// It is whole, but of another snapshot or out of its order.
    #[error("a part of another snapshot came where part {0} is wanted")]
    OtherPart(u64),
    /// It is of another volume.
    #[error(
        "the snapshot is of cluster {found}, and this node is of cluster {expected}: look at its [discovery] peers"
    )]
    OtherVolume {
        /// The cluster in it.
        found: Uuid,
        /// This node's.
        expected: Uuid,
    },
    /// The disk is too full.
    #[error(
        "a snapshot of the index needs {wanted} bytes in {}, {available} are free there: make room", path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// For it all.
        wanted: u64,
        /// Without what is kept free.
        available: u64,
    },
    /// There are more parts than what it said it takes.
    #[error("the snapshot is longer than the {0} bytes that it said")]
    TooLong(u64),
    /// All parts together are not what was written.
    #[error("the snapshot as a whole: {0}")]
    Format(#[from] FormatError),
    /// They are not an index.
    #[error("the snapshot is none of an index: {0}")]
    Whole(#[from] WholeError),
    /// It is another one than Raft was told of.
    #[error("the snapshot is of entry {found}, and was said to be of {said}")]
    OtherState {
        /// What it holds.
        found: String,
        /// What the leader said.
        said: String,
    },
    /// The index has come further meanwhile.
    #[error("the snapshot is of entry {found}, and the index is at {known}")]
    Old {
        /// Its last entry.
        found: LogIndex,
        /// The index's.
        known: LogIndex,
    },
    /// There is no checkpoint yet.
    #[error("there is no checkpoint yet that a snapshot could be of")]
    Nothing,
    /// The daemon did not have it put into its place.
    #[error("the index was not replaced")]
    NotReplaced,
    /// Files.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A checkpoint.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The log.
    #[error(transparent)]
    Log(#[from] ReplicationError),
    /// The files of the index.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> io::Error {
        io::Error::other(error)
    }
}

/// For `map_err`: names the file.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError + '_ {
    |source| SnapshotError::Io {
        path: path.to_owned(),
        source,
    }
}
