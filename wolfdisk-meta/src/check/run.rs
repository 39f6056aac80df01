//! The thread that checks, and that names the files which damage concerns.

use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::check_finding::Severity;

use super::chunks::{self, FileLoss, Loss};
use super::content;
use super::job::{Jobs, finding};
use super::path::path_of;
use crate::index::checkpoint::Snapshot;
use crate::index::invariants::{self, Finding, FixId, Inspected, Plan, Report};
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::limits;
use crate::service::Service;
use crate::tasks::checkpoint::{SnapshotError, snapshot};
use crate::tasks::chunkd::Chunkd;
use crate::tasks::stop::Stop;

/// How often the thread looks for something to do.
const LOOK: Duration = Duration::from_secs(1);

const LOST: &str =
    "restore it from a backup, or write the same content once more, to any file: that heals it";
const GUESS: &str =
    "nothing puts this right without guessing: copy what can be read elsewhere, restore the rest";
const REPAIR: &str = "wolfdiskctl check --repair puts it right";
const AGAIN: &str = "it changed while it was being checked: run the check again";

/// Why a check ended early.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Index(#[from] TableError),
    #[error("wolfdisk-chunkd: {0}")]
    Chunkd(#[from] Failure),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("nobody waits for it any more, or the daemon is ending")]
    Forsaken,
}

/// The thread's life.
pub fn run(service: &Service, chunkd: &Chunkd, stop: &Stop) {
    let mut named = 0;
    while !stop.is_requested() {
        let Some(repair) = service.checks().take(LOOK) else {
            named = name_damage(service, chunkd, stop, named);
            continue;
        };
        let check = Check {
            service,
            chunkd,
            stop,
            jobs: service.checks(),
        };
        let outcome = check.all(repair);
        service
            .checks()
            .end(outcome.err().map(|error| error.to_string()));
    }
}

/// Keeps the list of files that cannot be read whole, for the status. Gives the revision of damage that it
/// is of.
fn name_damage(service: &Service, chunkd: &Chunkd, stop: &Stop, named: u64) -> u64 {
    let Some(status) = service.space().chunkd() else {
        return named;
    };
    // A daemon that was started anew counts from the beginning.
    if status.damage_revision == named {
        return named;
    }
    if status.damaged_chunks == 0 {
        service.set_damaged_files(Vec::new());
        return status.damage_revision;
    }
    let lines = || -> Result<_, CheckError> {
        let snapshot = snapshot(service, stop)?;
        let (losses, revision) = chunks::damaged(chunkd)?;
        let files = chunks::files_of(&snapshot, &losses, &mut || !stop.is_requested())?;
        let mut lines = Vec::new();
        for file in files.iter().take(limits::DAMAGED_FILES_SHOWN) {
            let name = name_of(&snapshot, file.ino)?;
            lines.push(format!(
                "{} cannot be read whole",
                String::from_utf8_lossy(&name)
            ));
        }
        lines.dedup();
        if files.len() > limits::DAMAGED_FILES_SHOWN {
            lines.push("and more files; see: wolfdiskctl check".to_owned());
        }
        Ok((lines, revision))
    };
    match lines() {
        Ok((lines, revision)) => {
            service.set_damaged_files(lines);
            revision
        }
        Err(error) => {
            tracing::warn!(%error, "the files that damage concerns are not known yet");
            named
        }
    }
}

/// The path of an inode, or its number.
fn name_of(records: &impl Read, ino: Ino) -> Result<Vec<u8>, TableError> {
    let path = path_of(records, ino)?;
    Ok(path.unwrap_or_else(|| format!("inode {ino}").into_bytes()))
}

struct Check<'a> {
    service: &'a Service,
    chunkd: &'a Chunkd,
    stop: &'a Stop,
    jobs: &'a Jobs,
}

/// Takes findings in.
struct Collector<'a> {
    jobs: &'a Jobs,
    stop: &'a Stop,
    found: Vec<Finding>,
    visited: u64,
    stopped: bool,
}

impl Report for Collector<'_> {
    fn found(&mut self, finding: Finding) {
        if finding.breach.is_harmless() {
            return;
        }
        if self.found.len() < limits::FINDINGS_MAX {
            self.found.push(finding);
        }
    }

    fn visited(&mut self) -> bool {
        self.visited += 1;
        if self.visited.is_multiple_of(limits::CHECK_STEP_RECORDS) {
            let asked = self.jobs.advance(limits::CHECK_STEP_RECORDS);
            self.stopped |= !asked || self.stop.is_requested();
        }
        !self.stopped
    }
}

