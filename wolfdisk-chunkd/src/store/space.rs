//! How full the disk may get.
//!
//! Ordinary puts leave a reserve. Destaging may use half of it, since it frees room in the log; compaction
//! three quarters, since it frees room here. The rest is for the index's log and checkpoints, without which
//! nothing can be deleted. Every put asks the file system, so room that comes back is used at
//! once.

use std::sync::atomic::Ordering;

use wolfdisk_common::disk::reserve_bytes;

use super::Store;
use super::error::StoreError;
use super::put::Admission;
use crate::limits;

/// The disk's room and what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Size of the file system.
    pub total_bytes: u64,
    /// What may still be written.
    pub available_bytes: u64,
    /// What ordinary puts leave.
    pub reserve_bytes: u64,
}

impl Room {
    /// Whether ordinary puts are refused.
    pub fn is_full(&self) -> bool {
        self.available_bytes <= self.reserve_bytes
    }

    /// Whether compaction should work harder.
    pub fn is_tight(&self) -> bool {
        self.available_bytes < 2 * self.reserve_bytes
    }
}

/// The size of segments on a disk of this size: two fit into the reserve.
pub fn segment_bytes(total_bytes: u64) -> u64 {
    (total_bytes / limits::SEGMENT_DISK_FRACTION).clamp(
        limits::SEGMENT_TARGET_MIN_BYTES,
        limits::SEGMENT_TARGET_BYTES,
    )
}

impl Store {
    /// How much room there is.
    ///
    /// # Errors
    /// What the system says.
    pub fn room(&self) -> Result<Room, StoreError> {
        let dir = &self.options.dir;
        let space = self.options.disk.space(dir).map_err(StoreError::io(dir))?;
        let room = Room {
            total_bytes: space.total_bytes,
            available_bytes: space.available_bytes,
            reserve_bytes: reserve_bytes(space.total_bytes),
        };
        let full = room.is_full();
        if self.full.swap(full, Ordering::Relaxed) != full {
            tracing::warn!(
                full,
                available_bytes = room.available_bytes,
                "the chunk store's reserve"
            );
        }
        Ok(room)
    }

    pub(super) fn admit(&self, bytes: u64, admission: Admission) -> Result<(), StoreError> {
        let room = self.room()?;
        let kept = match admission {
            Admission::Ordinary => room.reserve_bytes,
            Admission::Privileged => room.reserve_bytes / 2,
            Admission::Compaction => room.reserve_bytes / 4,
        };
        if room.available_bytes < bytes.saturating_add(kept) {
            self.counters.refused_full.add(1);
            return Err(StoreError::Full);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_segments_fit_the_reserve_of_every_disk() {
        const MIB: u64 = 1 << 20;
        for total in [16 * MIB, 100 * MIB, 1 << 30, 1 << 34, 1 << 40] {
            assert!(2 * segment_bytes(total) <= reserve_bytes(total), "{total}");
        }
    }
}
