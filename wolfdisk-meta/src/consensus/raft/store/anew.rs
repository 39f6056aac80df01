//! The log after a snapshot has come.

use bytes::Bytes;
use wolfdisk_common::ids::{LogIndex, Term};

use super::{Kept, Names, RaftStore, Recent};
use crate::consensus::ReplicationError;
use crate::consensus::raft::log_id;
use crate::index::table::Applied;
use crate::log::store::Anew;

impl<C: Names> RaftStore<C> {
    /// Has the log go on after `applied`, which a snapshot is of. Content of that rides in `entries`, which end there, if
    /// there are any, and of which `first` is the first.
    ///
    /// A log that holds all of these and the same entry at `applied` stays as it is. Else it begins anew with them, and
    /// goes on with what followed that entry in it, if it was there. `switch` is told with which segment the log begins
    /// then, and makes the manifest say so, durably: before that nothing has changed, after it everything has.
    ///
    /// # Errors
    /// Those of the log, of `entries` and of `switch`. The daemon must end: its restart finds the one or the other.
    pub fn begin_after<E, I>(
        &self,
        applied: Applied,
        first: LogIndex,
        entries: I,
        switch: impl FnOnce(Option<u64>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<ReplicationError>,
        I: IntoIterator<Item = Result<(LogIndex, Term, Bytes), E>>,
    {
        let mut kept = self.kept();
        kept.log.sync()?;
        kept.report();
        let matches = kept.has(applied.index, applied.term)?;
        if matches && kept.log.first_index() <= first {
            switch(None)?;
        } else {
            let mut anew = kept.log.prepare_anew(first)?;
            for entry in entries {
                let (index, term, payload) = entry?;
                expect_next(&anew, index)?;
                anew.append(term, &payload)?;
            }
            if matches {
                for index in applied.index.0 + 1..=kept.log.written().0 {
                    let (term, payload) = kept.log.read_entry(LogIndex(index))?;
                    expect_next(&anew, LogIndex(index))?;
                    anew.append(term, &payload)?;
                }
            }
            if anew.next_index() <= applied.index {
                return Err(ReplicationError::NoEntry(anew.next_index()).into());
            }
            anew.sync()?;
            switch(Some(anew.sequence()))?;
            kept.log.begin_anew(anew)?;
        }
        kept.recent = Recent::default();
        kept.needed = first;
        kept.purged = kept.purged.max(log_id(applied.index, applied.term));
        kept.report();
        Ok(())
    }
}

fn expect_next(anew: &Anew, index: LogIndex) -> Result<(), ReplicationError> {
    match anew.next_index() {
        next if next == index => Ok(()),
        next => Err(ReplicationError::NoEntry(next)),
    }
}

impl<C: Names> Kept<C> {
    /// Whether that entry is there, and of that term.
    fn has(&self, index: LogIndex, term: Term) -> Result<bool, ReplicationError> {
        match self.log.term(index) {
            Ok(found) => Ok(found == term),
            Err(ReplicationError::NoEntry(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
