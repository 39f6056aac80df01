//! The store, with a mistake if one is asked for: the simulation must find each of them out.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;

use super::super::store::RaftStore;
use super::super::{Entry, LogId, Vote};
use super::SimTypes;
use crate::consensus::Ticket;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Entries are reported as durable when they are written.
    ReportsEarly,
    /// A vote is written and not synced: a power cut takes it.
    VoteUnsynced,
    /// Of the votes of one term the first is kept.
    FirstVoteStays,
    /// What is cut off the end of the log is an entry more.
    CutsTooMuch,
    /// Every vote is granted, whatever was promised to whom and whatever the log holds.
    GrantsAll,
    /// A leader answers reads without asking whether it still leads.
    ReadsAlone,
    /// A core answers by what it holds although it is not sure that no other decides.
    AnswersUnsure,
    /// A core decides before it has got all that was decided before.
    DecidesEarly,
    /// A core does not wait for leases that others gave.
    SkipsLeases,
}

/// A vote that a power cut would take.
pub type Unsynced = Arc<Mutex<Option<Vote>>>;

/// See the module.
#[derive(Clone)]
pub struct Store {
    inner: RaftStore<SimTypes>,
    fault: Option<Fault>,
    unsynced: Unsynced,
}

impl Store {
    pub fn new(inner: RaftStore<SimTypes>, fault: Option<Fault>, unsynced: Unsynced) -> Store {
        Store {
            inner,
            fault,
            unsynced,
        }
    }

    /// The store itself.
    pub fn inner(&self) -> &RaftStore<SimTypes> {
        &self.inner
    }

    /// What a log does from time to time by itself.
    pub fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    /// See [`RaftStore::sync_with`].
    pub fn sync_with(&self, ticket: Ticket) {
        self.inner.sync_with(ticket);
    }
}

impl RaftLogReader<SimTypes> for Store {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry>> {
        self.inner.try_get_log_entries(range).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.inner.limited_get_log_entries(start, end).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let unsynced = *self.unsynced.lock();
        match unsynced {
            Some(vote) => Ok(Some(vote)),
            None => self.inner.read_vote().await,
        }
    }
}

impl RaftLogStorage<SimTypes> for Store {
    type LogReader = Store;

    async fn get_log_state(&mut self) -> io::Result<LogState<SimTypes>> {
        self.inner.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Store {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        match self.fault {
            Some(Fault::VoteUnsynced) => {
                *self.unsynced.lock() = Some(*vote);
                Ok(())
            }
            Some(Fault::FirstVoteStays) => {
                let kept = self.inner.vote();
                match kept.is_some_and(|kept| kept.leader_id.term == vote.leader_id.term) {
                    true => Ok(()),
                    false => self.inner.save_vote(vote).await,
                }
            }
            _ => self.inner.save_vote(vote).await,
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.inner.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.inner.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<SimTypes>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        match self.fault {
            Some(Fault::ReportsEarly) => {
                self.inner.append(entries, IOFlushed::noop()).await?;
                callback.io_completed(Ok(()));
                Ok(())
            }
            _ => self.inner.append(entries, callback).await,
        }
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let cut = match self.fault {
            Some(Fault::CutsTooMuch) => last.map(|last| LogId {
                index: last.index.saturating_sub(1),
                ..last
            }),
            _ => last,
        };
        self.inner.truncate_after(cut).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.inner.purge(upto).await
    }
}
