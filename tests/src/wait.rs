//! Waiting for a condition, never for time to pass.

use std::time::{Duration, Instant};

/// What the tests allow for anything that a healthy machine does in a moment.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` after [`DEADLINE`].
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(DEADLINE, what, condition);
}

/// What a thread gives, which must end within [`DEADLINE`] and not panic: a thread in a call that nobody answers
/// would be waited for for ever.
pub fn joined<T>(what: &str, thread: std::thread::JoinHandle<T>) -> T {
    wait_until(what, || thread.is_finished());
    match thread.join() {
        Ok(given) => given,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Waits until `condition` holds; panics with `what` after `limit`. Returns how long it took.
pub fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(PAUSE);
    }
    start.elapsed()
}
