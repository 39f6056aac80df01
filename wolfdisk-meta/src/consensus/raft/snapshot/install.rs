//! A snapshot that has come takes the place of the index, in one step: the manifest names its checkpoint and the segment that
//! the log begins with. Until then nothing has changed, after it everything has; what a crash leaves of either is removed
//! by the next start.

use std::sync::Arc;

use wolfdisk_common::disk::Disk;

use super::IndexOwner;
use super::error::SnapshotError;
use super::intake::Intake;
use super::whole::{self, Built};
use crate::consensus::raft::store::RaftStore;
use crate::consensus::raft::{LogId, Membership, Names, Types, log_id, payload};
use crate::index::checkpoint::RedbTable;
use crate::index::table::{Applied, Table};
use crate::storage::Generations;

/// The step, to be taken once, over the files of the index.
pub type Switch<'a> =
    Box<dyn FnOnce(&mut Generations) -> Result<Installed, SnapshotError> + Send + 'a>;

/// The index that is there now.
pub struct Installed {
    /// The checkpoint, which is all of its state.
    pub table: Arc<RedbTable>,
    /// How far it has come. Entries that follow may be in the log already.
    pub applied: Applied,
}

/// What the leader said of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The last entry in it.
    pub last: Option<LogId>,
    /// Who votes there, and the entry that said so.
    pub voters: (Option<LogId>, Membership),
}

impl Said {
    /// What is to be said of a snapshot.
    pub fn of(applied: Applied, voters: Option<&crate::index::record::Voters>) -> Said {
        let voters = voters.map(|voters| {
            let said = log_id(voters.index, voters.term);
            (said, payload::membership(&voters.configs, &voters.learners))
        });
        Said {
            last: log_id(applied.index, applied.term),
            voters: voters.unwrap_or_default(),
        }
    }
}

/// See the module.
pub struct Installing<C: Names = Types> {
    disk: Arc<dyn Disk>,
    owner: Arc<dyn IndexOwner>,
    store: RaftStore<C>,
    intake: Arc<Intake>,
    cache_bytes: usize,
}

impl<C: Names> Installing<C> {
    /// For the index of `owner` over the log in `store`, of snapshots that come into `intake`. Of a checkpoint so many
    /// bytes are kept in memory.
    pub fn new(
        disk: Arc<dyn Disk>,
        owner: Arc<dyn IndexOwner>,
        store: RaftStore<C>,
        intake: Arc<Intake>,
        cache_bytes: usize,
    ) -> Installing<C> {
        Installing {
            disk,
            owner,
            store,
            intake,
            cache_bytes,
        }
    }

    /// Puts a snapshot in the place of the index. It blocks.
    ///
    /// # Errors
    /// The daemon must end: its restart finds the old index or this one.
    pub fn install(&self, said: &Said, built: &Built) -> Result<Applied, SnapshotError> {
        let found = Said::of(built.applied, built.voters.as_ref());
        if found != *said {
            return Err(SnapshotError::OtherState {
                found: format!("{found:?}"),
                said: format!("{said:?}"),
            });
        }
        let known = self.owner.checkpoint().applied().index;
        if known >= built.applied.index {
            let found = built.applied.index;
            return Err(SnapshotError::Old { found, known });
        }
        let mut done = false;
        let switch = |files: &mut Generations| {
            let installed = self.switch(built, files)?;
            done = true;
            Ok(installed)
        };
        self.owner.replace(Box::new(switch))?;
        match done {
            true => Ok(built.applied),
            false => Err(SnapshotError::NotReplaced),
        }
    }

    fn switch(&self, built: &Built, files: &mut Generations) -> Result<Installed, SnapshotError> {
        let entries = whole::entries(&*self.disk, &built.parts)?;
        let mut path = None;
        self.store
            .begin_after(built.applied, built.first, entries, |first_segment| {
                path = Some(files.replace(&built.checkpoint, first_segment)?);
                Ok::<_, SnapshotError>(())
            })?;
        let path = path.ok_or(SnapshotError::NotReplaced)?;
        let table = RedbTable::open(&self.disk, &path, self.cache_bytes)?;
        files.remove_old()?;
        self.intake.clear()?;
        tracing::info!(
            entry = built.applied.index.0,
            version = built.applied.version.0,
            "the index is that of another node now, which had the log no more"
        );
        Ok(Installed {
            table: Arc::new(table),
            applied: built.applied,
        })
    }
}
