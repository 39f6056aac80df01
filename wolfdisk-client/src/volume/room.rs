//! Storing chunks on a disk that is full: room that is being given back is waited for.

use std::time::Instant;

use bytes::Bytes;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::v1::{MakeRoomReply, MakeRoomRequest};

use super::Volume;
use crate::chunks::put::Stored;
use crate::chunks::reader::id_bytes;
use crate::counters::Counter;
use crate::error::Result;
use crate::limits;

impl Volume {
    /// Stores the parts as one chunk. A full disk is a refusal only when nothing can be given back in time.
    pub(super) fn put_chunk(&self, parts: &[Bytes]) -> Result<Stored> {
        let until = Instant::now() + limits::ROOM_DEADLINE;
        loop {
            let stored = self.writer.put(parts);
            let full = matches!(&stored, Err(error) if error.errno() == libc::ENOSPC);
            if !full || Instant::now() >= until || !self.wait_for_room(parts, until)? {
                return stored;
            }
        }
    }

    /// Tells that these chunks will not be named, so that their room can be used at once.
    pub(super) fn give_up(&self, stored: impl IntoIterator<Item = ChunkId>) {
        let abandoned: Vec<Bytes> = stored.into_iter().map(|id| id_bytes(&id)).collect();
        if abandoned.is_empty() {
            return;
        }
        let request = |_session| MakeRoomRequest {
            abandoned: abandoned.clone(),
            ..MakeRoomRequest::default()
        };
        let told = self
            .session
            .ask(Counter::MakeRoom, request, |meta, options, request| {
                meta.make_room(options, request)
            });
        if let Err(error) = told {
            tracing::debug!(%error, "chunks that nobody names are found later");
        }
    }

    /// Has room made; false if there is none to be made.
    fn wait_for_room(&self, parts: &[Bytes], until: Instant) -> Result<bool> {
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        while Instant::now() < until {
            // What is mapped here takes room, even if the store has given it back.
            self.chunks.drop_retired()?;
            let wait = limits::ROOM_SLICE.min(until.saturating_duration_since(Instant::now()));
            let request = |_session| MakeRoomRequest {
                bytes: (bytes + limits::CHUNK_RECORD_MAX_BYTES) as u64,
                wait_ms: wait.as_millis() as u32,
                abandoned: Vec::new(),
            };
            let (reply, _) =
                self.session
                    .ask(Counter::MakeRoom, request, |meta, options, request| {
                        meta.make_room(options, request)
                    })?;
            match reply {
                MakeRoomReply { room: true, .. } => return Ok(true),
                MakeRoomReply { hope: true, .. } => {}
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}
