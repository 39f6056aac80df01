//! The log and the vote as Raft asks for them.
//!
//! Writes are serialized by one lock; entries are written at once and reported to Raft when they are durable: at the latest
//! after the log's interval, at once if somebody waits or who leads and who votes depends on it. A vote is kept only when the log before it is durable: Raft takes what was appended before it for kept.
//!
//! What leaves the log, by whole segments, is what neither the daemon needs ([`RaftStore::truncate_before`]) nor Raft
//! ([`RaftLogStorage::purge`]): content rides in entries that Raft has done with, and Raft sends to others what the daemon
//! has done with. Which entries are purged is not kept: it follows from what there is.

mod anew;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::ids::{LogIndex, Term};

use super::payload;
use super::small::{CommittedFile, VoteFile};
use super::{Entry, LogId, Names, Types, Vote, log_id, place_of, term_of};
use crate::consensus::{Accepted, ReplicationError, Ticket};
use crate::index::table::Applied;
use crate::limits::{RECENT_MAX_BYTES, REPLICATED_AT_ONCE_BYTES};
use crate::log::LogCounts;
use crate::log::store::Log;

/// See the module. All copies are about the same log. What runs it is a parameter, so that it can be simulated.
#[derive(Clone)]
pub struct RaftStore<C: Names = Types> {
    kept: Arc<Mutex<Kept<C>>>,
}

struct Kept<C: Names> {
    log: Log,
    vote: VoteFile,
    committed: CommittedFile,
    /// The last entry that Raft is not to ask for any more.
    purged: Option<LogId>,
    /// The first entry that the daemon may still ask for.
    needed: LogIndex,
    /// What was appended last and not taken yet, so that it need not be read back.
    recent: Recent,
    /// Entries of proposals up to this one are to be durable at once.
    urgent: Option<Ticket>,
    news: Arc<Notify>,
    /// Reports that wait until an entry is durable, in the order of the log.
    waiting: VecDeque<(LogIndex, IOFlushed<C>)>,
}

/// The entries that were appended last, in their order, as many as [`RECENT_MAX_BYTES`] hold: who lags behind reads the
/// others back.
#[derive(Default)]
struct Recent {
    entries: VecDeque<Accepted>,
    bytes: usize,
}

impl Recent {
    fn cost(entry: &Accepted) -> usize {
        size_of::<Accepted>() + entry.payload.len()
    }

    fn push(&mut self, entry: Accepted) {
        self.bytes += Recent::cost(&entry);
        self.entries.push_back(entry);
        while self.bytes > RECENT_MAX_BYTES
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= Recent::cost(&oldest);
        }
    }

    /// The entry, if it is there. It goes, and so do those before it.
    fn take(&mut self, index: LogIndex) -> Option<Accepted> {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.index <= index) {
            self.bytes -= Recent::cost(&entry);
            if entry.index == index {
                return Some(entry);
            }
        }
        None
    }

    /// Those after `last` were cut off.
    fn cut_after(&mut self, last: LogIndex) {
        while let Some(entry) = self.entries.pop_back_if(|entry| entry.index > last) {
            self.bytes -= Recent::cost(&entry);
        }
    }
}

