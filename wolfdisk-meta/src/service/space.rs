//! What is known of the room on disk and of wolfdisk-chunkd.
//!
//! The disk is asked when a mutation needs to know, since a writer fills a small reserve in less time
//! than any thread sleeps; wolfdisk-chunkd is asked by a thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wolfdisk_common::disk::{Disk, Space, reserve_bytes};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::core::Core;
use super::rpc::Service;
use crate::budget::{Budget, kept_bytes, repack_percent, repack_room};
use crate::index::table::Table;
use crate::limits;

/// See the module.
pub struct SpaceView {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    budget: Budget,
    known: Mutex<Known>,
}

struct Known {
    disk: Space,
    /// What growing mutations leave.
    kept_bytes: u64,
    looked: Duration,
    chunkd: Option<v1::ChunkStatus>,
    full: bool,
}

impl Known {
    fn judge(&mut self) {
        let short = self.disk.available_bytes < self.kept_bytes;
        let full = short || self.elsewhere().is_some_and(|status| status.full);
        if self.full != full {
            let available_bytes = self.disk.available_bytes;
            tracing::warn!(full, available_bytes, "the disk's state changed");
        }
        self.full = full;
    }

    /// Size, free bytes and reserve of the file system that chunks lie on.
    fn chunk_disk(&self) -> (u64, u64, u64) {
        match self.elsewhere() {
            Some(status) => (
                status.disk_total_bytes,
                status.disk_free_bytes,
                status.reserve_bytes,
            ),
            None => {
                let total_bytes = self.disk.total_bytes;
                let available_bytes = self.disk.available_bytes;
                (total_bytes, available_bytes, reserve_bytes(total_bytes))
            }
        }
    }

    /// What wolfdisk-chunkd said, if its chunks lie on another file system than the index. On the same one
    /// the look at the disk is newer, and what is kept of it is never less.
    fn elsewhere(&self) -> Option<&v1::ChunkStatus> {
        let total_bytes = self.disk.total_bytes;
        let other = |status: &&v1::ChunkStatus| status.disk_total_bytes != total_bytes;
        self.chunkd.as_ref().filter(other)
    }
}

