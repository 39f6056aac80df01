//! What is known of the room on disk and of wolfdisk-chunkd.
//!
//! The disk is asked when a mutation needs to know, since a writer fills a small reserve in less time
//! than any thread sleeps; wolfdisk-chunkd is asked by a thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wolfdisk_common::disk::{Disk, Space};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::core::Core;
use super::rpc::Service;
use crate::budget::{Budget, kept_bytes, reserve_bytes};
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
        let full = short || self.chunkd.as_ref().is_some_and(|status| status.full);
        if self.full != full {
            let available_bytes = self.disk.available_bytes;
            tracing::warn!(full, available_bytes, "the disk's state changed");
        }
        self.full = full;
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

    /// Whether room should be made before it runs out.
    pub fn is_tight(&self) -> bool {
        let known = self.known.lock();
        known.full || known.disk.available_bytes < known.kept_bytes.saturating_mul(2)
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
        match &known.chunkd {
            // Chunks lie on another file system.
            Some(status) if status.disk_total_bytes != total_bytes => (
                status.disk_total_bytes.saturating_sub(status.reserve_bytes),
                status.disk_free_bytes.saturating_sub(status.reserve_bytes),
            ),
            _ => (
                total_bytes.saturating_sub(reserve_bytes(total_bytes)),
                available_bytes.saturating_sub(known.kept_bytes),
            ),
        }
    }
}

/// What the next checkpoint may add to the disk: each page that it changes is written anew before the old
/// one is free.
fn checkpoint_bytes(core: &Core) -> u64 {
    let records = core.index.records();
    records.table().size_bytes() + 2 * (records.overlay_bytes() + records.frozen_bytes())
}

impl Service {
    /// Whether only what frees room is accepted, as of just now.
    pub fn look_if_full(&self) -> bool {
        let now = self.clock.monotonic();
        if self.space.is_stale(now) {
            let needed = checkpoint_bytes(&self.core());
            self.space.look(now, needed);
        }
        self.space.is_full()
    }

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