impl<C: Names> RaftStore<C> {
    /// Puts Raft over `log`, of which everything up to `applied` is in the checkpoint. Votes are kept in `directory`.
    ///
    /// # Errors
    /// `Damaged`: also if the log lacks entries after `applied`; `NewerFormat`; `Io`.
    ///
    /// # Panics
    /// Outside what runs `C`, which is a reactor of tokio.
    pub fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        log: Log,
        applied: Applied,
    ) -> Result<RaftStore<C>, ReplicationError> {
        let purged = purged(&log, applied)?;
        let durable = log.subscribe();
        let kept = Kept {
            needed: log.first_index(),
            log,
            vote: VoteFile::open(disk.clone(), directory)?,
            committed: CommittedFile::open(disk.clone(), directory)?,
            purged,
            recent: Recent::default(),
            urgent: None,
            news: Arc::default(),
            waiting: VecDeque::new(),
        };
        let kept = Arc::new(Mutex::new(kept));
        // It ends with the log.
        drop(C::spawn(report(Arc::downgrade(&kept), durable)));
        Ok(RaftStore { kept })
    }

    /// Told when something was appended or became durable.
    pub fn news(&self) -> Arc<Notify> {
        self.kept().news.clone()
    }

    /// The last entry written.
    pub fn written(&self) -> LogIndex {
        self.kept().log.written()
    }

    /// Why the log cannot be synced any more.
    pub fn failure(&self) -> Option<ReplicationError> {
        self.kept().log.failure()
    }

    /// What this node has promised last.
    pub fn vote(&self) -> Option<Vote> {
        self.kept().vote.vote()
    }

    /// Somebody waits for the entry of a proposal to be durable, which may not be written yet.
    pub fn sync_with(&self, ticket: Ticket) {
        let mut kept = self.kept();
        kept.urgent = kept.urgent.max(Some(ticket));
    }

    /// An entry that is to be applied.
    ///
    /// # Errors
    /// See [`Log::read_entry`].
    pub fn take(&self, index: LogIndex) -> Result<Accepted, ReplicationError> {
        let mut kept = self.kept();
        if let Some(entry) = kept.recent.take(index) {
            return Ok(entry);
        }
        let (term, payload) = kept.log.read_entry(index)?;
        Ok(Accepted {
            index,
            term,
            payload,
            ticket: None,
        })
    }

    /// See [`Log::read`].
    ///
    /// # Errors
    /// The same.
    pub fn read(
        &self,
        index: LogIndex,
        offset: u32,
        length: u32,
    ) -> Result<Bytes, ReplicationError> {
        self.kept().log.read(index, offset, length)
    }

    /// See [`Log::read_entry`].
    ///
    /// # Errors
    /// The same.
    pub fn read_entry(&self, index: LogIndex) -> Result<(Term, Bytes), ReplicationError> {
        self.kept().log.read_entry(index)
    }

    /// See [`Log::payload_bytes`].
    pub fn payload_bytes(&self, index: LogIndex) -> Option<usize> {
        self.kept().log.payload_bytes(index)
    }

    /// Entries below `index` are needed by Raft at the most.
    ///
    /// # Errors
    /// See [`Log::truncate_before`].
    pub fn truncate_before(&self, index: LogIndex) -> Result<(), ReplicationError> {
        let mut kept = self.kept();
        kept.needed = kept.needed.max(index);
        kept.give_back()
    }

    /// The last entry that Raft does not ask for any more.
    pub fn purged(&self) -> Option<LogId> {
        self.kept().purged
    }

    /// See [`Log::bytes`].
    pub fn bytes(&self) -> u64 {
        self.kept().log.bytes()
    }

    /// See [`Log::counts`].
    pub fn counts(&self) -> Arc<LogCounts> {
        self.kept().log.counts()
    }

    /// Somebody waits for an entry to be durable.
    pub fn want_durable(&self, index: LogIndex) {
        self.kept().log.want_durable(index);
    }

    /// Has the log begin anew at `first` if it ends before that.
    #[cfg(test)]
    pub(super) fn begin_at(&self, first: LogIndex) {
        let mut kept = self.kept();
        if first.0 > kept.log.written().0 + 1 {
            let anew = kept.log.prepare_anew(first).expect("room");
            kept.log.begin_anew(anew).expect("begun");
        }
    }

    /// Writes and syncs everything now.
    #[cfg(test)]
    pub(super) fn sync(&self) -> io::Result<()> {
        self.kept().sync()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<C>> {
        self.kept.lock()
    }
}

/// The last entry that Raft takes for gone. Older ones may still be there, since content rides in them.
fn purged(log: &Log, applied: Applied) -> Result<Option<LogId>, ReplicationError> {
    log.refuse_gap(applied.index)?;
    let first = log.first_index();
    if first.0 == applied.index.0 + 1 {
        return Ok(log_id(applied.index, applied.term));
    }
    match first.0 {
        1 => Ok(None),
        // What comes before it is not there to tell its term.
        _ => Ok(log_id(first, log.term(first)?)),
    }
}

/// Tells Raft what has become durable, and of a sync that failed.
async fn report<C: Names>(kept: Weak<Mutex<Kept<C>>>, mut durable: watch::Receiver<LogIndex>) {
    while durable.changed().await.is_ok() {
        match kept.upgrade() {
            Some(kept) => {
                let mut kept = kept.lock();
                kept.report();
                kept.news.notify_one();
            }
            None => return,
        }
    }
    if let Some(kept) = kept.upgrade() {
        kept.lock().fail();
    }
}

impl<C: Names> Kept<C> {
    /// Reports what is durable.
    fn report(&mut self) {
        let durable = self.log.durable();
        while let Some((_, report)) = self.waiting.pop_front_if(|(index, _)| *index <= durable) {
            report.io_completed(Ok(()));
        }
    }

    /// Gives back what nobody needs.
    fn give_back(&mut self) -> Result<(), ReplicationError> {
        let Some(purged) = self.purged else {
            return Ok(());
        };
        let first = LogIndex(place_of(purged.index).0.saturating_add(1));
        self.log.truncate_before(first.min(self.needed))
    }

    /// Nothing will become durable any more.
    fn fail(&mut self) {
        for (_, report) in self.waiting.drain(..) {
            let failure = self.log.failure().map(io::Error::other);
            let stopped = || io::Error::other("the log is closed");
            report.io_completed(Err(failure.unwrap_or_else(stopped)));
        }
    }

    /// Writes and syncs everything, and reports it.
    fn sync(&mut self) -> io::Result<()> {
        self.log.sync().map_err(io::Error::other)?;
        self.report();
        Ok(())
    }

    fn last(&self) -> Result<Option<LogId>, ReplicationError> {
        let last = self.log.written();
        if self
            .purged
            .is_some_and(|purged| place_of(purged.index) >= last)
            || last.0 == 0
        {
            return Ok(self.purged);
        }
        Ok(log_id(last, self.log.term(last)?))
    }

