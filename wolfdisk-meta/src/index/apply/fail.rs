//! Why a mutation was not done.

use crate::index::codec::DecodeError;
use crate::index::table::TableError;

/// See the module.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The caller's error.
    Errno(i32),
    /// A chunk that was named is not held for sure: put it again.
    RetryPut,
    /// The state could not be read.
    Table(TableError),
    /// The entry contradicts itself.
    Entry(DecodeError),
}

impl From<TableError> for Fail {
    fn from(error: TableError) -> Fail {
        Fail::Table(error)
    }
}

impl From<DecodeError> for Fail {
    fn from(error: DecodeError) -> Fail {
        Fail::Entry(error)
    }
}

/// The outcome of a step.
pub(crate) type Done<T = ()> = Result<T, Fail>;

/// Fails with `errno` unless `holds`.
pub(crate) fn require(holds: bool, errno: i32) -> Done {
    if holds {
        Ok(())
    } else {
        Err(Fail::Errno(errno))
    }
}
