//! Storing chunks: bytes go through a shared area, or along to another machine, and hold only once the store has synced
//! them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::ticket::Tag;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{
    AreaSpan, AttachAreaRequest, ChunkClient, ChunkPlace, FlushRequest, PutRequest, Receipt,
    put_request,
};

use super::mapping::Area;
use super::reader::id_bytes;
use super::remote::Remote;
use super::tickets::Grant;
use crate::counters::{Counter, Counters};
use crate::error::{Error, Result};
use crate::limits;
use crate::transport::{ChunkCalls, Transport, call};

/// A stored chunk: durable when a flush of the same incarnation has reached its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: ChunkId,
    pub(crate) length: u32,
    place: u64,
    node: u32,
    incarnation: u64,
    epoch: u64,
    /// Shows that it was put from here; none: nobody asks.
    proof: Option<Tag>,
}

impl Stored {
    /// What a mutation says of a piece that begins at `offset` of this chunk.
    pub(crate) fn to_wire(self, offset: u32) -> ChunkPlace {
        let receipt = Receipt {
            node: self.node,
            incarnation: self.incarnation,
            epoch: self.epoch,
            proof: self
                .proof
                .map_or_else(Bytes::new, |proof| Bytes::copy_from_slice(&proof)),
        };
        ChunkPlace {
            id: id_bytes(&self.id),
            chunk_length: self.length,
            offset,
            receipts: vec![receipt],
        }
    }
}

/// A connection with its area.
#[derive(Debug)]
struct Writer {
    calls: ChunkCalls,
    area: Option<Area>,
}

/// Stores chunks over a few connections that are opened when needed.
pub(crate) struct ChunkWriter {
    transport: Arc<dyn Transport>,
    shared: ChunkCalls,
    counters: Arc<Counters>,
    idle: Mutex<Vec<Writer>>,
    chunk_size: usize,
    /// If the chunks go to another machine: keeps the tickets by which they can be read back.
    remote: Option<Arc<Remote>>,
}

impl std::fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkWriter")
            .field("idle", &self.idle.lock().len())
            .finish_non_exhaustive()
    }
}

impl ChunkWriter {
    /// Stores chunks of at most `chunk_size` bytes.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        counters: Arc<Counters>,
        chunk_size: usize,
        remote: Option<Arc<Remote>>,
    ) -> ChunkWriter {
        let shared = ChunkClient(transport.chunk());
        ChunkWriter {
            transport,
            shared,
            counters,
            idle: Mutex::new(Vec::new()),
            chunk_size,
            remote,
        }
    }

    /// Stores the parts, one after the other, as one chunk. Waits for a daemon that restarts.
    pub(crate) fn put(&self, parts: &[Bytes]) -> Result<Stored> {
        let until = Instant::now() + limits::CALL_DEADLINE;
        loop {
            let failure = match self.try_put(parts) {
                Err(Error::Failed(
                    failure @ (Failure::Disconnected(_) | Failure::Unavailable(_)),
                )) => failure,
                other => return other,
            };
            if Instant::now() >= until {
                return Err(failure.into());
            }
            std::thread::sleep(limits::RETRY_PAUSE);
        }
    }

    /// Waits until everything in `stored` is durable; false if it is in a store that restarted since and may have lost some
    /// of it, or that is not the one any more that puts go to: put them again.
    pub(crate) fn make_durable(&self, stored: &[Stored]) -> Result<bool> {
        let Some(last) = stored.iter().max_by_key(|stored| stored.place) else {
            return Ok(true);
        };
        self.counters.count(Counter::Flush);
        let request = FlushRequest {
            place: last.place,
            node: last.node,
            incarnation: last.incarnation,
        };
        let reply = call(|options| self.shared.flush(options, &request))?;
        // Two stores may be in a life of the same number.
        let by = (reply.node, reply.incarnation);
        let same = stored
            .iter()
            .all(|stored| (stored.node, stored.incarnation) == by);
        Ok(same && reply.durable_place >= last.place)
    }

    fn try_put(&self, parts: &[Bytes]) -> Result<Stored> {
        let idle = self.idle.lock().pop();
        let mut writer = match idle {
            Some(writer) => writer,
            None => self.connect()?,
        };
        let stored = self.put_with(&mut writer, parts);
        let usable = !matches!(
            stored,
            Err(Error::Failed(
                Failure::Disconnected(_) | Failure::Deadline(_)
            ))
        );
        let mut idle = self.idle.lock();
        if usable && idle.len() < limits::WRITERS_MAX {
            idle.push(writer);
        } else if !usable {
            // The others lead to the same process.
            idle.clear();
        }
        stored
    }

    fn connect(&self) -> Result<Writer> {
        let calls = ChunkClient(self.transport.chunk_connection()?);
        if self.remote.is_some() {
            return Ok(Writer { calls, area: None });
        }
        let area = Area::new(self.chunk_size)?;
        let mut options = Options::within(limits::CALL_DEADLINE);
        options.retry = false;
        options.send.push(area.descriptor()?);
        let request = AttachAreaRequest {
            length: self.chunk_size as u64,
        };
        match calls.attach_area(&mut options, &request) {
            Ok(_) => Ok(Writer {
                calls,
                area: Some(area),
            }),
            Err(Failure::Unsupported(_)) => Ok(Writer { calls, area: None }),
            Err(failure) => Err(failure.into()),
        }
    }

    fn put_with(&self, writer: &mut Writer, parts: &[Bytes]) -> Result<Stored> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let source = match &mut writer.area {
            Some(area) => {
                let mut rest = area.bytes();
                for part in parts {
                    let (room, after) = rest
                        .split_at_mut_checked(part.len())
                        .ok_or(Error::Refused(libc::EFBIG))?;
                    room.copy_from_slice(part);
                    rest = after;
                }
                put_request::Source::Area(AreaSpan {
                    offset: 0,
                    length: length as u32,
                })
            }
            None => put_request::Source::Data(match parts {
                [whole] => whole.clone(),
                parts => parts.concat().into(),
            }),
        };
        let request = PutRequest {
            source: Some(source),
            ..PutRequest::default()
        };
        self.counters.count(Counter::Put);
        self.counters.add(Counter::BytesPut, length as u64);
        let mut options = Options::within(limits::CALL_DEADLINE);
        options.retry = false;
        let reply = writer.calls.put(&mut options, &request)?;
        let id = ChunkId::from_slice(&reply.id).map_err(|_| Error::Malformed("a chunk id"))?;
        let proof = match &*reply.proof {
            [] => None,
            proof => Some(proof.try_into().map_err(|_| Error::Malformed("a proof"))?),
        };
        if let Some(remote) = &self.remote {
            let length = length as u32;
            let grant = Grant::of(&reply.ticket, 0, length, length);
            remote
                .tickets()
                .learn(id, grant.ok_or(Error::Malformed("a ticket"))?);
        }
        Ok(Stored {
            id,
            length: length as u32,
            place: reply.place,
            node: reply.node,
            incarnation: reply.incarnation,
            epoch: reply.epoch,
            proof,
        })
    }
}