    fn entry(&self, index: LogIndex) -> io::Result<Entry> {
        let (term, bytes) = self.log.read_entry(index).map_err(io::Error::other)?;
        let log_id = log_id(index, term).ok_or(io::ErrorKind::InvalidInput)?;
        let payload = payload::decode(bytes).map_err(io::Error::other)?;
        Ok(Entry { log_id, payload })
    }

    /// The entries of `from..to` that are there, at least one if one is, then no more than `bytes`.
    fn entries(&self, from: u64, to: u64, bytes: usize) -> io::Result<Vec<Entry>> {
        let kept = self.log.first_index().0.saturating_sub(1);
        let first = self.purged.map_or(kept, |purged| purged.index + 1);
        let (mut found, mut sum) = (Vec::new(), 0);
        for index in from.max(first)..to.min(self.log.written().0) {
            sum += self.log.payload_bytes(place_of(index)).unwrap_or_default();
            if sum > bytes && !found.is_empty() {
                break;
            }
            found.push(self.entry(place_of(index))?);
        }
        Ok(found)
    }
}

impl<C: Names> RaftLogReader<C> for RaftStore<C> {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry>> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        self.kept().entries(from, to, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.kept().entries(start, end, REPLICATED_AT_ONCE_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.kept().vote.vote())
    }
}

impl<C: Names> RaftLogStorage<C> for RaftStore<C> {
    type LogReader = RaftStore<C>;

    async fn get_log_state(&mut self) -> io::Result<LogState<C>> {
        let kept = self.kept();
        Ok(LogState {
            last_purged_log_id: kept.purged,
            last_log_id: kept.last().map_err(io::Error::other)?,
        })
    }

    async fn get_log_reader(&mut self) -> RaftStore<C> {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut kept = self.kept();
        kept.sync()?;
        kept.vote.set(*vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else {
            return Ok(());
        };
        let term = term_of(&committed.leader_id).map_err(io::Error::other)?;
        let index = place_of(committed.index);
        self.kept().committed.set(index, term)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let kept = self.kept();
        let last = kept.last().map_err(io::Error::other)?;
        let committed = kept.committed.committed();
        let committed = committed.and_then(|(index, term)| log_id(index, term));
        // What a power cut took from the end of the log comes again from the others.
        Ok(committed.min(last))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut kept = self.kept();
        let mut last = kept.log.written();
        let mut decides = false;
        for Entry { log_id, payload } in entries {
            let ticket = match &payload {
                EntryPayload::Normal(proposal) => proposal.ticket,
                _ => {
                    decides = true;
                    None
                }
            };
            decides |= ticket.is_some() && ticket <= kept.urgent;
            let term = term_of(&log_id.leader_id).map_err(io::Error::other)?;
            let payload = payload::encode(payload);
            last = kept.log.append(term, payload.clone());
            kept.recent.push(Accepted {
                index: last,
                term,
                payload,
                ticket,
            });
            if last != place_of(log_id.index) {
                let what = format!("entry {} would stand at {last}", place_of(log_id.index));
                return Err(io::Error::other(what));
            }
        }
        // In the order of the log, also if an empty batch comes.
        kept.waiting.push_back((last, callback));
        if decides {
            kept.log.want_durable(last);
        }
        kept.log.flush().map_err(io::Error::other)?;
        kept.report();
        kept.news.notify_one();
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let mut kept = self.kept();
        let to = last.map_or(LogIndex(0), |last| place_of(last.index));
        if let Some((committed, _)) = kept.committed.committed()
            && to < committed
        {
            let what = format!(
                "entry {committed} is committed, and the log was to be cut after {to}: the nodes of this cluster \
                 disagree about what was decided; take this one out of it and let it join anew"
            );
            return Err(io::Error::other(what));
        }
        kept.sync()?;
        kept.recent.cut_after(to);
        kept.log.truncate_after(to).map_err(io::Error::other)
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let mut kept = self.kept();
        kept.purged = kept.purged.max(Some(upto));
        kept.give_back().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, bytes: usize) -> Accepted {
        Accepted {
            index: LogIndex(index),
            term: Term(1),
            payload: Bytes::from(vec![0; bytes]),
            ticket: Some(Ticket(index)),
        }
    }

    #[test]
    fn what_was_appended_last_is_there_once_and_holds_no_more_than_its_room() {
        let mut recent = Recent::default();
        for index in 1..=6 {
            recent.push(entry(index, 10));
        }
        recent.cut_after(LogIndex(5));
        assert_eq!(recent.take(LogIndex(3)), Some(entry(3, 10)));
        assert_eq!(recent.take(LogIndex(2)), None);
        assert_eq!(recent.take(LogIndex(6)), None, "it was cut off");
        assert_eq!((recent.entries.len(), recent.bytes), (0, 0));
        for index in 7..=10 {
            recent.push(entry(index, RECENT_MAX_BYTES / 3));
            assert!(recent.bytes <= RECENT_MAX_BYTES);
        }
        assert_eq!(recent.entries.len(), 2);
        assert_eq!(recent.take(LogIndex(8)), None);
        assert!(recent.take(LogIndex(10)).is_some());
    }
}
