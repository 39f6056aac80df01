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

    /// Waits for `pause`; true if it is time to end.
    pub fn wait(&self, pause: Duration) -> bool {
        let mut stopped = self.0.0.lock();
        if !*stopped {
            self.0.1.wait_for(&mut stopped, pause);
        }
        *stopped
    }
}
