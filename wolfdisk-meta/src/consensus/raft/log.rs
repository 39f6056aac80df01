//! The log of a node among others, as the state machine sees it.
//!
//! Proposals go to Raft in their order; what it appends is kept by [`RaftStore`], which tells which proposal an entry was.
//! Where there is one voter an entry is accepted when it is written, else when it is committed.
//!
//! A node that leads is sure of it for as long after a majority last answered it as no other can have been elected: after
//! that it answers nothing by what it holds, until it hears of a majority again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::storage::RaftStateMachine;
use openraft::type_config::TypeConfigExt;
use openraft::{OptionalSend, Raft};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use wolfdisk_common::ids::{LogIndex, Term};

use super::machine::Machine;
use super::store::RaftStore;
use super::{Names, Proposal, Types, Voter, term_of};
use crate::consensus::{Accepted, Replication, ReplicationError, Ticket, Watermarks};
use crate::limits::BATCH_MAX;
use crate::log::LogCounts;

/// A node of Raft.
pub type Node = Raft<Types, Machine>;

/// See the module. What runs it and what is told of commits are parameters, so that it can be simulated.
pub struct RaftLog<C: Names = Types, M: RaftStateMachine<C> = Machine> {
    node: Raft<C, M>,
    own: Voter,
    store: RaftStore<C>,
    proposals: mpsc::UnboundedSender<Vec<Proposal>>,
    queue: Vec<Proposal>,
    tickets: u64,
    /// The next entry to hand out, and the term of the one before.
    next: LogIndex,
    handed_out: Term,
    committed: watch::Receiver<LogIndex>,
    refused: Arc<Mutex<Vec<Ticket>>>,
    lease: Duration,
}

impl<C, M> RaftLog<C, M>
where
    C: Names,
    M: RaftStateMachine<C> + OptionalSend + 'static,
    M::SnapshotData: OptionalSend,
{
    /// Over a node that runs, of which everything up to `applied` need not be handed out. `committed` follows what it
    /// commits; nobody else is elected within `lease` after a majority has answered a leader.
    ///
    /// # Panics
    /// Outside what runs `C`, which is a reactor of tokio.
    pub fn new(
        node: Raft<C, M>,
        store: RaftStore<C>,
        committed: watch::Receiver<LogIndex>,
        applied: LogIndex,
        lease: Duration,
    ) -> RaftLog<C, M> {
        let (proposals, receiver) = mpsc::unbounded_channel();
        let refused = Arc::new(Mutex::new(Vec::new()));
        let passing = pass_on(node.clone(), receiver, refused.clone(), store.news());
        drop(C::spawn(passing));
        drop(C::spawn(tell(
            node.clone(),
            committed.clone(),
            store.news(),
        )));
        RaftLog {
            own: *node.node_id(),
            node,
            store,
            proposals,
            queue: Vec::new(),
            tickets: 0,
            next: LogIndex(applied.0 + 1),
            handed_out: Term::default(),
            committed,
            refused,
            lease,
        }
    }

    fn accepted(&self) -> LogIndex {
        match self.is_only_voter() && self.node.is_leader() {
            true => self.store.written(),
            false => *self.committed.borrow(),
        }
    }

    fn is_only_voter(&self) -> bool {
        let mut voters = self.node.voter_ids();
        voters.next() == Some(self.own) && voters.next().is_none()
    }
}

/// Gives proposals to Raft, which takes them one by one and may have one wait. It refuses them for a while also when its
/// node goes on to lead: as long as leadership is being transferred, or no majority has answered.
async fn pass_on<C, M>(
    node: Raft<C, M>,
    mut proposals: mpsc::UnboundedReceiver<Vec<Proposal>>,
    refused: Arc<Mutex<Vec<Ticket>>>,
    news: Arc<Notify>,
) where
    C: Names,
    M: RaftStateMachine<C> + OptionalSend + 'static,
    M::SnapshotData: OptionalSend,
{
    while let Some(batch) = proposals.recv().await {
        for proposal in batch {
            let (ticket, refused, news) = (proposal.ticket, refused.clone(), news.clone());
            let told = C::told(move |written| {
                if written.is_err() {
                    refused.lock().extend(ticket);
                    news.notify_one();
                }
            });
            if node.client_write_ff(proposal, Some(told)).await.is_err() {
                return;
            }
        }
    }
}

