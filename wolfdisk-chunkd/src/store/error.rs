//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use wolfdisk_common::ids::ChunkId;

/// See the module. [`StoreError::is_fatal`] tells whether the daemon must end.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be used.
    #[error("{path}: {source}")]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is durable is unknown; only a restart finds out.
    #[error("{path} could not be synced: {source}; check the disk, then start again")]
    Sync {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of a newer release.
    #[error("{path} has format {found}, this release reads format 1: install the newer release")]
    NewerFormat {
        /// The file concerned.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file of another volume lies in this data directory.
    #[error("{path} belongs to another volume: move it away or restore its own data directory")]
    ForeignVolume {
        /// The file concerned.
        path: PathBuf,
    },
    /// The epoch file is gone or damaged while chunks exist.
    #[error(
        "{path} is missing or damaged, and without it no chunk may be reclaimed: restore it from a copy"
    )]
    NoEpoch {
        /// The file concerned.
        path: PathBuf,
    },
    /// Only the reserve is left.
    #[error("the disk is full up to its reserve")]
    Full,
    /// The bytes do not hash to the id that was claimed.
    #[error("the bytes are chunk {actual}, not {claimed}")]
    WrongId {
        /// What the caller said.
        claimed: ChunkId,
        /// What the bytes say.
        actual: ChunkId,
    },
    /// The chunk is not here.
    #[error("chunk {0} is not here")]
    NotFound(ChunkId),
    /// The stored bytes do not match their checksums.
    #[error("chunk {0} is damaged")]
    Damaged(ChunkId),
    /// A range beyond the chunk.
    #[error("a range of {length} bytes at {offset} is not within a chunk of {size}")]
    Range {
        /// Where it begins.
        offset: u32,
        /// Its length.
        length: u32,
        /// The chunk's size.
        size: u32,
    },
    /// A request from before a restart.
    #[error("incarnation {asked} is over, this is {current}")]
    StaleIncarnation {
        /// The one that the request was made for.
        asked: u64,
        /// The one that runs.
        current: u64,
    },
    /// A sweep of an epoch that has not ended.
    #[error("epoch {swept} has not ended, the current one is {current}")]
    EpochRuns {
        /// The epoch to sweep.
        swept: u64,
        /// The one that runs.
        current: u64,
    },
    /// An earlier sync failed.
    #[error("the store has failed and is ending")]
    Failed,
}

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
        move |source| StoreError::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn sync(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
        move |source| StoreError::Sync {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the daemon must end.
    pub fn is_fatal(&self) -> bool {
        matches!(self, StoreError::Sync { .. } | StoreError::Failed)
    }
}
