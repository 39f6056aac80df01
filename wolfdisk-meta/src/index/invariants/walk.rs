//! Reading records in order, past damaged ones.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;

use super::breach::{Breach, Finding};
use super::plan::FixId;
use crate::index::codec::{DecodeError, Wire, decode};
use crate::index::key::{self, Key, KeyRange};
use crate::index::records::Read;
use crate::index::table::TableError;

/// Who is told.
pub trait Report {
    /// Something does not hold.
    fn found(&mut self, finding: Finding);
    /// A record was read. False: enough.
    fn visited(&mut self) -> bool;
}

/// Why a record ends a walk, or is passed over.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is no record.
    Decode(DecodeError),
    /// Storage failed.
    Table(TableError),
}

impl From<DecodeError> for Trouble {
    fn from(error: DecodeError) -> Trouble {
        Trouble::Decode(error)
    }
}

impl From<TableError> for Trouble {
    fn from(error: TableError) -> Trouble {
        Trouble::Table(error)
    }
}

/// The records, and who is told about them.
pub(super) struct Walk<'a, R> {
    records: &'a R,
    report: &'a mut dyn Report,
    stopped: bool,
}

impl<'a, R: Read> Walk<'a, R> {
    pub(super) fn over(records: &'a R, report: &'a mut dyn Report) -> Walk<'a, R> {
        Walk {
            records,
            report,
            stopped: false,
        }
    }

    pub(super) fn records(&self) -> &'a R {
        self.records
    }

    /// Somebody wants it to end: counts are not whole, so nothing may be concluded from them.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn found(&mut self, breach: Breach) {
        self.tell(breach, None);
    }

    pub(super) fn shape(&mut self, ino: Ino, what: &'static str) {
        self.found(Breach::Shape { ino, what });
    }

    /// The record under a key; one that is damaged is as good as none, and reported where it is walked over.
    pub(super) fn lookup<T: Wire>(&self, key: &Key) -> Result<Option<T>, TableError> {
        match self.records.load(key) {
            Err(TableError::Record { .. }) => Ok(None),
            other => other,
        }
    }

    /// The bytes under a key, or that there are none; nothing of both if they are damaged.
    pub(super) fn raw(&self, key: &Key) -> Result<Option<Option<Bytes>>, TableError> {
        match self.records.bytes(&key.encode()) {
            Err(TableError::Record { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// The keys of a range; none if a record in it is damaged.
    pub(super) fn keys(&self, range: &KeyRange) -> Result<Option<Vec<Key>>, TableError> {
        match self.records.keys(range, usize::MAX) {
            Err(TableError::Record { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Tells what was found, with what puts it right if there is something.
    pub(super) fn tell(&mut self, breach: Breach, fix: Option<FixId>) {
        self.report.found(Finding { breach, fix });
    }

    /// Visits the records of a range.
    pub(super) fn each<T: Wire>(
        &mut self,
        range: KeyRange,
        visit: &mut dyn FnMut(&mut Self, Key, T) -> Result<(), Trouble>,
    ) -> Result<(), TableError> {
        let (mut from, to) = range;
        while !self.stopped {
            let mut ended = None;
            let records = self.records;
            let outcome = records.range(&(from.clone(), to.clone()), &mut |key, value| {
                if !self.report.visited() {
                    self.stopped = true;
                    return false;
                }
                let value = Bytes::copy_from_slice(value);
                let parsed = Key::decode(key).and_then(|key| Ok((key, decode::<T>(value)?)));
                let visited = parsed
                    .map_err(Trouble::from)
                    .and_then(|(key, record)| visit(self, key, record));
                match visited {
                    Ok(()) => true,
                    Err(trouble) => {
                        ended = Some((key.to_vec(), trouble));
                        false
                    }
                }
            });
            let (key, what) = match (outcome, ended) {
                (Err(TableError::Record { key, what }), _) => (key, what),
                (Err(error), _) | (_, Some((_, Trouble::Table(error)))) => return Err(error),
                (_, Some((key, Trouble::Decode(error)))) => (key, error.to_string()),
                (Ok(()), None) => return Ok(()),
            };
            from = key::after(&key);
            self.found(Breach::Record { key, what });
        }
        Ok(())
    }
}
