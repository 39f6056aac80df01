//! Locating, handing over segments, and reading through the daemon.

use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::limits::CHUNK_SIZE_MAX_BYTES;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::ChunkServer;
use super::failure::{parse_id, parse_ids};
use crate::limits;
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
        request: v1::ReadRequest,
    ) -> Result<v1::ReadReply, Failure> {
        let v1::ReadRequest {
            id, offset, length, ..
        } = request;
        let id = parse_id(&id)?;
        if length as usize > CHUNK_SIZE_MAX_BYTES {
            return Err(Failure::Invalid(format!("a read of {length} bytes")));
        }
        let permits = self.in_flight.clone().acquire_many_owned(length).await;
        let _permits =
            permits.map_err(|_| Failure::Unavailable("the daemon is ending".to_owned()))?;
        let data = self
            .blocking(move |store| store.read(&id, offset, length))
            .await?;
        Ok(v1::ReadReply {
            data: data.into(),
            ..v1::ReadReply::default()
        })
    }
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
