//! What the store and its helpers say, as the wire says it. One table, exhaustive.

use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::failure::Failure;

use crate::area::AreaError;
use crate::pool::Closed;
use crate::store::StoreError;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match &error {
            StoreError::Io { path, source } => {
                tracing::warn!(path = %path.display(), error = %source, "a call failed");
                // Of the system's errors only the want of room is told as it is: it is in nobody's power
                // to do anything about the others but to look at the log.
                match source.raw_os_error() {
                    Some(errno @ (libc::ENOSPC | libc::EDQUOT)) => Failure::Errno(errno),
                    _ => Failure::Errno(libc::EIO),
                }
            }
            // Nothing is acknowledged, and the daemon that is started next knows what is durable.
            StoreError::Sync { .. } | StoreError::Failed => {
                tracing::error!(%error, "the chunk store has failed");
                Failure::Unavailable("the chunk store ends, since a sync failed".to_owned())
            }
            StoreError::Full => Failure::Errno(libc::ENOSPC),
            StoreError::WrongId { .. } => Failure::Errno(libc::EBADMSG),
            StoreError::NotFound(_) => Failure::Errno(libc::ENOENT),
            StoreError::Damaged(_) => Failure::Corrupt(error.to_string()),
            StoreError::StaleIncarnation { .. } => Failure::Errno(libc::ESTALE),
            StoreError::Range { .. } | StoreError::EpochRuns { .. } => {
                Failure::Invalid(error.to_string())
            }
            StoreError::NewerFormat { .. }
            | StoreError::ForeignVolume { .. }
            | StoreError::NoEpoch { .. } => Failure::Unsupported(error.to_string()),
        }
    }
}

impl From<AreaError> for Failure {
    fn from(error: AreaError) -> Failure {
        match &error {
            AreaError::NotSealed | AreaError::Size(_) | AreaError::Span { .. } => {
                Failure::Invalid(error.to_string())
            }
            AreaError::Io(_) => Failure::Unavailable(error.to_string()),
        }
    }
}

impl From<Closed> for Failure {
    fn from(closed: Closed) -> Failure {
        Failure::Unavailable(closed.to_string())
    }
}

/// Ids as they arrive, at most `max` of them.
///
/// # Errors
/// `Invalid`: too many, or one that is none.
pub fn parse_ids(ids: &[bytes::Bytes], max: usize) -> Result<Vec<ChunkId>, Failure> {
    if ids.len() > max {
        return Err(Failure::Invalid(format!(
            "{} ids, at most {max} are allowed",
            ids.len()
        )));
    }
    ids.iter().map(|id| parse_id(id)).collect()
}

/// One id as it arrives.
///
/// # Errors
/// `Invalid` if it is none.
pub fn parse_id(id: &[u8]) -> Result<ChunkId, Failure> {
    ChunkId::from_slice(id)
        .map_err(|length| Failure::Invalid(format!("a chunk id of {length} bytes, not 32")))
}

/// An id as it leaves.
pub fn id_bytes(id: &ChunkId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&id.0)
}
