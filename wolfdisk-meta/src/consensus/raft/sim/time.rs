//! Clocks of machines, and waiting for what they show.

use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft::Instant;

use super::runtime::{clock, forget, wake_at, when};

/// What a clock shows when a run begins: a day, so that there is a time before it.
const BEGIN_NS: u64 = 86_400 * 1_000_000_000;
/// The rate of a clock that is right.
pub const RIGHT_RATE: u64 = 1_000_000;

/// What the clock of a machine shows, in nanoseconds. Those of two machines are not to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// For how long the clock has run.
    pub fn since_begin(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(BEGIN_NS))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    fn sub(self, duration: Duration) -> Moment {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_sub(nanos))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, other: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(other.0))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl SubAssign<Duration> for Moment {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Instant for Moment {
    fn now() -> Moment {
        clock()
    }
}

/// A clock: what it showed when its rate was set, and how fast it runs since.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    since: u64,
    showed: u64,
    rate: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            since: 0,
            showed: BEGIN_NS,
            rate: RIGHT_RATE,
        }
    }
}

impl Clock {
    pub fn reads(self, now: u64) -> Moment {
        let passed = u128::from(now - self.since) * u128::from(self.rate);
        Moment(self.showed + (passed / u128::from(RIGHT_RATE)) as u64)
    }

    /// The first time at which it shows `moment`.
    pub fn when(self, moment: Moment) -> u64 {
        let ahead = u128::from(moment.0.saturating_sub(self.showed)) * u128::from(RIGHT_RATE);
        let passed = ahead.div_ceil(u128::from(self.rate));
        self.since
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    pub fn at_rate(self, now: u64, rate: u64) -> Clock {
        Clock {
            since: now,
            showed: self.reads(now).0,
            rate,
        }
    }
}

/// Waits until the clock of the machine that made it shows something.
pub struct Sleep {
    at: u64,
    timer: Option<(u64, u64)>,
}

impl Sleep {
    pub(super) fn until(moment: Moment) -> Sleep {
        Sleep {
            at: when(moment),
            timer: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = self.timer.take() {
            forget(timer);
        }
        self.timer = wake_at(self.at, context.waker());
        match self.timer {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            forget(timer);
        }
    }
}

/// A future that may take so long and no longer.
pub struct Timed<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

/// It took longer.
#[derive(Debug, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed;

impl<F> Timed<F> {
    pub(super) fn new(future: F, deadline: Moment) -> Timed<F> {
        Timed {
            future: Box::pin(future),
            sleep: Sleep::until(deadline),
        }
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(done) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        Pin::new(&mut self.sleep)
            .poll(context)
            .map(|()| Err(Elapsed))
    }
}
