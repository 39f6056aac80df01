//! Staying awake between calls that follow each other quickly.
//!
//! A thread that sleeps on an idle core runs 20 to 40 us after it is woken: an interrupt, and the core's way out of its
//! own sleep. That is several times what a call takes. So a reactor that is asked again within [`LOOK`] of the last call
//! goes on to ask for events without sleeping, for as long at the most, and lets other threads have the core in between.
//! Calls that come one by one cost nothing, and where others want the core it sleeps soon: their turn takes longer
//! than [`LOOK`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long after a call the next is looked for: longer than most disks take to sync, so that the end of a sync finds the
/// reactor awake.
const LOOK: Duration = Duration::from_micros(300);

/// See the module.
pub(crate) struct Lookout {
    start: Instant,
    recent: Recent,
    begin: Notify,
}

impl Lookout {
    pub(crate) fn new() -> Lookout {
        Lookout {
            start: Instant::now(),
            recent: Recent::default(),
            begin: Notify::new(),
        }
    }

    /// A call has come.
    pub(crate) fn asked(&self) {
        if self.recent.asked(self.start.elapsed()) {
            self.begin.notify_one();
        }
    }

    /// A call has been answered.
    pub(crate) fn answered(&self) {
        self.recent.answered(self.start.elapsed());
    }

    /// Runs for ever, on the reactor that is to stay awake: while a task is ready it does not sleep.
    pub(crate) async fn run(&self) {
        loop {
            self.begin.notified().await;
            while self.recent.looks(self.start.elapsed()) {
                tokio::task::yield_now().await;
                std::thread::yield_now();
            }
        }
    }
}

/// What happened last, and whether that is reason to look out. Times are since the start.
#[derive(Default)]
struct Recent {
    nanos: AtomicU64,
    looks: AtomicBool,
}

impl Recent {
    /// A call has come; true if looking out is to begin.
    fn asked(&self, now: Duration) -> bool {
        let quick = self.happened(now) < LOOK;
        quick && !self.looks.swap(true, Ordering::Relaxed)
    }

    fn answered(&self, now: Duration) {
        self.happened(now);
    }

    /// Something happens; gives how long ago the last thing did.
    fn happened(&self, now: Duration) -> Duration {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let last = self.nanos.swap(nanos, Ordering::Relaxed);
        now.saturating_sub(Duration::from_nanos(last))
    }

    /// Whether to go on looking.
    fn looks(&self, now: Duration) -> bool {
        let last = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        let looks = now.saturating_sub(last) < LOOK;
        if !looks {
            self.looks.store(false, Ordering::Relaxed);
        }
        looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn calls_that_come_one_by_one_begin_nothing() {
        let recent = Recent::default();
        for call in 1..100 {
            assert!(!recent.asked(at(call * 1000)));
            recent.answered(at(call * 1000 + 20));
        }
    }

    #[test]
    fn the_second_of_two_quick_calls_begins_and_a_pause_ends_it() {
        let recent = Recent::default();
        assert!(!recent.asked(at(1000)));
        recent.answered(at(1020));
        assert!(recent.asked(at(1100)));
        assert!(!recent.asked(at(1110)), "it looks already");
        recent.answered(at(1120));
        assert!(recent.looks(at(1400)));
        assert!(!recent.looks(at(1420)));
        assert!(!recent.asked(at(2000)), "after a pause it begins anew");
        recent.answered(at(2020));
        assert!(recent.asked(at(2100)));
    }

    #[test]
    fn a_call_that_takes_long_keeps_nobody_awake() {
        let recent = Recent::default();
        recent.asked(at(1000));
        recent.answered(at(1010));
        assert!(recent.asked(at(1020)));
        assert!(!recent.looks(at(1320)));
        recent.answered(at(60_000));
        assert!(recent.asked(at(60_100)));
    }

    #[tokio::test]
    async fn looking_out_ends_by_itself() {
        let lookout = Lookout::new();
        lookout.asked();
        lookout.answered();
        lookout.asked();
        let wait = tokio::time::timeout(Duration::from_millis(50), lookout.run());
        assert!(wait.await.is_err(), "it waits for the next call");
        assert!(!lookout.recent.looks.load(Ordering::Relaxed));
    }
}
