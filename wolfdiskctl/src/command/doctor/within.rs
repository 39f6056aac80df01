//! Everything that is looked at has a deadline: what hangs costs a thread, which ends with the process.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::finding::Finding;

/// For a look at this machine, which answers at once if it is well.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// What `work` gives, unless that takes longer than `limit`, or it panics.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    begin(work).recv_timeout(limit).ok()
}

/// Begins `work` on a thread of its own. If there is no thread, nothing comes.
pub(super) fn begin<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> mpsc::Receiver<T> {
    let (give, take) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("doctor".to_owned());
    let begun = thread.spawn(move || {
        // Whoever asked may have given up.
        let _ = give.send(work());
    });
    drop(begun);
    take
}

/// A check that has begun.
pub(super) struct Check {
    name: &'static str,
    limit: Duration,
    begun: Instant,
    findings: mpsc::Receiver<Vec<Finding>>,
}

impl Check {
    /// Begins it.
    pub(super) fn begin(
        name: &'static str,
        limit: Duration,
        look: impl FnOnce() -> Vec<Finding> + Send + 'static,
    ) -> Check {
        Check {
            name,
            limit,
            begun: Instant::now(),
            findings: begin(look),
        }
    }

    /// What it found, or that it found nothing in time.
    pub(super) fn end(self) -> Vec<Finding> {
        let left = self.limit.saturating_sub(self.begun.elapsed());
        match self.findings.recv_timeout(left) {
            Ok(findings) => findings,
            Err(mpsc::RecvTimeoutError::Timeout) => vec![Finding::fail(
                self.name,
                format!("no answer within {} s", self.limit.as_secs()),
                "see what hangs: a disk (dmesg), a network file system, or a daemon that is stopped",
            )],
            Err(mpsc::RecvTimeoutError::Disconnected) => vec![Finding::fail(
                self.name,
                "the check broke off",
                "see what it said above; is this machine out of memory or processes?",
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_told_and_not_waited_for() {
        let (hold, held) = mpsc::channel::<()>();
        let hangs = Check::begin("disk", Duration::from_millis(20), move || {
            // Ends with the test.
            let _ = held.recv();
            Vec::new()
        });
        let found = hangs.end();
        assert!(found[0].says.contains("no answer within"), "{found:?}");
        drop(hold);
        let well = Check::begin("disk", LOOK, || vec![Finding::ok("disk", "fine")]);
        assert_eq!(well.end(), [Finding::ok("disk", "fine")]);
        assert_eq!(within(LOOK, || 7), Some(7));
    }
}
