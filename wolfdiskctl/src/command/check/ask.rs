//! Asking the daemons: first the chunk store, which reads everything; then the index, which knows the files.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::check_finding::Severity;
use wolfdisk_proto::v1::{
    CheckFinding, CheckRequest, ChunkClient, DamagedChunk, DamagedRequest, MetaClient, ScrubReply,
    ScrubRequest,
};

use super::LOOK;
use super::progress::Progress;
use super::report::{Mode, Report};
use crate::cli;
use crate::error::CtlError;

/// A daemon under load answers within this, or something is wrong.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Damaged chunks in one answer.
const DAMAGED_AT_ONCE: u32 = 1024;

/// Waits a moment; an error ends the check.
pub(super) type Pause<'a> = &'a mut dyn FnMut(Duration) -> anyhow::Result<()>;

/// The two daemons, as far as they are there.
pub(super) struct Daemons {
    meta: Option<MetaClient<Pool>>,
    chunkd: Option<ChunkClient<Pool>>,
}

fn options() -> Options {
    Options {
        retry: false,
        ..Options::within(ANSWER_DEADLINE)
    }
}

fn asked(failure: Failure) -> CtlError {
    match failure {
        // The number of a check or pass is not known: it is another life of the daemon.
        Failure::Errno(libc::ESTALE) => CtlError::CheckBrokenOff,
        Failure::Errno(libc::EBUSY) => CtlError::CheckRuns,
        other => CtlError::AskCheck(other),
    }
}

impl Daemons {
    pub(super) fn at(paths: &Paths, index: bool, chunks: bool) -> Daemons {
        Daemons {
            meta: index.then(|| MetaClient(Pool::new(paths.meta_socket()))),
            chunkd: chunks.then(|| ChunkClient(Pool::new(paths.chunkd_socket()))),
        }
    }

    /// Does the whole check.
    pub(super) fn check(
        &self,
        wanted: &cli::Check,
        progress: &Progress,
        report: &mut Report,
        pause: Pause<'_>,
    ) -> anyhow::Result<()> {
        if let Some(chunkd) = self.chunkd.as_ref().filter(|_| !wanted.quick) {
            let pace = wanted.bytes_per_second.unwrap_or(0);
            let read = read_all(chunkd, pace, progress, pause)?;
            report.chunks_read(&read, wanted.repair);
        }
        if let Some(meta) = &self.meta {
            let followed = follow(meta, wanted.repair, progress, report, pause);
            match followed {
                // Without the chunk store the index can be checked only by itself.
                Err(error) if self.chunkd.is_none() && is_unfinished(&error) => {
                    report.add(uncompared(&error));
                }
                other => other?,
            }
        }
        if let Some(chunkd) = &self.chunkd {
            let named: BTreeSet<Bytes> = report.chunks_named();
            for chunk in damaged(chunkd)? {
                if !named.contains(&chunk.id) {
                    report.add(nameless(&chunk, self.meta.is_some()));
                }
            }
        }
        Ok(())
    }
}

/// Has the chunk store read everything it holds.
fn read_all(
    chunkd: &ChunkClient<Pool>,
    bytes_per_second: u64,
    progress: &Progress,
    pause: Pause<'_>,
) -> anyhow::Result<ScrubReply> {
    let mut run = 0;
    loop {
        let request = ScrubRequest {
            run,
            bytes_per_second,
        };
        let reply = chunkd.scrub(&mut options(), &request).map_err(asked)?;
        run = reply.run;
        progress.show("chunks", reply.done_bytes, reply.total_bytes, true);
        match (reply.ended, reply.failed.is_empty()) {
            (false, _) => pause(LOOK)?,
            (true, true) => return Ok(reply),
            (true, false) => return Err(CtlError::CheckFailed(reply.failed).into()),
        }
    }
}

/// Has the index checked, and takes its findings.
fn follow(
    meta: &MetaClient<Pool>,
    repair: bool,
    progress: &Progress,
    report: &mut Report,
    pause: Pause<'_>,
) -> anyhow::Result<()> {
    let (mut run, mut after) = (0, 0);
    loop {
        let request = CheckRequest { run, repair, after };
        let reply = meta.check(&mut options(), &request).map_err(asked)?;
        // What comes with the first answer of a check that was joined has been told before, to another.
        run = reply.run;
        after += reply.findings.len() as u32;
        let more = !reply.findings.is_empty();
        reply
            .findings
            .into_iter()
            .for_each(|finding| report.add(finding));
        report.omitted = reply.omitted;
        report.version = Some(reply.version);
        progress.show(&reply.phase, reply.done, reply.total, false);
        match (reply.ended, reply.failed.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => return Err(CtlError::CheckFailed(reply.failed).into()),
            (false, _) if more => {}
            (false, _) => pause(LOOK)?,
        }
    }
}

fn damaged(chunkd: &ChunkClient<Pool>) -> Result<Vec<DamagedChunk>, CtlError> {
    let mut all = Vec::new();
    let mut after = Bytes::new();
    loop {
        let request = DamagedRequest {
            after: after.clone(),
            max: DAMAGED_AT_ONCE,
        };
        let reply = chunkd.damaged(&mut options(), &request).map_err(asked)?;
        all.extend(reply.chunks);
        match all.last() {
            Some(last) if !reply.end => after = last.id.clone(),
            _ => return Ok(all),
        }
    }
}

fn is_unfinished(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CtlError::CheckFailed(_)))
}

fn uncompared(error: &anyhow::Error) -> CheckFinding {
    CheckFinding {
        severity: Severity::Note.into(),
        what: format!("the references were not compared with the chunks: {error}"),
        path: Bytes::new(),
        ranges: Vec::new(),
        advice: String::new(),
        chunk: Bytes::new(),
    }
}

/// A damaged chunk that no finding about a file has named.
fn nameless(chunk: &DamagedChunk, index_was_checked: bool) -> CheckFinding {
    let (severity, what, advice) = match index_was_checked {
        true => (
            Severity::Note,
            "a chunk that no file uses is damaged",
            "it goes by itself",
        ),
        false => (
            Severity::Lost,
            "a chunk is damaged; which files use it is not known without the index",
            "make the index readable first",
        ),
    };
    CheckFinding {
        severity: severity.into(),
        what: what.to_owned(),
        path: Bytes::new(),
        ranges: chunk.ranges.clone(),
        advice: advice.to_owned(),
        chunk: chunk.id.clone(),
    }
}

impl Report {
    /// What reading everything has shown.
    fn chunks_read(&mut self, read: &ScrubReply, repair: bool) {
        self.read = Some((read.chunks, read.done_bytes));
        if read.healed == 0 {
            return;
        }
        // A store that is only inspected heals a copy of itself.
        let done = repair || self.mode == Mode::Online;
        let (severity, advice) = match done {
            true => (Severity::Repaired, ""),
            false => (
                Severity::Repairable,
                "wolfdiskctl check --repair stores them anew",
            ),
        };
        self.add(CheckFinding {
            severity: severity.into(),
            what: format!(
                "{} chunks had damaged checksums beside intact bytes",
                read.healed
            ),
            path: Bytes::new(),
            ranges: Vec::new(),
            advice: advice.to_owned(),
            chunk: Bytes::new(),
        });
    }
}
