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
use super::verify::Checked;
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

/// What the store knows of a chunk that is put.
enum Known {
    /// It is here, and stamped anew.
    Here(Receipt),
    /// It is here with bytes that are lost.
    Damaged(Hit),
    /// It is not here.
    Absent,
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
        if let Known::Here(receipt) = self.refresh(&digest.id)? {
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
    /// One whose bytes are not what they were is not here: the bytes at hand are to take its place.
    fn refresh(&self, id: &ChunkId) -> Result<Known, StoreError> {
        loop {
            let hit = match self.find(id) {
                Ok(Some(hit)) => hit,
                Ok(None) => return Ok(Known::Absent),
                // A bad sector: the bytes at hand are better than those on the disk.
                Err(StoreError::Io { .. }) => {
                    self.drop_unreadable(id);
                    return Ok(Known::Absent);
                }
                Err(error) => return Err(error),
            };
            let read = hit
                .candidate
                .segment
                .read(&hit.header, 0, hit.header.length);
            if read.is_err() {
                match self.verify(&hit)? {
                    Checked::Damaged => return Ok(Known::Damaged(hit)),
                    Checked::Intact | Checked::Healed | Checked::Gone => continue,
                }
            }
            if let Some(receipt) = stamp(&mut self.state.lock(), &hit) {
                return Ok(Known::Here(receipt));
            }
            // Freed or moved in between: look again.
        }
    }

    /// Makes a new record the one that its chunk is found by, unless another put was faster: then that one
    /// counts and this one is garbage from the start.
    fn enter(&self, header: &RecordHeader, room: &Reservation) -> Result<Receipt, StoreError> {
        let receipt = |epoch| Receipt {
            id: header.id,
            position: room.end(),
            epoch,
            deduplicated: false,
        };
        loop {
            let mut state = self.state.lock();
            let rivals = state.catalog.candidates(prefix(&header.id)).count();
            if rivals == 0 {
                state.insert(header);
                return Ok(receipt(state.epoch));
            }
            drop(state);
            let known = self.refresh(&header.id)?;
            let mut state = self.state.lock();
            match known {
                Known::Here(receipt) => return Ok(receipt),
                Known::Damaged(hit) => {
                    if state.heal(&hit.header, header) {
                        tracing::info!(id = %header.id, "a damaged chunk was put again and is whole");
                        self.counters.healed_chunks.add(1);
                        return Ok(receipt(state.epoch));
                    }
                }
                // Another chunk with the same first 8 bytes of its id; as long as none has come or gone,
                // this one is not among them.
                Known::Absent => {
                    if state.catalog.candidates(prefix(&header.id)).count() == rivals {
                        state.insert(header);
                        return Ok(receipt(state.epoch));
                    }
                }
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
