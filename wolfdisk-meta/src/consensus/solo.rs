//! The log of a node that stands alone: what is written is accepted, what is synced is durable.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use wolfdisk_common::ids::{LogIndex, Term};

use super::{Accepted, Replication, ReplicationError, Ticket, Watermarks};
use crate::log::LogCounts;
use crate::log::store::Log;

/// The one term of a node that stands alone.
const TERM: Term = Term(1);

/// See the module.
pub struct SoloLog {
    log: Log,
    /// The next entry to hand out from before the start, up to `replay_end`.
    replay: LogIndex,
    replay_end: LogIndex,
    /// Proposed and not written yet, then written and not handed out yet.
    proposed: VecDeque<Accepted>,
}

impl SoloLog {
    /// Over `log`, which follows on `applied`: what comes after that is handed out first.
    pub fn over(log: Log, applied: LogIndex) -> SoloLog {
        SoloLog {
            replay: LogIndex(applied.0 + 1),
            replay_end: log.written(),
            proposed: VecDeque::new(),
            log,
        }
    }

    /// The last entry written.
    pub fn last_index(&self) -> LogIndex {
        self.log.written()
    }

    /// Writes what is queued and returns when all is durable: the end of an orderly stop.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&mut self) -> Result<(), ReplicationError> {
        self.log.sync()
    }

    /// Why the sender of [`Replication::durable`] was dropped.
    pub fn failure(&self) -> Option<ReplicationError> {
        self.log.failure()
    }
}

impl Replication for SoloLog {
    fn leads(&self) -> Option<Term> {
        Some(TERM)
    }

    fn is_sure(&self) -> bool {
        true
    }

    fn news(&self) -> Option<Arc<Notify>> {
        None
    }

    fn propose(&mut self, payload: Bytes) -> Result<Ticket, ReplicationError> {
        let index = self.log.append(TERM, payload.clone());
        let ticket = Ticket(index.0);
        self.proposed.push_back(Accepted {
            index,
            term: TERM,
            payload,
            ticket: Some(ticket),
        });
        Ok(ticket)
    }

    fn flush(&mut self, awaited: bool) -> Result<(), ReplicationError> {
        self.log.flush()?;
        if awaited {
            self.log.want_durable(self.log.written());
        }
        Ok(())
    }

    fn take_accepted(&mut self, limit: usize) -> Result<Vec<Accepted>, ReplicationError> {
        let mut taken = Vec::new();
        while taken.len() < limit && self.replay <= self.replay_end {
            let (term, payload) = self.log.read_entry(self.replay)?;
            taken.push(Accepted {
                index: self.replay,
                term,
                payload,
                ticket: None,
            });
            self.replay.0 += 1;
        }
        let written = self.log.written();
        while taken.len() < limit
            && self
                .proposed
                .front()
                .is_some_and(|entry| entry.index <= written)
        {
            taken.extend(self.proposed.pop_front());
        }
        Ok(taken)
    }

    fn take_refused(&mut self) -> Vec<Ticket> {
        Vec::new()
    }

    fn watermarks(&self) -> Watermarks {
        Watermarks {
            accepted: self.log.written(),
            durable: self.log.durable(),
        }
    }

    fn durable(&self) -> watch::Receiver<LogIndex> {
        self.log.subscribe()
    }

    fn want_durable(&mut self, index: LogIndex) {
        self.log.want_durable(index);
    }

    fn read(&self, index: LogIndex, offset: u32, length: u32) -> Result<Bytes, ReplicationError> {
        self.log.read(index, offset, length)
    }

    fn entry(&self, index: LogIndex) -> Result<(Term, Bytes), ReplicationError> {
        self.log.read_entry(index)
    }

    fn truncate_before(&mut self, index: LogIndex) -> Result<(), ReplicationError> {
        self.log.truncate_before(index)
    }

    fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn counts(&self) -> Arc<LogCounts> {
        self.log.counts()
    }

    fn term(&self) -> Term {
        TERM
    }
}
