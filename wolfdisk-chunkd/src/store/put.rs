//! Taking chunks in.

use bytes::Bytes;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::segment::{Layout, RecordHeader};

use super::Store;
use super::append::Reservation;
use super::catalog::prefix;
use super::error::StoreError;
use super::lookup::Hit;
use super::place::Position;
use super::segment::RecordFault;
use super::state::State;
use crate::digest::Digest;

/// How much of the disk a put may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// All but the reserve.
    Ordinary,
    /// Half of the reserve too: destaging, which frees room in the log.
    Privileged,
    /// Three quarters of it: compaction, which frees room here.
    Compaction,
}

/// The answer to a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The chunk's name, computed from its bytes.
    pub id: ChunkId,
    /// The chunk is durable once everything before this is.
    pub position: Position,
    /// The epoch that the chunk is stamped with.
    pub epoch: u64,
    /// It was here already.
    pub deduplicated: bool,
}

impl Store {
    /// Stores a chunk, or finds that it is here. `pieces` are its bytes and `digest` was computed from them.
    /// Visible to all when it returns, durable when the durable position passes the receipt's.
    ///
    /// # Errors
    /// `Full`, or what the system says; the chunk is not stored then.
    pub fn put(
        &self,
        digest: &Digest,
        pieces: &[Bytes],
        admission: Admission,
    ) -> Result<Receipt, StoreError> {
        if self.watermark.durable().failed {
            return Err(StoreError::Failed);
        }
        if let Some(receipt) = self.refresh(&digest.id)? {
            self.counters.deduplicated.add(1);
            return Ok(receipt);
        }
        let layout = Layout::new(0, digest.length, self.options.page_size);
        self.admit(layout.total_bytes(), admission)?;
        let (room, header) = self.append(digest, pieces)?;
        let receipt = self.enter(&header, &room);
        self.finish(&room);
        self.counters.puts.add(1);
        self.counters.put_bytes.add(digest.length.into());
        receipt
    }

    /// Appends a record that is not in the catalog. The caller finishes the reservation.
    pub(super) fn append(
        &self,
        digest: &Digest,
        pieces: &[Bytes],
    ) -> Result<(Reservation, RecordHeader), StoreError> {
        let room = self.reserve(digest.length)?;
        match self.write(&room, digest, pieces) {
            Ok(header) => Ok((room, header)),
            Err(error) => {
                self.abandon(&room, &digest.id, &error);
                Err(error)
            }
        }
    }

    /// Stamps a chunk that is here with the current epoch: from now on no sweep of an earlier one takes it.
    /// One whose bytes are not what they were is not here: the bytes at hand take its place.
    fn refresh(&self, id: &ChunkId) -> Result<Option<Receipt>, StoreError> {
        loop {
            let hit = match self.find(id) {
                Ok(Some(hit)) => hit,
                Ok(None) => return Ok(None),
                // A bad sector: the bytes at hand are better than those on the disk.
                Err(StoreError::Io { .. }) => {
                    self.drop_unreadable(id);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if let Err(fault) = hit
                .candidate
                .segment
                .read(&hit.header, 0, hit.header.length)
            {
                self.quarantine(&hit.candidate, &fault.to_string());
                continue;
            }
            if let Some(receipt) = stamp(&mut self.state.lock(), &hit) {
                return Ok(Some(receipt));
            }
            // Freed or moved in between: look again.
        }
    }

    /// Makes a new record the one that its chunk is found by, unless another put was faster: then that one
    /// counts and this one is garbage from the start.
    fn enter(&self, header: &RecordHeader, room: &Reservation) -> Result<Receipt, StoreError> {
        loop {
            let mut state = self.state.lock();
            let rivals = state.catalog.candidates(prefix(&header.id)).count();
            if rivals == 0 {
                state.insert(header);
                let epoch = state.epoch;
                return Ok(Receipt {
                    id: header.id,
                    position: room.end(),
                    epoch,
                    deduplicated: false,
                });
            }
            drop(state);
            if let Some(receipt) = self.refresh(&header.id)? {
                return Ok(receipt);
            }
            let mut state = self.state.lock();
            // Another chunk with the same first 8 bytes of its id; as long as none has come or gone, this
            // one is not among them.
            if state.catalog.candidates(prefix(&header.id)).count() == rivals {
                state.insert(header);
                let epoch = state.epoch;
                return Ok(Receipt {
                    id: header.id,
                    position: room.end(),
                    epoch,
                    deduplicated: false,
                });
            }
        }
    }

    fn drop_unreadable(&self, id: &ChunkId) {
        let candidates = self.state.lock().candidates(id);
        for candidate in candidates {
            if let Err(RecordFault::Io(error)) =
                candidate.segment.header(candidate.entry.place.offset)
            {
                self.quarantine(&candidate, &error.to_string());
            }
        }
    }
}

fn stamp(state: &mut State, hit: &Hit) -> Option<Receipt> {
    let stamp = state.stamp_now();
    let entry = &hit.candidate.entry;
    state
        .catalog
        .stamp(entry.prefix, entry.place, stamp)
        .then(|| Receipt {
            id: hit.header.id,
            position: Position::new(hit.header.segment, hit.header.end()),
            epoch: state.epoch,
            deduplicated: true,
        })
}
