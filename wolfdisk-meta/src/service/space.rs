//! What is known of the room on disk and of wolfdisk-chunkd: refreshed by a thread of its own, read by
//! calls that never wait for it.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use wolfdisk_common::disk::Space;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::rpc::Service;
use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub struct SpaceView {
    full: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    disk: Option<Space>,
    chunkd: Option<v1::ChunkStatus>,
}

/// What is kept free of a disk so that deleting, compacting and the log go on: 5 %, at least 1 GiB, but
/// never more than a tenth of a small disk.
pub fn reserve_bytes(total: u64) -> u64 {
    (total / 20).max(limits::RESERVE_MIN_BYTES).min(total / 10)
}

impl SpaceView {
    /// What the disk of the index and the chunk store said just now.
    pub fn update(&self, disk: Space, chunkd: Option<v1::ChunkStatus>) {
        let short = disk.available_bytes < reserve_bytes(disk.total_bytes);
        let full = short || chunkd.as_ref().is_some_and(|status| status.full);
        if self.full.swap(full, Ordering::Relaxed) != full {
            tracing::warn!(
                full,
                available_bytes = disk.available_bytes,
                "the disk's state changed"
            );
        }
        *self.known.lock() = Known {
            disk: Some(disk),
            chunkd,
        };
    }

    /// Whether only what frees room is accepted.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// What wolfdisk-chunkd last said; none if it did not answer.
    pub fn chunkd(&self) -> Option<v1::ChunkStatus> {
        self.known.lock().chunkd.clone()
    }

    /// Size of the disk without the reserve, and what of it is free.
    fn total_and_free(&self) -> (u64, u64) {
        let known = self.known.lock();
        let (total, free, reserve) = match (&known.chunkd, known.disk) {
            (Some(status), _) => (
                status.disk_total_bytes,
                status.disk_free_bytes,
                status.reserve_bytes,
            ),
            (None, Some(disk)) => (
                disk.total_bytes,
                disk.available_bytes,
                reserve_bytes(disk.total_bytes),
            ),
            (None, None) => (0, 0, 0),
        };
        (total.saturating_sub(reserve), free.saturating_sub(reserve))
    }
}

impl Service {
    pub(super) fn stat_fs(
        &self,
        _call: &mut Call,
        request: v1::StatFsRequest,
    ) -> Result<v1::StatFsReply, Failure> {
        let (core, _, _) = self.enter(request.session)?;
        let inodes = core
            .index
            .usage(0)
            .map_err(|error| self.broken(error))?
            .inodes;
        drop(core);
        let (total_bytes, free_bytes) = self.space.total_and_free();
        Ok(v1::StatFsReply {
            total_bytes,
            free_bytes,
            available_bytes: free_bytes,
            inodes,
            free_inodes: limits::INODES_SHOWN_FREE.saturating_sub(inodes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_fits_every_disk() {
        assert_eq!(reserve_bytes(1 << 40), (1 << 40) / 20);
        assert_eq!(reserve_bytes(15 << 30), 1 << 30);
        assert_eq!(reserve_bytes(100 << 20), 10 << 20);
    }
}
