//! Puts packed chunks and makes them durable, before any mutation names them.

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Incarnation, NodeNumber, PutEpoch};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::put_request::Source;

use super::chunkd::{self, Chunkd};
use super::watch;
use crate::consensus::ReplicationError;
use crate::index::op::{DestageChunk, Op, Receipt};
use crate::index::table::TableError;
use crate::service::Service;

/// Why data could not be moved. Nothing is lost: the next pass begins again from what the index says.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The chunk store did not answer, or refused.
    #[error("wolfdisk-chunkd: {0}")]
    Chunkd(#[from] Failure),
    /// What was put before may not be there.
    #[error("wolfdisk-chunkd restarted during a pass")]
    Restarted,
    /// The chunk store broke the protocol.
    #[error("wolfdisk-chunkd gave an id of {0} bytes")]
    BadId(usize),
    /// The index did not take the mutation.
    #[error("the index refused: errno {errno}, retry {retry}")]
    Refused {
        /// Why.
        errno: i32,
        /// A chunk was swept before it was named.
        retry: bool,
    },
    /// The index could not be read.
    #[error(transparent)]
    Index(#[from] TableError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] ReplicationError),
    /// It is time to end.
    #[error("the daemon is ending")]
    Ending,
}

impl MoveError {
    /// The chunk store has no room.
    pub fn is_full(&self) -> bool {
        matches!(self, MoveError::Chunkd(Failure::Errno(errno)) if *errno == libc::ENOSPC)
    }
}

/// Puts chunks and waits until they are durable.
///
/// # Errors
/// What was put is garbage then, to be swept.
pub fn put_durably(
    service: &Service,
    chunkd: &Chunkd,
    contents: Vec<Vec<u8>>,
) -> Result<Vec<DestageChunk>, MoveError> {
    let hello = chunkd.hello(&mut chunkd::patient(), &v1::Empty {})?;
    watch::announce(
        service,
        NodeNumber(hello.node),
        Incarnation(hello.incarnation),
    );
    let mut chunks = Vec::with_capacity(contents.len());
    let mut place = 0;
    for bytes in contents {
        let length = bytes.len() as u32;
        let put = v1::PutRequest {
            claimed_id: Bytes::new(),
            source: Some(Source::Data(Bytes::from(bytes))),
            privileged: true,
        };
        let put = chunkd.put(&mut chunkd::patient(), &put)?;
        if (put.node, put.incarnation) != (hello.node, hello.incarnation) {
            return Err(MoveError::Restarted);
        }
        place = place.max(put.place);
        let receipt = Receipt {
            node: NodeNumber(put.node),
            incarnation: Incarnation(put.incarnation),
            epoch: PutEpoch(put.epoch),
        };
        let id = ChunkId::from_slice(&put.id).map_err(MoveError::BadId)?;
        chunks.push(DestageChunk {
            id,
            length,
            receipts: vec![receipt],
        });
    }
    // Data before log: the mutation names the chunks only once they are durable.
    let flush = v1::FlushRequest {
        place,
        node: hello.node,
        incarnation: hello.incarnation,
    };
    let flushed = chunkd.flush(&mut chunkd::patient(), &flush)?;
    let by = (flushed.node, flushed.incarnation);
    if by != (hello.node, hello.incarnation) || flushed.durable_place < place {
        return Err(MoveError::Restarted);
    }
    Ok(chunks)
}

/// Has the index swap the chunks in.
///
/// # Errors
/// Nothing was swapped.
pub fn swap_in(service: &Service, op: Op) -> Result<(), MoveError> {
    let proposed = service.propose(op, false)?;
    let (_, answer) = proposed.wait().ok_or(MoveError::Ending)?;
    match (answer.errno, answer.retry_put) {
        (0, false) => Ok(()),
        (errno, retry) => Err(MoveError::Refused { errno, retry }),
    }
}
