//! How threads beside the reactor are told to end, and how they pause until then.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// From now on every wait ends at once.
    pub fn request(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    /// Whether it is time to end.
    pub fn is_requested(&self) -> bool {
        *self.0.0.lock()
    }

    /// Ends every wait that is under way, without a reason to end: there may be something to do.
    pub fn nudge(&self) {
        // Under the lock, so that nobody is between his last look and his wait.
        let _stopped = self.0.0.lock();
        self.0.1.notify_all();
    }

    /// Waits for `pause`, or less if nudged; true if it is time to end.
    pub fn wait(&self, pause: Duration) -> bool {
        let mut stopped = self.0.0.lock();
        if !*stopped {
            self.0.1.wait_for(&mut stopped, pause);
        }
        *stopped
    }
}
