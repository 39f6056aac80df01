//! How much of the disk the index takes for things that come and go: all of it fits into the reserve, so
//! that neither the log nor a checkpoint ever meets the end of the disk.

use wolfdisk_common::disk::reserve_bytes;
use wolfdisk_common::limits::CHUNK_SIZE_MAX_BYTES;

use crate::limits;

/// See the module. On a disk of 64 GiB and more these are the limits of [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// A log segment; one is in use and one is made ahead.
    pub segment_bytes: u64,
    /// A checkpoint is written when the overlay holds so much ..
    pub overlay_bytes: u64,
    /// .. or the log has grown by so much.
    pub log_bytes: u64,
    /// Destaging begins when so much is in the log ..
    pub destage_bytes: u64,
    /// .. and writers wait above this. The chunks it becomes fit into what destaging may use.
    pub undestaged_bytes: u64,
    /// So many unreferenced chunks are swept without waiting.
    pub sweep_chunks: u64,
    /// Dead bytes that are worth it while there is room: in chunks to pack anew, in the checkpoint to copy.
    pub repack_bytes: u64,
}

impl Budget {
    /// For a disk of this size.
    pub fn of(total_bytes: u64) -> Budget {
        let share = |parts: u64, most: u64| (total_bytes / parts).min(most);
        Budget {
            segment_bytes: share(128, limits::SEGMENT_SIZE_BYTES)
                .max(limits::SEGMENT_SIZE_MIN_BYTES),
            overlay_bytes: share(64, limits::CHECKPOINT_OVERLAY_BYTES),
            log_bytes: share(16, limits::CHECKPOINT_LOG_BYTES),
            destage_bytes: share(64, limits::DESTAGE_BYTES),
            undestaged_bytes: share(16, wolfdisk_common::limits::UNDESTAGED_MAX_BYTES),
            sweep_chunks: share(64 * CHUNK_SIZE_MAX_BYTES as u64, limits::SWEEP_GARBAGE).max(1),
            repack_bytes: share(64, limits::REPACK_WORTH_BYTES),
        }
    }
}

/// What must be free for a mutation that grows anything. Half of the reserve belongs to the index; a
/// checkpoint copies every page that it changes, at worst all, and its file is copied as a whole to give
/// back what is dead in it: `checkpoint_bytes` says how much that is.
pub fn kept_bytes(total_bytes: u64, checkpoint_bytes: u64) -> u64 {
    let reserve = reserve_bytes(total_bytes);
    reserve.max((reserve / 2).saturating_add(checkpoint_bytes))
}

/// Chunks are packed anew below this share of live bytes, in percent: half on a disk that is half empty or
/// more, and the more the fuller it is. Above 7/8 a chunk has no mark by which it would be found.
pub fn repack_percent(total_bytes: u64, available_bytes: u64) -> u64 {
    let free = available_bytes.saturating_mul(100) / total_bytes.max(1);
    87 - 37 * free.min(50) / 50
}

/// Room for copies of what is packed anew. The copies are put as destaging puts are, into half of the
/// reserve; a quarter of that is left to destaging.
pub fn repack_room(reserve_bytes: u64, available_bytes: u64) -> u64 {
    available_bytes.saturating_sub(reserve_bytes / 8 * 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_in_the_reserve_fits_into_it_on_every_disk() {
        for total in [128 << 20, 600 << 20, 1 << 32, 1 << 36, 1 << 40] {
            let (budget, reserve) = (Budget::of(total), reserve_bytes(total));
            assert!(2 * budget.segment_bytes <= reserve / 4, "{total}");
            assert!(budget.undestaged_bytes <= reserve / 2, "{total}");
            assert!(budget.overlay_bytes <= reserve / 8, "{total}");
            assert!(repack_room(reserve, reserve) >= reserve / 4, "{total}");
            assert_eq!(repack_percent(total, total), 50);
            assert_eq!(repack_percent(total, 0), 87);
            assert!((70..80).contains(&repack_percent(total, total / 5)));
            assert!(kept_bytes(total, 0) == reserve && kept_bytes(total, reserve) > reserve);
        }
    }
}
