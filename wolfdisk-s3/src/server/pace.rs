//! When a client is too slow to be waited for: pure bookkeeping over a given clock, and the alarm that goes by it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::limits::{PACE_MIN_BYTES, PACE_WINDOW};

/// Only the time in which it is the client's turn counts: a gateway that is busy cuts nobody off.
#[derive(Debug, Default)]
pub struct Pace {
    waited: Duration,
    since: Option<Instant>,
    bytes: u64,
}

impl Pace {
    /// It is the client's turn. Says until when.
    pub fn wait(&mut self, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        since + PACE_WINDOW.saturating_sub(self.waited)
    }

    /// The client sent or took some bytes.
    pub fn progress(&mut self, now: Instant, bytes: u64) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= PACE_MIN_BYTES {
            *self = Pace::default();
        }
    }
}

/// Watches one direction of a connection.
#[derive(Debug, Default)]
pub struct Watch {
    pace: Pace,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// So many bytes went through.
    pub fn progress(&mut self, bytes: u64) {
        self.alarm = None;
        self.pace.progress(Instant::now(), bytes);
    }

    /// The client is waited for; ready when that has been too long.
    pub fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = self.pace.wait(Instant::now());
        let sleep = || Box::pin(tokio::time::sleep_until(until.into()));
        self.alarm.get_or_insert_with(sleep).as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_do_not_buy_time_and_a_stream_does() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start), start + PACE_WINDOW);
        // Twenty seconds with a byte each, and as many in which the gateway was busy.
        let mut now = start;
        for _ in 0..20 {
            pace.wait(now);
            now += second;
            pace.progress(now, 1);
            now += second;
        }
        assert_eq!(pace.wait(now), now + PACE_WINDOW - 20 * second);
        pace.progress(now + second, PACE_MIN_BYTES);
        assert_eq!(pace.wait(now), now + PACE_WINDOW);
    }
}