impl Check<'_> {
    fn all(&self, repair: bool) -> Result<(), CheckError> {
        self.jobs.enter("checkpoint", 0);
        let snapshot = snapshot(self.service, self.stop)?;
        self.jobs.at(snapshot.applied().version);
        // Inodes, names and extents are read twice at the most.
        self.jobs.enter("index", snapshot.count()?);
        let mut collector = Collector {
            jobs: self.jobs,
            stop: self.stop,
            found: Vec::new(),
            visited: 0,
            stopped: false,
        };
        let Inspected { plan, chunks } = invariants::inspect(&snapshot, &mut collector)?;
        if collector.stopped {
            return Err(CheckError::Forsaken);
        }
        let found = collector.found;
        let failed = match repair {
            true => self.repair(plan, &snapshot)?,
            false => Vec::new(),
        };
        for finding in &found {
            self.tell(finding, repair, &failed, &snapshot)?;
        }
        self.log(&snapshot)?;
        self.chunks(&snapshot, chunks)
    }

    /// Makes the repairs. Gives those that could not be made.
    fn repair(&self, plan: Plan, snapshot: &Snapshot) -> Result<Vec<FixId>, CheckError> {
        let mutations = plan.mutations(snapshot)?;
        self.jobs.enter("repair", mutations.len() as u64);
        let mut failed = Vec::new();
        for (id, op) in mutations {
            let answer = self.service.propose(op, true)?.wait();
            let (_, answer) = answer.ok_or(CheckError::Forsaken)?;
            if answer.errno != 0 {
                failed.push(id);
            }
            self.jobs.advance(1);
        }
        Ok(failed)
    }

    fn tell(
        &self,
        found: &Finding,
        repair: bool,
        failed: &[FixId],
        snapshot: &Snapshot,
    ) -> Result<(), CheckError> {
        let (severity, advice) = match found.fix {
            None => (Severity::Lost, GUESS),
            Some(_) if !repair => (Severity::Repairable, REPAIR),
            Some(fix) if failed.contains(&fix) => (Severity::Repairable, AGAIN),
            Some(_) => (Severity::Repaired, ""),
        };
        let mut told = finding(severity, &found.breach, advice);
        if let Some(ino) = found.breach.ino() {
            told.path = path_of(snapshot, ino)?.unwrap_or_default().into();
        }
        self.jobs.add(told);
        Ok(())
    }

    fn go_on(&self, by: u64) -> bool {
        self.jobs.advance(by) && !self.stop.is_requested()
    }

    /// The log as a start would find it.
    fn log(&self, snapshot: &Snapshot) -> Result<(), CheckError> {
        self.jobs.enter("log", content::count(self.service)?);
        let bad = content::entries(self.service, &mut || self.go_on(1))?;
        for entry in &bad {
            let what = format!(
                "entry {} of the log cannot be read: {}",
                entry.index, entry.why
            );
            let advice = "stop the node in order, which makes the entry superfluous unless it is content of \
                          a file that is named here; then check the disk";
            self.jobs.add(finding(Severity::Lost, what, advice));
        }
        if bad.is_empty() {
            return Ok(());
        }
        for (ino, range) in content::files_in(snapshot, &bad)? {
            let mut told = finding(Severity::Lost, "content in the log cannot be read", LOST);
            told.path = name_of(snapshot, ino)?.into();
            told.ranges = vec![v1::ByteRange {
                from: range.start,
                to: range.end,
            }];
            self.jobs.add(told);
        }
        Ok(())
    }

    /// References against the chunk store.
    fn chunks(
        &self,
        snapshot: &Snapshot,
        known: Vec<(ChunkId, u32, bool)>,
    ) -> Result<(), CheckError> {
        self.jobs.enter("chunks", known.len() as u64);
        let (mut losses, _) = chunks::damaged(self.chunkd)?;
        let mut named = known
            .iter()
            .filter(|(.., named)| *named)
            .map(|(id, length, _)| (*id, *length));
        let missing = chunks::missing(self.chunkd, &mut named, &mut |count| self.go_on(count))?;
        for (id, length) in missing {
            if self.is_lost(id)? {
                let ranges = std::iter::once(0..u64::from(length)).collect();
                let why = "the chunk store does not have it";
                losses.insert(id, Loss { ranges, why });
            }
        }
        if losses.is_empty() {
            return Ok(());
        }
        self.jobs.enter("files", snapshot.count()?);
        let mut visited = 0u64;
        let files = chunks::files_of(snapshot, &losses, &mut || {
            visited += 1;
            !visited.is_multiple_of(limits::CHECK_STEP_RECORDS)
                || self.go_on(limits::CHECK_STEP_RECORDS)
        })?;
        for FileLoss {
            ino,
            chunk,
            ranges,
            why,
        } in files
        {
            let mut told = finding(Severity::Lost, why, LOST);
            told.path = name_of(snapshot, ino)?.into();
            let range = |range: std::ops::Range<u64>| v1::ByteRange {
                from: range.start,
                to: range.end,
            };
            told.ranges = ranges.into_iter().map(range).collect();
            told.chunk = Bytes::copy_from_slice(&chunk.0);
            self.jobs.add(told);
        }
        Ok(())
    }

    /// Whether a chunk that was not listed is needed now, and is not there.
    fn is_lost(&self, id: ChunkId) -> Result<bool, CheckError> {
        let chunk = self.service.core().index.chunk(id)?;
        let Some(chunk) = chunk.filter(|chunk| chunk.references > 0) else {
            return Ok(false);
        };
        let request = v1::LocateRequest {
            ids: vec![Bytes::copy_from_slice(&id.0)],
        };
        let reply = self
            .chunkd
            .locate(&mut crate::tasks::chunkd::patient(), &request)?;
        let there = reply.locations.first();
        Ok(there.is_none_or(|there| !there.found || there.length != chunk.length))
    }
}
