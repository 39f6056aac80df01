//! The thread that makes exports: a checkpoint is written, and everything is read from the state that it holds, which
//! stays as it is. The log is kept from what that state needs of it until it has been read, which comes first.

use std::time::Duration;

use wolfdisk_common::ids::LogIndex;

use super::format::Header;
use super::job::Exports;
use super::writer::Writer;
use crate::consensus::ReplicationError;
use crate::index::checkpoint::Snapshot;
use crate::index::key::{self, Key};
use crate::index::record::Undestaged;
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::limits;
use crate::service::Service;
use crate::tasks::checkpoint::{self, SnapshotError};
use crate::tasks::stop::Stop;

/// How often the thread looks for something to do.
const LOOK: Duration = Duration::from_secs(1);

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("{0}; wolfdiskctl check says what else is damaged")]
    Index(#[from] TableError),
    #[error(transparent)]
    Log(#[from] ReplicationError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("nobody takes it any more, or the daemon is ending")]
    Forsaken,
}

/// The thread's life.
pub fn run(service: &Service, stop: &Stop) {
    while !stop.is_requested() {
        if service.exports().take(LOOK) {
            let export = Export {
                service,
                stop,
                exports: service.exports(),
            };
            let outcome = export.all();
            if let Err(error) = &outcome {
                tracing::warn!(%error, "an export of the index was broken off");
            }
            let outcome = outcome.map_err(|error| error.to_string());
            service.exports().end(outcome);
        }
    }
}

struct Export<'a> {
    service: &'a Service,
    stop: &'a Stop,
    exports: &'a Exports,
}

impl Export<'_> {
    /// Gives all parts, and how many records are in them.
    fn all(&self) -> Result<u64, ExportError> {
        self.hold_log()?;
        let snapshot = checkpoint::snapshot(self.service, self.stop)?;
        let applied = snapshot.applied();
        self.exports.at(applied.version);
        let options = self.service.options();
        let mut writer = Writer::new(&Header {
            volume: options.volume,
            version: applied.version,
            index: applied.index,
            term: applied.term,
            incarnation: options.incarnation,
            created_s: self.service.now().seconds,
        });
        let mut next = first_needed(&snapshot)?.unwrap_or(LogIndex(applied.index.0 + 1));
        while next <= applied.index {
            let (term, payload) = self.service.core().log.entry(next)?;
            writer.entry(next, term, &payload);
            self.pass_on(&mut writer)?;
            next.0 += 1;
        }
        self.exports.release();
        let mut outcome = Ok(());
        snapshot.range(&key::everything(), &mut |key, value| {
            writer.record(key, value);
            outcome = self.pass_on(&mut writer);
            outcome.is_ok()
        })?;
        outcome?;
        writer.finish();
        self.give(&mut writer)?;
        Ok(writer.records())
    }

    /// What the state of now needs of the log, a later one needs at the most.
    fn hold_log(&self) -> Result<(), ExportError> {
        let core = self.service.core();
        let next = LogIndex(core.index.records().applied().index.0 + 1);
        let needed = core.index.first_needed_log_index()?;
        self.exports.hold(needed.unwrap_or(next));
        Ok(())
    }

    /// Gives what is finished, if it is enough for a part.
    fn pass_on(&self, writer: &mut Writer) -> Result<(), ExportError> {
        match writer.finished_bytes() >= limits::EXPORT_PART_BYTES {
            true => self.give(writer),
            false => Ok(()),
        }
    }

    fn give(&self, writer: &mut Writer) -> Result<(), ExportError> {
        let mut bytes = writer.take();
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(limits::EXPORT_PART_BYTES));
            if !self.exports.give(part, || self.stop.is_requested()) {
                return Err(ExportError::Forsaken);
            }
        }
        Ok(())
    }
}

/// The first entry of the log that content in this state rides in.
fn first_needed(snapshot: &Snapshot) -> Result<Option<LogIndex>, TableError> {
    let first = snapshot.first::<Undestaged>(&key::undestaged())?;
    Ok(match first {
        Some((Key::Undestaged { log_index, .. }, _)) => Some(log_index),
        _ => None,
    })
}
