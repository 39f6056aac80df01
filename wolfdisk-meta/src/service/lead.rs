//! Which node decides. One that begins to adopts the sessions of the index, as after a restart: what they hold of rights was
//! given by another, and is waited for. One that ceases to forgets what it knew of them, and who waits for an answer asks
//! again, wherever it is decided then.

use std::time::Duration;

use wolfdisk_common::ids::Term;

use super::batch::Touched;
use super::core::Core;
use crate::index::table::TableError;
use crate::machine::coherence::Coherence;
use crate::machine::liveness::Liveness;
use crate::machine::lock_wait::LockWaits;

impl Core {
    /// Begins to decide, or ceases to, as the log says.
    pub(super) fn look_who_leads(&mut self, now: Duration) -> Result<(), TableError> {
        let leads = self.log.leads();
        if self.leads == leads {
            return Ok(());
        }
        if self.leads.is_some() {
            self.follow();
        }
        match leads {
            Some(term) => self.lead(term, now),
            None => Ok(()),
        }
    }

    fn lead(&mut self, term: Term, now: Duration) -> Result<(), TableError> {
        self.coherence = Coherence::new(self.notices_from(term));
        let version = self.index.version();
        for (session, record) in self.index.sessions()? {
            self.coherence.adopt(session, version, now);
            self.liveness.open(session, record.pid, now);
            self.feeds.insert(session, std::sync::Arc::default());
            if record.member != 0 {
                self.members.insert(session, record.member);
            }
        }
        self.leads = Some(term);
        Ok(())
    }

    fn follow(&mut self) {
        self.leads = None;
        self.queue.clear();
        self.in_flight.clear();
        self.touched = Touched::default();
        self.lock_parked.clear();
        self.lock_waits = LockWaits::default();
        self.barriers.clear();
        self.coherence = Coherence::new(0);
        self.liveness = Liveness::default();
        self.members.clear();
        for (_, feed) in std::mem::take(&mut self.feeds) {
            feed.notify_waiters();
        }
    }

    /// Whether what it holds is the newest there is, and its to give out.
    pub(super) fn may_answer(&self) -> bool {
        self.leads.is_some() && self.log.is_sure()
    }
}
