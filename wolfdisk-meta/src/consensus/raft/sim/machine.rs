//! The state that entries are applied to: all of them, by index. It begins anew with each start, since logs keep
//! everything.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::EntryPayload;
use openraft::alias::{SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use parking_lot::Mutex;
use tokio::sync::watch;
use wolfdisk_common::ids::LogIndex;

use super::super::{Entry, LogId, Voter, payload, place_of};
use super::SimTypes;
use super::record::Record;

/// See the module. All copies are the same one.
#[derive(Clone)]
pub struct State {
    node: Voter,
    record: Record,
    applied: Arc<Mutex<Applied>>,
    committed: Arc<watch::Sender<LogIndex>>,
}

#[derive(Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembershipOf<SimTypes>,
    entries: BTreeMap<u64, Bytes>,
}

impl State {
    pub fn new(node: Voter, record: Record) -> State {
        State {
            node,
            record,
            applied: Arc::default(),
            committed: Arc::default(),
        }
    }

    /// The index of the last entry.
    pub fn last(&self) -> Option<u64> {
        self.applied.lock().last.map(|last| last.index)
    }

    /// Follows what is committed.
    pub fn committed(&self) -> watch::Receiver<LogIndex> {
        self.committed.subscribe()
    }

    /// All of them.
    pub fn entries(&self) -> BTreeMap<u64, Bytes> {
        self.applied.lock().entries.clone()
    }
}

impl RaftStateMachine<SimTypes> for State {
    type SnapshotData = ();
    type SnapshotBuilder = State;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembershipOf<SimTypes>)> {
        let applied = self.applied.lock();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<SimTypes>, io::Error>> + Unpin + Send,
    {
        while let Some(entry) = entries.next().await {
            let (Entry { log_id, payload }, responder) = entry?;
            let mut applied = self.applied.lock();
            let next = applied.last.map_or(0, |last| last.index + 1);
            assert_eq!(log_id.index, next, "entries are applied in their order");
            applied.last = Some(log_id);
            if let EntryPayload::Membership(membership) = &payload {
                applied.membership =
                    StoredMembershipOf::<SimTypes>::new(Some(log_id), membership.clone());
            }
            let bytes = payload::encode(payload);
            applied.entries.insert(log_id.index, bytes.clone());
            drop(applied);
            self.record.applied(self.node, log_id, bytes);
            self.committed.send_replace(place_of(log_id.index));
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<State> {
        None
    }

    async fn get_snapshot_builder(&mut self) -> State {
        self.clone()
    }

    async fn install_snapshot(&mut self, _: &SnapshotMetaOf<SimTypes>, (): ()) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<SimTypes, ()>>> {
        Ok(None)
    }
}

impl RaftSnapshotBuilder<SimTypes> for State {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<SimTypes, ()>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
