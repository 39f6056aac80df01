//! The state of the index in parts, for a node that lacks entries that are gone from the log.
//!
//! A snapshot is the newest checkpoint, frozen, and the entries of the log that content of it rides in. Whoever lacks
//! them takes its parts into a directory beside the index, makes a checkpoint of them when all are there and are what was
//! written, and puts that in the place of its own in one step, with a log that goes on behind it.
//!
//! - [`error`]: why one is not given or not taken.
//! - [`format`]: bytes of a part.
//! - [`install`]: the step.
//! - [`intake`]: parts that come, also over several lives of the daemon; [`whole`] makes a checkpoint of them.
//! - [`parts`]: parts of one that is sent.
//! - [`sending`]: which one is sent, and what is kept for it.
//!
//! What the daemon does for it is an [`IndexOwner`]. Beside that:
//!
//! - At a start it opens the [`Intake`] before it answers nodes, and gives it to [`super::wire::Answers`].
//! - It never cuts the log beyond [`Sending::held`], and after each checkpoint it has Raft look at it
//!   (`raft.trigger().snapshot()`): what that covers Raft no longer asks for, and only then can it go.
//! - Raft is to have `SnapshotPolicy::Never`, since the daemon knows when there is something new, and a
//!   `max_in_snapshot_log_to_keep` that is to its taste: whoever lags by no more gets entries.

pub mod error;
pub mod format;
pub mod install;
pub mod intake;
pub mod parts;
pub mod sending;
#[cfg(test)]
mod tests;
mod whole;

pub use error::SnapshotError;
pub use install::{Installed, Installing, Switch};
pub use intake::Intake;
pub use sending::Sending;
pub use whole::Built;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::wire::Sendable;
use crate::index::checkpoint::RedbTable;

/// A snapshot that can be read in parts, by several at a time.
pub trait SnapshotParts: Send + Sync {
    /// Its id: of two snapshots with the same one all parts are the same.
    fn id(&self) -> [u8; 16];

    /// A part, from 0; none: there are no more. Any part may be asked for again.
    ///
    /// # Errors
    /// It cannot be read.
    fn part(&self, number: u64) -> io::Result<Option<Bytes>>;
}

/// Whoever keeps the index of this node: the daemon. It may be asked on any thread.
pub trait IndexOwner: Send + Sync {
    /// The newest checkpoint. Where nothing was ever written it is one that has no entry in it.
    fn checkpoint(&self) -> Arc<RedbTable>;

    /// There is to be a newer checkpoint soon.
    fn want_checkpoint(&self);

    /// The index is replaced by that of a snapshot. Keeps everybody off it (nothing is applied, taken from the log,
    /// checkpointed, copied or cut meanwhile), calls `switch` once, and goes on over what that gives: the state is the one
    /// of its table, entries are taken from the one after it, and whoever has seen an older state is told. It may
    /// block. Before it returns Raft commits nothing more.
    ///
    /// # Errors
    /// What `switch` gave: the daemon must end, and its restart finds the old index or the new one.
    fn replace(&self, switch: Switch<'_>) -> Result<(), SnapshotError>;
}

/// What Raft passes on as a snapshot.
pub enum Snapshot {
    /// One of this node, to be sent.
    Own(Arc<dyn SnapshotParts>),
    /// One that has come and is to be put into its place.
    Come(Box<Built>),
}

impl Sendable for Snapshot {
    fn parts(self) -> Option<Arc<dyn SnapshotParts>> {
        match self {
            Snapshot::Own(parts) => Some(parts),
            Snapshot::Come(_) => None,
        }
    }
}
