//! When a daemon that died is started again. Pure: time is handed in.

use std::time::Duration;

/// The first pause after the immediate restart.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a mount waits for a minute before it gives up on a daemon.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A daemon that lived so long died of something new.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// Deaths in a row without ever having been ready before it is given up.
const FAILURES_MAX: u32 = 10;

/// What to do about a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start it again after this long.
    Restart(Duration),
    /// It failed so many times in a row.
    GiveUp(u32),
}

/// The memory of one daemon's deaths.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    deaths: u32,
    never_ready: u32,
}

impl Backoff {
    /// The daemon died after `lived`, having been ready or not.
    pub(super) fn died(&mut self, lived: Duration, was_ready: bool) -> Verdict {
        self.never_ready = if was_ready { 0 } else { self.never_ready + 1 };
        self.deaths = if was_ready && lived >= HEALTHY_AFTER {
            0
        } else {
            self.deaths
        };
        if self.never_ready >= FAILURES_MAX {
            return Verdict::GiveUp(self.never_ready);
        }
        let pause = match self.deaths {
            0 => Duration::ZERO,
            deaths => PAUSE_MIN
                .saturating_mul(1 << (deaths - 1).min(16))
                .min(PAUSE_MAX),
        };
        self.deaths = self.deaths.saturating_add(1);
        Verdict::Restart(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    #[test]
    fn the_first_restart_is_immediate_and_pauses_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Verdict> = (0..9).map(|_| backoff.died(MOMENT, true)).collect();
        let millis = [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
        assert_eq!(
            pauses,
            millis.map(|ms| Verdict::Restart(Duration::from_millis(ms)))
        );
    }

    #[test]
    fn a_long_life_is_a_new_start() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.died(MOMENT, true);
        }
        assert_eq!(
            backoff.died(HEALTHY_AFTER, true),
            Verdict::Restart(Duration::ZERO)
        );
    }

    #[test]
    fn one_that_never_gets_ready_is_given_up() {
        let mut backoff = Backoff::default();
        for _ in 1..FAILURES_MAX {
            assert!(matches!(backoff.died(MOMENT, false), Verdict::Restart(_)));
        }
        assert_eq!(backoff.died(MOMENT, false), Verdict::GiveUp(FAILURES_MAX));
    }
}