/// Tells whoever takes entries of what is committed and of who leads.
async fn tell<C, M>(node: Raft<C, M>, mut committed: watch::Receiver<LogIndex>, news: Arc<Notify>)
where
    C: Names,
    M: RaftStateMachine<C> + OptionalSend + 'static,
    M::SnapshotData: OptionalSend,
{
    let mut leading = node.server_metrics();
    loop {
        tokio::select! {
            biased;
            changed = committed.changed() => if changed.is_err() { return },
            changed = leading.changed() => if changed.is_err() { return },
        }
        news.notify_one();
    }
}

impl<C, M> Replication for RaftLog<C, M>
where
    C: Names,
    M: RaftStateMachine<C> + OptionalSend + 'static,
    M::SnapshotData: OptionalSend,
{
    fn leads(&self) -> Option<Term> {
        let metrics = self.node.metrics();
        let now = metrics.borrow_watched();
        if !now.state.is_leader() {
            return None;
        }
        let term = term_of(&now.vote.leader_id).ok()?;
        // Its first entry comes after all that others have decided.
        (self.handed_out == term).then_some(term)
    }

    fn is_sure(&self) -> bool {
        let answered = {
            let metrics = self.node.metrics();
            let now = metrics.borrow_watched();
            now.state.is_leader().then_some(now.last_quorum_acked)
        };
        match answered {
            None => false,
            Some(_) if self.is_only_voter() => true,
            Some(answered) => answered.is_some_and(|at| C::now() - at.into_inner() < self.lease),
        }
    }

    fn news(&self) -> Option<Arc<Notify>> {
        Some(self.store.news())
    }

    fn propose(&mut self, payload: Bytes) -> Result<Ticket, ReplicationError> {
        if !self.node.is_leader() {
            return Err(ReplicationError::NotLeader);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.queue.push(Proposal {
            payload,
            ticket: Some(ticket),
        });
        Ok(ticket)
    }

    fn flush(&mut self, awaited: bool) -> Result<(), ReplicationError> {
        if let Some(failure) = self.store.failure() {
            return Err(failure);
        }
        if let Some(ticket) = self.queue.last().and_then(|last| last.ticket)
            && awaited
        {
            self.store.sync_with(ticket);
        }
        let batch = std::mem::take(&mut self.queue);
        match batch.is_empty() || self.proposals.send(batch).is_ok() {
            true => Ok(()),
            false => Err(ReplicationError::NotLeader),
        }
    }

    fn take_accepted(&mut self, limit: usize) -> Result<Vec<Accepted>, ReplicationError> {
        let accepted = self.accepted();
        let mut taken = Vec::new();
        while taken.len() < limit.min(BATCH_MAX) && self.next <= accepted {
            let entry = self.store.take(self.next)?;
            self.handed_out = entry.term;
            taken.push(entry);
            self.next.0 += 1;
        }
        Ok(taken)
    }

    fn take_refused(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.refused.lock())
    }

    fn watermarks(&self) -> Watermarks {
        Watermarks {
            accepted: self.accepted(),
            durable: *self.committed.borrow(),
        }
    }

    fn durable(&self) -> watch::Receiver<LogIndex> {
        self.committed.clone()
    }

    fn want_durable(&mut self, index: LogIndex) {
        self.store.want_durable(index);
    }

    fn read(&self, index: LogIndex, offset: u32, length: u32) -> Result<Bytes, ReplicationError> {
        self.store.read(index, offset, length)
    }

    fn entry(&self, index: LogIndex) -> Result<(Term, Bytes), ReplicationError> {
        self.store.read_entry(index)
    }

    fn truncate_before(&mut self, index: LogIndex) -> Result<(), ReplicationError> {
        self.store.truncate_before(index)
    }

    fn log_bytes(&self) -> u64 {
        self.store.bytes()
    }

    fn counts(&self) -> Arc<LogCounts> {
        self.store.counts()
    }

    fn term(&self) -> Term {
        let vote = self.store.vote();
        let term = vote.map(|vote| term_of(&vote.leader_id));
        term.and_then(Result::ok).unwrap_or_default()
    }
}
