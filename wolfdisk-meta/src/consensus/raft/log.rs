//! The log of a node among others, as the state machine sees it.
//!
//! Proposals go to Raft in their order; what it appends is kept by [`RaftStore`], which tells which proposal an entry was.
//! Where there is one voter an entry is accepted when it is written, else when it is committed.

use std::sync::Arc;

use bytes::Bytes;
use openraft::Raft;
use tokio::sync::{Notify, mpsc, watch};
use wolfdisk_common::ids::{LogIndex, Term};

use super::machine::Machine;
use super::store::RaftStore;
use super::{Proposal, Types, Voter, term_of};
use crate::consensus::{Accepted, Replication, ReplicationError, Ticket, Watermarks};
use crate::limits::BATCH_MAX;
use crate::log::LogCounts;

/// A node of Raft.
pub type Node = Raft<Types, Machine>;

/// See the module.
pub struct RaftLog {
    node: Node,
    own: Voter,
    store: RaftStore,
    proposals: mpsc::UnboundedSender<Vec<Proposal>>,
    queue: Vec<Proposal>,
    tickets: u64,
    /// The next entry to hand out.
    next: LogIndex,
    committed: watch::Receiver<LogIndex>,
}

impl RaftLog {
    /// Over a node that runs, of which everything up to `applied` need not be handed out.
    ///
    /// # Panics
    /// Outside a reactor of tokio.
    pub fn new(node: Node, store: RaftStore, machine: &Machine, applied: LogIndex) -> RaftLog {
        let (proposals, receiver) = mpsc::unbounded_channel();
        tokio::spawn(pass_on(node.clone(), receiver));
        RaftLog {
            own: *node.node_id(),
            node,
            store,
            proposals,
            queue: Vec::new(),
            tickets: 0,
            next: LogIndex(applied.0 + 1),
            committed: machine.committed(),
        }
    }

    /// Told when there may be something to take.
    pub fn news(&self) -> Arc<Notify> {
        self.store.news()
    }

    fn accepted(&self) -> LogIndex {
        let committed = *self.committed.borrow();
        let mut voters = self.node.voter_ids();
        let alone = voters.next() == Some(self.own) && voters.next().is_none();
        match alone && self.node.is_leader() {
            true => self.store.written(),
            false => committed,
        }
    }
}

/// Gives proposals to Raft, which takes them one by one and may have one wait.
async fn pass_on(node: Node, mut proposals: mpsc::UnboundedReceiver<Vec<Proposal>>) {
    while let Some(batch) = proposals.recv().await {
        for proposal in batch {
            // One that is refused is told by the ticket of the next that is not.
            if node.client_write_ff(proposal, None).await.is_err() {
                return;
            }
        }
    }
}

impl Replication for RaftLog {
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
            taken.push(self.store.take(self.next)?);
            self.next.0 += 1;
        }
        Ok(taken)
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
