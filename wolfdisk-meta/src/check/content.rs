//! The log on disk: entries that a start would need, and content that rides in it.

use std::ops::Range;

use wolfdisk_common::ids::{Ino, LogIndex};

use crate::consensus::ReplicationError;
use crate::index::key::{self, Key};
use crate::index::record::Undestaged;
use crate::index::records::Read;
use crate::index::table::{Table, TableError};
use crate::service::Service;

/// An entry of the log that cannot be read.
#[derive(Debug)]
pub(super) struct BadEntry {
    /// Which.
    pub index: LogIndex,
    /// Where and why.
    pub why: String,
}

/// Reads every entry that the log must still hold. `going_on` is told of each.
pub(super) fn entries(
    service: &Service,
    going_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<BadEntry>, TableError> {
    let (mut next, last) = span(service)?;
    let mut bad = Vec::new();
    while next <= last && going_on() {
        let outcome = service.core().log.entry(next);
        match outcome {
            Ok(_) => {}
            // Cut off since it was listed.
            Err(ReplicationError::NoEntry(_)) if next < span(service)?.0 => {}
            Err(error) => bad.push(BadEntry {
                index: next,
                why: error.to_string(),
            }),
        }
        next = LogIndex(next.0 + 1);
    }
    Ok(bad)
}

/// How many entries there are to read.
pub(super) fn count(service: &Service) -> Result<u64, TableError> {
    let (first, last) = span(service)?;
    Ok((last.0 + 1).saturating_sub(first.0))
}

/// The first entry that something needs, and the last.
fn span(service: &Service) -> Result<(LogIndex, LogIndex), TableError> {
    let core = service.core();
    let next = LogIndex(core.index.records().table().applied().index.0 + 1);
    let needed = core.index.first_needed_log_index()?;
    let first = needed.map_or(next, |needed| needed.min(next));
    Ok((first, core.log.watermarks().accepted))
}

/// The files whose content rides in these entries.
pub(super) fn files_in(
    records: &impl Read,
    bad: &[BadEntry],
) -> Result<Vec<(Ino, Range<u64>)>, TableError> {
    let mut files = Vec::new();
    records.each_readable(&key::undestaged(), |key, record: Undestaged| {
        if let Key::Undestaged {
            log_index,
            ino,
            end,
            ..
        } = key
            && bad.iter().any(|entry| entry.index == log_index)
        {
            files.push((ino, end.saturating_sub(record.length)..end));
        }
        true
    })?;
    Ok(files)
}
