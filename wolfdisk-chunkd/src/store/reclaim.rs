//! Epochs and sweeps: which chunks may go.
//!
//! To reclaim, the owner of the index asks for the next epoch; puts answered from then on are stamped with
//! it. It logs the sweep of the one before, finds among the chunks stamped so early those without a
//! reference, and has them freed. A put that came later, also of a chunk that was here already, has stamped
//! it with a later epoch, and the free passes it by: check and removal are one step under the state's lock.

use wolfdisk_common::ids::ChunkId;

use super::Store;
use super::catalog::prefix;
use super::epoch::{self, Epochs};
use super::error::StoreError;
use super::segment::RecordFault;
use super::state::Candidate;

impl Store {
    /// Starts of the daemon, this one included.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// What puts are stamped with now.
    pub fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// Begins the next epoch, durably, and gives the one that ended.
    ///
    /// # Errors
    /// After an error the daemon must end.
    pub fn advance_epoch(&self) -> Result<u64, StoreError> {
        let _one = self.advancing.lock();
        let swept = self.epoch();
        let next = Epochs {
            incarnation: self.incarnation,
            put_epoch: swept + 1,
        };
        let options = &self.options;
        epoch::store(&*options.disk, &options.dir, options.volume, next)
            .inspect_err(|_| self.watermark.fail())?;
        self.state.lock().advance();
        Ok(swept)
    }

    /// Up to `max` ids greater than `after`, ascending, of chunks stamped above `stamp_above` and at most
    /// `stamp_at_most`, with their lengths; and whether these are the last. Reads a header for each.
    ///
    /// # Errors
    /// What the system says.
    pub fn inventory(
        &self,
        after: Option<ChunkId>,
        max: usize,
        stamp_above: u64,
        stamp_at_most: u64,
    ) -> Result<(Vec<(ChunkId, u32)>, bool), StoreError> {
        let stamps = (stamp_above, stamp_at_most);
        let mut from = after.as_ref().map_or(0, prefix);
        let mut ids = Vec::new();
        loop {
            let (candidates, next) = self.listed(from, max, stamps);
            for candidate in candidates {
                ids.extend(self.id_of(&candidate)?.filter(|(id, _)| Some(*id) > after));
            }
            let end = next.is_none();
            if end || ids.len() >= max {
                ids.sort_unstable();
                let whole = ids.len() <= max;
                ids.truncate(max);
                return Ok((ids, end && whole));
            }
            from = next.unwrap_or(u64::MAX);
        }
    }

    /// A run of the catalog from a prefix on, and where to go on.
    fn listed(
        &self,
        from: u64,
        max: usize,
        (above, at_most): (u64, u64),
    ) -> (Vec<Candidate>, Option<u64>) {
        let state = self.state.lock();
        let (entries, all) = state.catalog.list(from, max.max(1));
        let next = entries
            .last()
            .and_then(|last| last.prefix.checked_add(1))
            .filter(|_| !all);
        let candidates = entries
            .into_iter()
            .filter(|entry| {
                let epoch = state.epoch_of(entry);
                epoch > above && epoch <= at_most
            })
            .filter_map(|entry| state.candidate(entry))
            .collect();
        (candidates, next)
    }

    fn id_of(&self, candidate: &Candidate) -> Result<Option<(ChunkId, u32)>, StoreError> {
        match candidate.segment.header(candidate.entry.place.offset) {
            Ok(header) => Ok(Some((header.id, header.length))),
            Err(RecordFault::Damaged) => {
                self.quarantine(candidate, "its header does not match its checksum");
                Ok(None)
            }
            Err(RecordFault::Io(error)) => Err(StoreError::io(&candidate.segment.path)(error)),
        }
    }

    /// Frees those of `ids` that were last put in epoch `swept` or before, and gives those that are gone
    /// now, the ones that were not here included.
    ///
    /// # Errors
    /// `StaleIncarnation` if the request was made for an earlier life of the store, `EpochRuns` if the epoch
    /// has not ended, or what the system says.
    pub fn free(
        &self,
        swept: u64,
        incarnation: u64,
        ids: &[ChunkId],
    ) -> Result<Vec<ChunkId>, StoreError> {
        if incarnation != self.incarnation {
            return Err(StoreError::StaleIncarnation {
                asked: incarnation,
                current: self.incarnation,
            });
        }
        let current = self.epoch();
        if swept >= current {
            return Err(StoreError::EpochRuns { swept, current });
        }
        let mut gone = Vec::new();
        for id in ids {
            if self.free_one(swept, id)? {
                gone.push(*id);
            }
        }
        Ok(gone)
    }

    fn free_one(&self, swept: u64, id: &ChunkId) -> Result<bool, StoreError> {
        loop {
            let Some(hit) = self.find(id)? else {
                return Ok(true);
            };
            let mut state = self.state.lock();
            let place = hit.candidate.entry.place;
            let entry = state
                .catalog
                .candidates(prefix(id))
                .find(|entry| entry.place == place);
            match entry {
                // Moved or freed in between: look again.
                None => {}
                Some(entry) if state.epoch_of(&entry) > swept => return Ok(false),
                Some(_) => {
                    state.remove(&hit.header);
                    self.counters.freed.add(1);
                    return Ok(true);
                }
            }
        }
    }
}