impl SpaceView {
    /// The room for the index in `directory`.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> io::Result<SpaceView> {
        let space = disk.space(&directory)?;
        Ok(SpaceView {
            disk,
            directory,
            budget: Budget::of(space.total_bytes),
            known: Mutex::new(Known {
                disk: space,
                kept_bytes: reserve_bytes(space.total_bytes),
                looked: Duration::ZERO,
                chunkd: None,
                full: false,
            }),
        })
    }

    /// What the index may take for things that come and go.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What wolfdisk-chunkd said just now; none if it did not answer.
    pub fn update(&self, chunkd: Option<v1::ChunkStatus>) {
        let mut known = self.known.lock();
        known.chunkd = chunkd;
        known.judge();
    }

    /// Whether only what frees room is accepted, as of the last look.
    pub fn is_full(&self) -> bool {
        self.known.lock().full
    }

    /// Whether `bytes` more fit, as of the last look.
    fn fits(&self, bytes: u64) -> bool {
        let known = self.known.lock();
        let (here, there) = match known.elsewhere() {
            Some(status) => {
                let needed = status.reserve_bytes.saturating_add(bytes);
                (0, status.disk_free_bytes >= needed)
            }
            None => (bytes, true),
        };
        there && known.disk.available_bytes >= known.kept_bytes.saturating_add(here)
    }

    /// Whether room should be made before it runs out.
    pub fn is_tight(&self) -> bool {
        let known = self.known.lock();
        known.full || known.disk.available_bytes < known.kept_bytes.saturating_mul(2)
    }

    /// Below which share of live bytes chunks are packed anew, in percent.
    pub fn repack_percent(&self) -> u64 {
        let known = self.known.lock();
        let (total_bytes, available_bytes, _) = known.chunk_disk();
        repack_percent(total_bytes, available_bytes)
    }

    /// How many bytes may be copied before anything must be given back.
    pub fn repack_room(&self) -> u64 {
        let known = self.known.lock();
        let (_, available_bytes, reserve_bytes) = known.chunk_disk();
        repack_room(reserve_bytes, available_bytes)
    }

    /// What the index may take for a while, all but a quarter of the reserve.
    pub fn index_room(&self) -> u64 {
        let known = self.known.lock();
        let reserve = reserve_bytes(known.disk.total_bytes);
        known.disk.available_bytes.saturating_sub(reserve / 4)
    }

    /// Segments that wolfdisk-chunkd has given back in its life.
    pub fn segments_gone(&self) -> u64 {
        let known = self.known.lock();
        let told = known.chunkd.as_ref();
        let gone = told.and_then(|status| status.counters.get("compacted_segments"));
        gone.copied().unwrap_or(0)
    }

    /// Whether more is kept for the index than the reserve: then what dies in it is room for others.
    pub fn is_index_heavy(&self) -> bool {
        let known = self.known.lock();
        known.kept_bytes > reserve_bytes(known.disk.total_bytes)
    }

    /// The index's disk, as of the last look.
    pub(super) fn disk(&self) -> Space {
        self.known.lock().disk
    }

    /// What wolfdisk-chunkd last said; none if it did not answer.
    pub fn chunkd(&self) -> Option<v1::ChunkStatus> {
        self.known.lock().chunkd.clone()
    }

    fn is_stale(&self, now: Duration) -> bool {
        now.saturating_sub(self.known.lock().looked) >= limits::SPACE_LOOK
    }

    fn look(&self, now: Duration, checkpoint_bytes: u64) {
        match self.disk.space(&self.directory) {
            Ok(space) => {
                let mut known = self.known.lock();
                known.disk = space;
                known.kept_bytes = kept_bytes(space.total_bytes, checkpoint_bytes);
                known.looked = now;
                known.judge();
            }
            Err(error) => tracing::warn!(%error, "the room on disk is not known"),
        }
    }

    /// Size of the disk without the reserve, and what of it is free.
    fn total_and_free(&self) -> (u64, u64) {
        let known = self.known.lock();
        let Space {
            total_bytes,
            available_bytes,
        } = known.disk;
        match known.elsewhere() {
            Some(status) => (
                status.disk_total_bytes.saturating_sub(status.reserve_bytes),
                status.disk_free_bytes.saturating_sub(status.reserve_bytes),
            ),
            None => (
                total_bytes.saturating_sub(reserve_bytes(total_bytes)),
                available_bytes.saturating_sub(known.kept_bytes),
            ),
        }
    }
}

/// What the next checkpoint and then a new file for all of them may add to the disk. Either takes up to twice
/// what is not in the table yet, since a page may be half empty: without the room for both, a checkpoint
/// could leave a file of which much is dead and no room to copy it.
fn checkpoint_bytes(core: &Core) -> u64 {
    let records = core.index.records();
    records.table().live_bytes() + 4 * (records.overlay_bytes() + records.frozen_bytes())
}

impl Service {
    /// Whether only what frees room is accepted, as of just now.
    pub fn look_if_full(&self) -> bool {
        self.look();
        self.space.is_full()
    }

    /// Whether `bytes` more fit beside what is kept, as of just now.
    pub fn look_if_fits(&self, bytes: u64) -> bool {
        self.look();
        self.space.fits(bytes)
    }

    /// Looks at the disk anew; `chunkd` is what wolfdisk-chunkd said just now, if it answered.
    pub fn look_again(&self, chunkd: Option<v1::ChunkStatus>) {
        self.space.update(chunkd);
        let needed = checkpoint_bytes(&self.core());
        self.space.look(self.clock.monotonic(), needed);
    }

    fn look(&self) {
        let now = self.clock.monotonic();
        if self.space.is_stale(now) {
            let needed = checkpoint_bytes(&self.core());
            self.space.look(now, needed);
        }
    }

    pub(super) fn stat_fs(
        &self,
        call: &mut Call,
        request: v1::StatFsRequest,
    ) -> Result<v1::StatFsReply, Failure> {
        let (core, _, _) = self.enter(call, request.session)?;
        let inodes = core
            .index
            .usage(0)
            .map_err(|error| self.broken(error))?
            .inodes;
        drop(core);
        self.look_if_full();
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
