//! Which snapshot is sent, and what is kept for it.
//!
//! It is the newest checkpoint, but as long as parts of an older one are asked for that one: a transfer that broke off goes on
//! with it. Who has taken it needs the entries behind it, so until then no newer one is shown to Raft, which would have
//! those go. All that has an end.

use std::sync::Arc;

use openraft::alias::InstantOf;
use openraft::type_config::TypeConfigExt;
use parking_lot::Mutex;
use uuid::Uuid;
use wolfdisk_common::ids::LogIndex;

use super::format::id_of;
use super::parts::Parts;
use super::{IndexOwner, SnapshotError, SnapshotParts};
use crate::consensus::raft::store::RaftStore;
use crate::consensus::raft::{Names, Types, place_of};
use crate::index::checkpoint;
use crate::index::key::{self, Key};
use crate::index::record::{Undestaged, Voters};
use crate::index::records::Read;
use crate::index::table::{Applied, Table, TableError};
use crate::limits::{SNAPSHOT_FORSAKEN, SNAPSHOT_HELD_MAX};
use crate::log::format::record_bytes;

/// See the module.
pub struct Sending<C: Names = Types> {
    owner: Arc<dyn IndexOwner>,
    store: RaftStore<C>,
    volume: Uuid,
    current: Mutex<Option<Arc<Frozen<C>>>>,
    /// The first entry that the newest checkpoint needs, and which checkpoint that was.
    needed: Mutex<Option<(LogIndex, LogIndex)>>,
}

/// A checkpoint that stays as it is.
pub(super) struct Frozen<C: Names> {
    pub checkpoint: checkpoint::Snapshot,
    pub applied: Applied,
    /// The first entry of the log that content in it rides in; if there is none, the one after it.
    pub first: LogIndex,
    pub id: [u8; 16],
    pub room_bytes: u64,
    voters: Option<Voters>,
    began: InstantOf<C>,
    /// When it was made or a part was asked for last, and whether one was.
    used: Mutex<(InstantOf<C>, bool)>,
}

/// A snapshot that can be sent.
pub struct Sent {
    /// What it is of.
    pub applied: Applied,
    /// Who votes there.
    pub voters: Option<Voters>,
    /// Its parts.
    pub parts: Arc<dyn SnapshotParts>,
}

impl<C: Names> Frozen<C> {
    pub fn used(&self) {
        *self.used.lock() = (C::now(), true);
    }

    /// It is still of use: a part of it was asked for not long ago, or may be.
    fn is_alive(&self) -> bool {
        let (used, _) = *self.used.lock();
        let now = C::now();
        now < used + SNAPSHOT_FORSAKEN && now < self.began + SNAPSHOT_HELD_MAX
    }
}

impl<C: Names> Sending<C> {
    /// Of the index of `owner`, which is that of `volume`, over the log in `store`.
    pub fn new(owner: Arc<dyn IndexOwner>, store: RaftStore<C>, volume: Uuid) -> Sending<C> {
        Sending {
            owner,
            store,
            volume,
            current: Mutex::default(),
            needed: Mutex::default(),
        }
    }

    /// The snapshot to be sent; none: nothing was ever written.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub fn snapshot(&self) -> Result<Option<Sent>, SnapshotError> {
        let mut current = self.current.lock();
        let purged = self.store.purged();
        let purged = purged.map_or(LogIndex(0), |purged| place_of(purged.index));
        // What follows an older one is not there any more.
        let kept = current.take().filter(|kept| kept.is_alive());
        let kept = kept.filter(|kept| kept.used.lock().1 && kept.applied.index >= purged);
        let frozen = match kept {
            Some(kept) => kept,
            None => match self.freeze()? {
                Some(frozen) => Arc::new(frozen),
                None => return Ok(None),
            },
        };
        *current = Some(frozen.clone());
        drop(current);
        Ok(Some(Sent {
            applied: frozen.applied,
            voters: frozen.voters.clone(),
            parts: Arc::new(Parts::new(frozen, self.store.clone(), self.volume)),
        }))
    }

    /// Whether one is being sent.
    pub fn is_under_way(&self) -> bool {
        let current = self.current.lock();
        let alive = current.as_ref().filter(|kept| kept.is_alive());
        alive.is_some_and(|kept| kept.used.lock().1)
    }

    /// The log is needed from here on, for the snapshot that is sent and for one of the newest checkpoint.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub fn held(&self) -> Result<LogIndex, TableError> {
        let newest = self.needed_by_newest()?;
        let mut current = self.current.lock();
        let gone = current.take_if(|kept| !kept.is_alive());
        let first = current.as_ref().map_or(newest, |kept| kept.first);
        drop(current);
        // Closing it takes a moment.
        drop(gone);
        Ok(newest.min(first))
    }

    fn needed_by_newest(&self) -> Result<LogIndex, TableError> {
        let table = self.owner.checkpoint();
        let applied = table.applied().index;
        let known = *self.needed.lock();
        if let Some((of, first)) = known.filter(|(of, _)| *of == applied) {
            debug_assert_eq!(of, applied);
            return Ok(first);
        }
        let checkpoint = table.snapshot();
        let first = first_needed(&checkpoint)?;
        *self.needed.lock() = Some((checkpoint.applied().index, first));
        Ok(first)
    }

    fn freeze(&self) -> Result<Option<Frozen<C>>, SnapshotError> {
        let checkpoint = self.owner.checkpoint().snapshot();
        let applied = checkpoint.applied();
        if applied.index == LogIndex(0) {
            return Ok(None);
        }
        let first = first_needed(&checkpoint)?;
        let mut room_bytes = checkpoint.live_bytes();
        let mut lacks = false;
        for index in first.0..=applied.index.0 {
            match self.store.payload_bytes(LogIndex(index)) {
                Some(bytes) => room_bytes += record_bytes(bytes) as u64,
                None => lacks = true,
            }
        }
        if lacks {
            // It was cut before anybody held it. Who asks for parts is refused until there is a newer one.
            self.owner.want_checkpoint();
        }
        let now = C::now();
        Ok(Some(Frozen {
            applied,
            first,
            id: id_of(self.volume, applied),
            room_bytes,
            voters: checkpoint.load(&Key::Voters)?,
            began: now,
            used: Mutex::new((now, false)),
            checkpoint,
        }))
    }
}

/// The first entry of the log that content in a checkpoint rides in, or the one after it.
fn first_needed(checkpoint: &checkpoint::Snapshot) -> Result<LogIndex, TableError> {
    let first = checkpoint.first::<Undestaged>(&key::undestaged())?;
    Ok(match first {
        Some((Key::Undestaged { log_index, .. }, _)) => log_index,
        _ => LogIndex(checkpoint.applied().index.0 + 1),
    })
}
