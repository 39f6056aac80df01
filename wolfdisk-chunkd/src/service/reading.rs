//! Locating, handing over segments, and reading through the daemon.

use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::limits::CHUNK_SIZE_MAX_BYTES;
use wolfdisk_common::ticket::Span;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::ChunkServer;
use super::failure::{parse_id, parse_ids};
use super::network::Asker;
use crate::limits;
use crate::relay::Fetched;
use crate::store::{Location, ReadOnly};

impl ChunkServer {
    pub(super) fn locate_all(&self, ids: &[bytes::Bytes]) -> Result<v1::LocateReply, Failure> {
        let ids = parse_ids(ids, limits::LOCATE_MAX_IDS)?;
        let locations = ids
            .iter()
            .map(|id| {
                Ok(self
                    .store
                    .locate(id)?
                    .map_or_else(v1::Location::default, found))
            })
            .collect::<Result<_, Failure>>()?;
        Ok(v1::LocateReply { locations })
    }

    /// Attaches a descriptor that can only be read, opened anew: not the store's own.
    pub(super) fn hand_over(
        &self,
        call: &mut Call,
        segment: u32,
    ) -> Result<v1::SegmentReply, Failure> {
        let Some(ReadOnly { file, end }) = self.store.open_read_only(SegmentId(segment))? else {
            // It was compacted: locate again.
            return Err(Failure::Errno(libc::ESTALE));
        };
        let descriptor = file
            .descriptor()
            .ok_or_else(|| Failure::Unsupported("this disk has no descriptors".to_owned()))?
            .try_clone_to_owned()
            .map_err(|error| Failure::Unavailable(error.to_string()))?;
        call.attach(descriptor)?;
        Ok(v1::SegmentReply {
            segment,
            length: end,
        })
    }

    pub(super) fn which_retired(&self, held: Vec<u32>) -> Result<v1::RetiredReply, Failure> {
        if held.len() > limits::RETIRED_MAX_IDS {
            let text = format!(
                "{} segments, at most {} are allowed",
                held.len(),
                limits::RETIRED_MAX_IDS
            );
            return Err(Failure::Invalid(text));
        }
        let held: Vec<SegmentId> = held.into_iter().map(SegmentId).collect();
        let retired = self
            .store
            .retired(&held)
            .into_iter()
            .map(|id| id.0)
            .collect();
        Ok(v1::RetiredReply { retired })
    }

    pub(super) async fn read_range(
        &self,
        asker: &Asker,
        request: v1::ReadRequest,
    ) -> Result<v1::ReadReply, Failure> {
        let id = parse_id(&request.id)?;
        let (offset, length) = (request.offset, request.length);
        if length as usize > CHUNK_SIZE_MAX_BYTES {
            return Err(Failure::Invalid(format!("a read of {length} bytes")));
        }
        let ticket = self.ticket(asker, id, &request)?;
        let in_flight = self.in_flight(asker, length).await?;
        let clip = request.clip && matches!(asker, Asker::Node);
        let here = self.read_here(id, &request, clip).await;
        let found = match (self.relay_for(asker), here) {
            (Some(relay), Err(failure)) if may_be_elsewhere(&failure) => {
                let _own = in_flight.waits_for_others();
                relay.read(id, offset, length).await.map_err(|other| {
                    match other {
                        // What is wrong here says more than that nobody else has it.
                        Failure::Errno(libc::ENOENT) => failure,
                        other => other,
                    }
                })?
            }
            (_, here) => here?,
        };
        // The hash of a leaf lets one guess what it holds.
        let may_guess = ticket.is_none_or(|span| span.offset == 0 && span.length == found.chunk);
        let tells = request.with_leaves && may_guess;
        Ok(v1::ReadReply {
            data: found.data,
            leaves: match tells {
                true => found.leaves,
                false => bytes::Bytes::new(),
            },
            chunk_length: match tells {
                true => found.chunk,
                false => 0,
            },
        })
    }

    async fn read_here(
        &self,
        id: ChunkId,
        request: &v1::ReadRequest,
        clip: bool,
    ) -> Result<Fetched, Failure> {
        let (offset, length) = (request.offset, request.length);
        if !request.with_leaves {
            let data = self.blocking(move |store| store.read(&id, offset, length));
            return Ok(Fetched {
                data: data.await?.into(),
                leaves: bytes::Bytes::new(),
                chunk: 0,
            });
        }
        let found = self.blocking(move |store| match clip {
            true => store.read_clipped(&id, offset, length),
            false => store.read_with_leaves(&id, offset, length),
        });
        let found = found.await?;
        Ok(Fetched {
            data: found.data.into(),
            leaves: found.leaves.into(),
            chunk: found.chunk,
        })
    }

    /// The range that a ticket opens; none: the asker needs no ticket.
    fn ticket(
        &self,
        asker: &Asker,
        id: ChunkId,
        request: &v1::ReadRequest,
    ) -> Result<Option<Span>, Failure> {
        let (Asker::Member(number, _), Some(network)) = (asker, &self.network) else {
            return Ok(None);
        };
        let span = Span {
            id,
            offset: request.ticket_offset,
            length: request.ticket_length,
        };
        let end = |offset: u32, length: u32| u64::from(offset) + u64::from(length);
        let inside = request.offset >= span.offset
            && end(request.offset, request.length) <= end(span.offset, span.length);
        let judged = match inside && network.tickets().may_read(*number, &span, &request.ticket) {
            true => Ok(Some(span)),
            false => Err(Failure::Denied(
                "no ticket of this member lets it read this range".to_owned(),
            )),
        };
        network.counted(judged)
    }
}

/// Whether another node may have what this one does not, or not whole.
fn may_be_elsewhere(failure: &Failure) -> bool {
    matches!(failure, Failure::Errno(libc::ENOENT) | Failure::Corrupt(_))
}

fn found(location: Location) -> v1::Location {
    v1::Location {
        found: true,
        segment: location.segment.0,
        record_offset: location.record_offset,
        payload_offset: location.payload_offset,
        length: location.length,
    }
}
