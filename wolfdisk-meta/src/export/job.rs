//! One export as a tool takes it: part by part, in their order, each once. There is one at a time.
//!
//! Between the thread that writes and the call that takes there are a few parts at the most, so a slow taker makes the
//! thread wait, and one that does not come any more makes it give up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use uuid::Uuid;
use wolfdisk_common::ids::{LogIndex, Version};
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;

use crate::limits;

/// How often whoever waits on a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Default)]
pub struct Exports {
    job: Mutex<Job>,
    /// For the thread: something was asked for or taken.
    asked: Condvar,
    /// For the call: there is a part, or no more of them.
    told: Notify,
}

#[derive(Default)]
struct Job {
    number: u64,
    /// Nobody works on it yet.
    waiting: bool,
    running: bool,
    parts: VecDeque<Bytes>,
    taken: u64,
    version: Version,
    records: u64,
    failed: Option<String>,
    heard: Option<Instant>,
    held: Option<LogIndex>,
}

impl Job {
    fn is_forsaken(&self) -> bool {
        let heard = self.heard.map(|heard| heard.elapsed());
        heard.is_none_or(|heard| heard >= limits::EXPORT_FORSAKEN)
    }
}

impl Exports {
    /// Begins an export, or gives the next part of the one with this number. Waits for it a while.
    ///
    /// # Errors
    /// `EBUSY`: another one is under way. `ESTALE`: it is not known any more, or this is not its next part.
    pub async fn ask(&self, request: v1::ExportRequest) -> Result<v1::ExportReply, Failure> {
        let number = self.begin(&request)?;
        let until = tokio::time::Instant::now() + limits::EXPORT_WAIT;
        loop {
            let told = self.told.notified();
            if let Some(reply) = self.next(number, &request)? {
                return Ok(reply);
            }
            if tokio::time::timeout_at(until, told).await.is_err() {
                return Ok(v1::ExportReply {
                    run: number,
                    ..v1::ExportReply::default()
                });
            }
        }
    }

    fn begin(&self, request: &v1::ExportRequest) -> Result<u64, Failure> {
        let mut job = self.job.lock();
        if request.run == 0 {
            if job.running {
                return Err(Failure::Errno(libc::EBUSY));
            }
            *job = Job {
                // Another life of the daemon has none of the same number.
                number: Uuid::new_v4().as_u64_pair().0 | 1,
                waiting: true,
                running: true,
                ..Job::default()
            };
        }
        let number = if request.run == 0 {
            job.number
        } else {
            request.run
        };
        if number == job.number {
            job.heard = Some(Instant::now());
        }
        self.asked.notify_one();
        Ok(number)
    }

    /// None: there is nothing to tell yet.
    fn next(
        &self,
        number: u64,
        request: &v1::ExportRequest,
    ) -> Result<Option<v1::ExportReply>, Failure> {
        let mut job = self.job.lock();
        if number != job.number || request.taken != job.taken {
            return Err(Failure::Errno(libc::ESTALE));
        }
        let part = job.parts.pop_front();
        if part.is_none() && job.running {
            return Ok(None);
        }
        let part = part.unwrap_or_default();
        job.taken += part.len() as u64;
        self.asked.notify_one();
        Ok(Some(v1::ExportReply {
            run: job.number,
            part,
            ended: !job.running && job.parts.is_empty(),
            failed: job.failed.clone().unwrap_or_default(),
            version: job.version.0,
            records: job.records,
        }))
    }

    /// Waits for somebody to ask for an export, at most for `pause`. Says whether somebody did.
    pub fn take(&self, pause: Duration) -> bool {
        let mut job = self.job.lock();
        if !job.waiting {
            self.asked.wait_for(&mut job, pause);
        }
        std::mem::take(&mut job.waiting)
    }

    /// Entries of the log from here on are needed, until [`Exports::release`].
    pub fn hold(&self, first: LogIndex) {
        self.job.lock().held = Some(first);
    }

    /// The log may be cut again.
    pub fn release(&self) {
        self.job.lock().held = None;
    }

    /// The first entry of the log that an export needs.
    pub fn held(&self) -> Option<LogIndex> {
        self.job.lock().held
    }

    /// It is of this version.
    pub fn at(&self, version: Version) {
        self.job.lock().version = version;
    }

    /// Adds a part, when there is room for it. False: nobody takes it any more, or `is_ending` says so.
    pub fn give(&self, part: Bytes, is_ending: impl Fn() -> bool) -> bool {
        let mut job = self.job.lock();
        while job.parts.len() >= limits::EXPORT_PARTS_MAX {
            if is_ending() || job.is_forsaken() {
                return false;
            }
            self.asked.wait_for(&mut job, LOOK);
        }
        job.parts.push_back(part);
        self.told.notify_one();
        true
    }

    /// It is over; what was given may still be taken.
    pub fn end(&self, outcome: Result<u64, String>) {
        let mut job = self.job.lock();
        match outcome {
            Ok(records) => job.records = records,
            Err(why) => job.failed = Some(why),
        }
        job.held = None;
        job.running = false;
        self.told.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(exports: &Exports, run: u64, taken: u64) -> Result<v1::ExportReply, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().expect("a reactor");
        runtime.block_on(exports.ask(v1::ExportRequest { run, taken }))
    }

    fn part(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn parts_come_once_and_in_order_and_there_is_one_export_at_a_time() {
        let exports = Exports::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !exports.take(DEADLINE) {}
                exports.hold(LogIndex(7));
                exports.at(Version(9));
                for text in ["one", "two", "three"] {
                    assert!(exports.give(part(text), || false));
                }
                exports.end(Ok(5));
            });
            let first = ask(&exports, 0, 0).expect("a part");
            let own = first.run;
            assert!(own != 0 && first.part == part("one"));
            let wrong = [(own, 0), (own, 4), (own ^ 2, 3)];
            for (run, taken) in wrong {
                let refused = ask(&exports, run, taken).expect_err("not the next part");
                assert_eq!(refused, Failure::Errno(libc::ESTALE));
            }
            let mut all = first.part.to_vec();
            let last = loop {
                let reply = ask(&exports, own, all.len() as u64).expect("a part");
                all.extend_from_slice(&reply.part);
                if reply.ended {
                    break reply;
                }
            };
            assert_eq!(all, b"onetwothree");
            assert_eq!(
                (last.version, last.records, last.failed),
                (9, 5, String::new())
            );
            assert_eq!(exports.held(), None);
        });
        let again = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !exports.take(DEADLINE) {}
                exports.end(Err("a reason".to_owned()));
            });
            ask(&exports, 0, 0).expect("an answer")
        });
        assert_eq!((again.ended, &*again.failed), (true, "a reason"));
    }

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn whoever_asks_meanwhile_is_told_to_wait_and_parts_are_bounded() {
        let exports = Exports::default();
        let request = v1::ExportRequest::default();
        exports.begin(&request).expect("begun");
        assert_eq!(exports.begin(&request), Err(Failure::Errno(libc::EBUSY)));
        for _ in 0..limits::EXPORT_PARTS_MAX {
            assert!(exports.give(part("x"), || true));
        }
        assert!(!exports.give(part("x"), || true), "one too many");
    }
}
