//! The threads beside the reactor: one syncs, one compacts and writes checkpoints, one scrubs.
//!
//! Each ends when it is told to. A fault that is fatal ends the daemon through the handler it was given.

mod maintain;
pub mod scrub;
mod sync;

use std::sync::Arc;
use std::thread::JoinHandle;

use maintain::Stop;
use scrub::Scrubber;

use crate::store::{Store, StoreError};

/// Told once of what keeps the store from going on.
pub type OnFatal = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// The running threads.
pub struct Tasks {
    store: Arc<Store>,
    stop: Arc<Stop>,
    sync: JoinHandle<()>,
    /// None: nothing is to be compacted.
    maintain: Option<JoinHandle<()>>,
    scrub: JoinHandle<()>,
}

/// How the chunks are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Segments are compacted, checkpoints written.
    All,
    /// Nothing changes that nobody asks for.
    None,
}

impl Tasks {
    /// Starts them.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(
        store: Arc<Store>,
        scrubber: Arc<Scrubber>,
        upkeep: Upkeep,
        fatal: OnFatal,
    ) -> std::io::Result<Tasks> {
        let stop = Arc::new(Stop::default());
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let sync = {
            let (store, fatal) = (store.clone(), fatal.clone());
            named("sync").spawn(move || sync::run(&store, &fatal))?
        };
        let scrub = {
            let (store, stop, fatal) = (store.clone(), stop.clone(), fatal.clone());
            named("scrub").spawn(move || scrubber.run(&store, &stop, &fatal))?
        };
        let maintain = match upkeep {
            Upkeep::None => None,
            Upkeep::All => {
                let (store, stop) = (store.clone(), stop.clone());
                Some(named("maintain").spawn(move || maintain::run(&store, &stop, &fatal))?)
            }
        };
        Ok(Tasks {
            store,
            stop,
            sync,
            maintain,
            scrub,
        })
    }

    /// Ends them, after what they are at.
    pub fn stop(self) {
        self.stop.set();
        self.store.watermark().stop();
        for thread in [Some(self.scrub), self.maintain, Some(self.sync)]
            .into_iter()
            .flatten()
        {
            if thread.join().is_err() {
                tracing::error!("a task panicked");
            }
        }
    }
}
