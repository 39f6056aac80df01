//! What Raft calls the state machine. It is told what is committed and passes that on: the index applies entries itself, as
//! soon as they are accepted. Snapshots are those of the checkpoints of the index.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::EntryPayload;
use openraft::alias::{SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use parking_lot::Mutex;
use tokio::sync::watch;
use wolfdisk_common::ids::LogIndex;

use super::snapshot::install::Said;
use super::snapshot::{Installing, Sending, Snapshot, SnapshotError};
use super::{LogId, Types, place_of};
use crate::index::record::Voters;
use crate::index::table::Applied;

/// See the module. All copies are about the same log.
#[derive(Clone)]
pub struct Machine {
    known: Arc<Mutex<Known>>,
    committed: Arc<watch::Sender<LogIndex>>,
    sending: Arc<Sending>,
    installing: Arc<Installing>,
}

struct Known {
    committed: Option<LogId>,
    membership: StoredMembershipOf<Types>,
}

impl Machine {
    /// Over a checkpoint at `applied`, which says who votes.
    pub fn new(
        applied: Applied,
        voters: Option<&Voters>,
        sending: Arc<Sending>,
        installing: Arc<Installing>,
    ) -> Machine {
        let Said { last, voters } = Said::of(applied, voters);
        let known = Known {
            committed: last,
            membership: StoredMembershipOf::<Types>::new(voters.0, voters.1),
        };
        Machine {
            known: Arc::new(Mutex::new(known)),
            committed: Arc::new(watch::Sender::new(applied.index)),
            sending,
            installing,
        }
    }

    /// Follows what is committed.
    pub fn committed(&self) -> watch::Receiver<LogIndex> {
        self.committed.subscribe()
    }

    /// The snapshot that is to be sent, if there is anything that it could be of.
    fn snapshot(&self) -> Result<Option<SnapshotOf<Types, Snapshot>>, SnapshotError> {
        let sent = self.sending.snapshot()?;
        Ok(sent.map(|sent| {
            let Said { last, voters } = Said::of(sent.applied, sent.voters.as_ref());
            SnapshotOf::<Types, Snapshot> {
                meta: SnapshotMetaOf::<Types> {
                    last_log_id: last,
                    last_membership: StoredMembershipOf::<Types>::new(voters.0, voters.1),
                },
                snapshot: Snapshot::Own(sent.parts),
            }
        }))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Snapshot;
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

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Machine> {
        // What Raft knows a snapshot of it has go from the log, and whoever takes an older one needs that.
        (force || !self.sending.is_under_way()).then(|| self.clone())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: Snapshot,
    ) -> io::Result<()> {
        let Snapshot::Come(built) = snapshot else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let membership = &meta.last_membership;
        let said = Said {
            last: meta.last_log_id,
            voters: (*membership.log_id(), membership.membership().clone()),
        };
        let installing = self.installing.clone();
        let install = tokio::task::spawn_blocking(move || installing.install(&said, &built));
        let applied = install.await.map_err(io::Error::other)??;
        let mut known = self.known.lock();
        known.committed = meta.last_log_id;
        known.membership = meta.last_membership.clone();
        drop(known);
        self.committed.send_replace(applied.index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, Snapshot>>> {
        Ok(self.snapshot()?)
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = Snapshot;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Snapshot>> {
        Ok(self.snapshot()?.ok_or(SnapshotError::Nothing)?)
    }
}
