//! One check as a tool follows it. There is one at a time; who asks while one runs follows that.

use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use wolfdisk_common::ids::Version;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::check_finding::Severity;

use crate::limits;

/// See the module.
#[derive(Default)]
pub struct Jobs {
    job: Mutex<Job>,
    begun: Condvar,
}

#[derive(Default)]
struct Job {
    number: u64,
    repair: bool,
    /// Nobody works on it yet.
    waiting: bool,
    running: bool,
    phase: &'static str,
    done: u64,
    total: u64,
    version: Version,
    findings: Vec<v1::CheckFinding>,
    omitted: u64,
    failed: Option<String>,
    heard: Option<Instant>,
}

impl Jobs {
    /// Begins a check, or says how the one with this number is.
    ///
    /// # Errors
    /// `ESTALE`: it is not known any more.
    pub fn ask(&self, request: &v1::CheckRequest) -> Result<v1::CheckReply, Failure> {
        let mut job = self.job.lock();
        if request.run == 0 && !job.running {
            *job = Job {
                number: job.number + 1,
                repair: request.repair,
                waiting: true,
                running: true,
                phase: "waiting",
                ..Job::default()
            };
            self.begun.notify_one();
        } else if request.run == 0 && request.repair && !job.repair {
            // It joins a check that only looks: that would not do what was asked for.
            return Err(Failure::Errno(libc::EBUSY));
        } else if request.run != 0 && request.run != job.number {
            return Err(Failure::Errno(libc::ESTALE));
        }
        job.heard = Some(Instant::now());
        let after = request.after as usize;
        let news = job
            .findings
            .iter()
            .skip(after)
            .take(limits::FINDINGS_AT_ONCE);
        let findings: Vec<_> = news.cloned().collect();
        let told = after + findings.len() >= job.findings.len();
        Ok(v1::CheckReply {
            run: job.number,
            phase: job.phase.to_owned(),
            done: job.done,
            total: job.total,
            findings,
            ended: !job.running && told,
            failed: job.failed.clone().unwrap_or_default(),
            version: job.version.0,
            omitted: job.omitted,
        })
    }

    /// Waits for somebody to ask for a check, at most for `pause`. Gives whether it is to repair.
    pub fn take(&self, pause: std::time::Duration) -> Option<bool> {
        let mut job = self.job.lock();
        if !job.waiting {
            self.begun.wait_for(&mut job, pause);
        }
        let waiting = std::mem::take(&mut job.waiting);
        waiting.then_some(job.repair)
    }

    /// What is being done now, and how much of it there is.
    pub fn enter(&self, phase: &'static str, total: u64) {
        let mut job = self.job.lock();
        (job.phase, job.done, job.total) = (phase, 0, total);
    }

    /// So much of it was done. False: nobody asks any more.
    pub fn advance(&self, by: u64) -> bool {
        let mut job = self.job.lock();
        job.done += by;
        job.heard
            .is_some_and(|heard| heard.elapsed() < limits::CHECK_FORSAKEN)
    }

    /// The version that is looked at.
    pub fn at(&self, version: Version) {
        self.job.lock().version = version;
    }

    /// Adds a finding; gives its number.
    pub fn add(&self, finding: v1::CheckFinding) -> Option<usize> {
        let mut job = self.job.lock();
        if job.findings.len() >= limits::FINDINGS_MAX {
            job.omitted += 1;
            return None;
        }
        job.findings.push(finding);
        Some(job.findings.len() - 1)
    }

    /// It is over.
    pub fn end(&self, failed: Option<String>) {
        let mut job = self.job.lock();
        job.failed = failed;
        job.running = false;
    }
}

/// A finding without a path.
pub fn finding(severity: Severity, what: impl ToString, advice: &str) -> v1::CheckFinding {
    v1::CheckFinding {
        severity: severity.into(),
        what: what.to_string(),
        advice: advice.to_owned(),
        path: Bytes::new(),
        ranges: Vec::new(),
        chunk: Bytes::new(),
    }
}
