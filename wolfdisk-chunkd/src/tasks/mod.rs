//! The threads beside the reactor: one syncs, one compacts and writes checkpoints.
//!
//! Each ends when it is told to. A fault that is fatal ends the daemon through the handler it was given.

mod maintain;
mod sync;

use std::sync::Arc;
use std::thread::JoinHandle;

use maintain::Stop;

use crate::store::{Store, StoreError};

/// Told once of what keeps the store from going on.
pub type OnFatal = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// The running threads.
pub struct Tasks {
    store: Arc<Store>,
    stop: Arc<Stop>,
    sync: JoinHandle<()>,
    maintain: JoinHandle<()>,
}

impl Tasks {
    /// Starts them.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(store: Arc<Store>, fatal: OnFatal) -> std::io::Result<Tasks> {
        let stop = Arc::new(Stop::default());
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let sync = {
            let (store, fatal) = (store.clone(), fatal.clone());
            named("sync").spawn(move || sync::run(&store, &fatal))?
        };
        let maintain = {
            let (store, stop) = (store.clone(), stop.clone());
            named("maintain").spawn(move || maintain::run(&store, &stop, &fatal))?
        };
        Ok(Tasks {
            store,
            stop,
            sync,
            maintain,
        })
    }

    /// Ends them, after what they are at.
    pub fn stop(self) {
        self.stop.set();
        self.store.watermark().stop();
        for thread in [self.maintain, self.sync] {
            if thread.join().is_err() {
                tracing::error!("a task panicked");
            }
        }
    }
}
