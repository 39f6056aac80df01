//! When an operation of a [`super::CrashDisk`] fails.

use std::collections::HashMap;
use std::io;

/// The kinds of operation that can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A file is created.
    Create,
    /// Bytes are written.
    Write,
    /// A length is set.
    SetLen,
    /// A file is synced.
    Sync,
    /// A directory is synced.
    SyncDir,
    /// A name is moved.
    Rename,
    /// A name is removed.
    Remove,
    /// Bytes are read. Counted by its own kind only.
    Read,
}

/// The orders in force and the counts they go by.
#[derive(Default)]
pub(super) struct Faults {
    counts: HashMap<Operation, u64>,
    /// All but reads.
    changes: u64,
    failures: Vec<Failure>,
    off_at: Option<u64>,
    off: bool,
    pub(super) lose_syncs: bool,
}

struct Failure {
    kind: Option<Operation>,
    at: u64,
    errno: i32,
}

impl Faults {
    pub(super) fn count(&self, kind: Option<Operation>) -> u64 {
        match kind {
            None => self.changes,
            Some(kind) => self.counts.get(&kind).copied().unwrap_or(0),
        }
    }

    pub(super) fn fail_at(&mut self, kind: Option<Operation>, nth: u64, errno: i32) {
        self.failures.push(Failure {
            kind,
            at: self.count(kind) + nth,
            errno,
        });
    }

    pub(super) fn power_off_at(&mut self, nth: u64) {
        self.off_at = Some(self.changes + nth);
    }

    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    /// Fails if the power is off.
    pub(super) fn power(&self) -> io::Result<()> {
        match self.off {
            true => Err(io::Error::from_raw_os_error(libc::EIO)),
            false => Ok(()),
        }
    }

    /// Counts a read; fails it if it is to fail.
    pub(super) fn read(&mut self) -> io::Result<()> {
        self.power()?;
        *self.counts.entry(Operation::Read).or_default() += 1;
        self.ordered(Operation::Read)
    }

    /// Counts an operation that changes or syncs something; fails it if it is to fail.
    pub(super) fn before(&mut self, kind: Operation) -> io::Result<()> {
        self.power()?;
        self.changes += 1;
        *self.counts.entry(kind).or_default() += 1;
        self.off = self.off_at.is_some_and(|at| self.changes >= at);
        self.power()?;
        self.ordered(kind)
    }

    fn ordered(&mut self, kind: Operation) -> io::Result<()> {
        let (all, own) = (self.count(None), self.count(Some(kind)));
        let due = self.failures.iter().position(|failure| match failure.kind {
            None => kind != Operation::Read && failure.at == all,
            Some(wanted) => wanted == kind && failure.at == own,
        });
        match due {
            Some(position) => {
                let failure = self.failures.swap_remove(position);
                Err(io::Error::from_raw_os_error(failure.errno))
            }
            None => Ok(()),
        }
    }
}
