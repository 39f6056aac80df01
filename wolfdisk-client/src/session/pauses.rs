//! Pauses between attempts to reach a daemon that does not answer: each twice as long as the one before, up to a bound.

use std::time::Duration;

use crate::limits::RETRY_PAUSE;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
    max: Duration,
}

impl Pauses {
    /// Pauses up to `max`.
    pub(crate) fn new(max: Duration) -> Pauses {
        Pauses {
            next: RETRY_PAUSE.min(max),
            max,
        }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.max);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_grow_to_the_bound() {
        let mut near = Pauses::new(RETRY_PAUSE);
        assert_eq!([near.next(), near.next()], [RETRY_PAUSE; 2]);
        let mut far = Pauses::new(RETRY_PAUSE * 3);
        let pauses: Vec<Duration> = (0..4).map(|_| far.next()).collect();
        let expected = [1, 2, 3, 3].map(|times| RETRY_PAUSE * times);
        assert_eq!(pauses, expected);
    }
}
