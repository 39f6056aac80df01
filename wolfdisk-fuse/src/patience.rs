//! Waits for something that may never happen, but not for ever.

use std::sync::mpsc;
use std::time::Duration;

/// Runs `work` on a thread of its own and gives its result, or `None` after `deadline`; the thread is
/// then left to itself.
pub fn within<T: Send + 'static>(
    deadline: Duration,
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, done) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = sender.send(work());
        });
    match spawned {
        Ok(_) => done.recv_timeout(deadline).ok(),
        Err(error) => {
            tracing::warn!(%error, name, "no thread");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_left_alone() {
        assert_eq!(within(Duration::from_secs(60), "quick", || 5), Some(5));
        let (_keep, never) = mpsc::channel::<()>();
        let stuck = move || never.recv().is_ok();
        assert_eq!(within(Duration::from_millis(10), "stuck", stuck), None);
    }
}
