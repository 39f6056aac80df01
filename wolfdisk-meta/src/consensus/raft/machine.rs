//! What Raft calls the state machine. It is told what is committed and passes that on: the index applies entries itself, as
//! soon as they are accepted.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::EntryPayload;
use openraft::alias::{SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use parking_lot::Mutex;
use tokio::sync::watch;
use wolfdisk_common::ids::LogIndex;

use super::{LogId, Types, log_id, payload, place_of};
use crate::index::record::Voters;
use crate::index::table::Applied;

/// See the module. All copies are about the same log.
#[derive(Clone)]
pub struct Machine {
    known: Arc<Mutex<Known>>,
    committed: Arc<watch::Sender<LogIndex>>,
}

struct Known {
    committed: Option<LogId>,
    membership: StoredMembershipOf<Types>,
}

impl Machine {
    /// Over a checkpoint at `applied`, which says who votes.
    pub fn new(applied: Applied, voters: Option<&Voters>) -> Machine {
        let membership = voters.map(|voters| {
            let said = log_id(voters.index, voters.term);
            let membership = payload::membership(&voters.configs, &voters.learners);
            StoredMembershipOf::<Types>::new(said, membership)
        });
        let known = Known {
            committed: log_id(applied.index, applied.term),
            membership: membership.unwrap_or_default(),
        };
        Machine {
            known: Arc::new(Mutex::new(known)),
            committed: Arc::new(watch::Sender::new(applied.index)),
        }
    }

    /// Follows what is committed.
    pub fn committed(&self) -> watch::Receiver<LogIndex> {
        self.committed.subscribe()
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembershipOf<Types>)> {
        let known = self.known.lock();
        Ok((known.committed, known.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let mut known = self.known.lock();
            known.committed = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                known.membership = StoredMembershipOf::<Types>::new(Some(entry.log_id), membership);
            }
            drop(known);
            self.committed.send_replace(place_of(entry.log_id.index));
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Machine> {
        None
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<Types>, (): ()) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, ()>>> {
        Ok(None)
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, ()>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
