//! Why the daemon cannot go on.

use crate::consensus::ReplicationError;
use crate::index::ApplyError;
use crate::index::table::TableError;
use crate::storage::StorageError;

/// After any of these what is in memory may differ from what is on disk: the daemon ends, and its next
/// start recovers from what is durable.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The log failed.
    #[error(transparent)]
    Replication(#[from] ReplicationError),
    /// An entry could not be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The index could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The checkpoint's file could not be replaced.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The thread that syncs the log has ended.
    #[error("the log could not be synced; restart the daemon once the disk is well")]
    SyncFailed,
    /// The socket failed.
    #[error("the socket {path}: {source}")]
    Socket {
        /// Where.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The listener for other machines failed.
    #[error("the listener for other machines: {source}")]
    Listener {
        /// What the system said.
        source: std::io::Error,
    },
}
