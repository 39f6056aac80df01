//! The threads beside the reactor: started together, stopped together.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::stop::Stop;
use super::{checkpoint, chunkd, destage, reclaim, watch};
use crate::check;
use crate::export;
use crate::service::Service;

/// See the module.
pub struct Threads {
    stop: Stop,
    handles: Vec<JoinHandle<()>>,
}

/// Where the threads find things.
#[derive(Clone)]
pub struct Surroundings {
    /// Where wolfdisk-chunkd listens.
    pub chunkd_socket: PathBuf,
    /// Whether content is to be destaged and garbage swept.
    pub upkeep: bool,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn start(service: &Arc<Service>, around: &Surroundings) -> io::Result<Threads> {
        let stop = Stop::default();
        let mut threads = Threads {
            stop,
            handles: Vec::new(),
        };
        let socket = around.chunkd_socket.clone();
        threads.spawn("watch", service, move |service, stop| {
            watch::run(service, &chunkd::connect(socket), stop);
        })?;
        let socket = around.chunkd_socket.clone();
        threads.spawn("check", service, move |service, stop| {
            check::run::run(service, &chunkd::connect(socket), stop);
        })?;
        threads.spawn("export", service, export::run::run)?;
        let upkeep = around.upkeep;
        threads.spawn("checkpoint", service, move |service, stop| {
            checkpoint::run(service, stop, upkeep);
        })?;
        if !upkeep {
            return Ok(threads);
        }
        let socket = around.chunkd_socket.clone();
        threads.spawn("destage", service, move |service, stop| {
            destage::run(service, &chunkd::connect(socket), stop);
        })?;
        let socket = around.chunkd_socket.clone();
        threads.spawn("reclaim", service, move |service, stop| {
            reclaim::run(service, &chunkd::connect(socket), stop);
        })?;
        Ok(threads)
    }

    fn spawn(
        &mut self,
        name: &str,
        service: &Arc<Service>,
        body: impl FnOnce(&Service, &Stop) + Send + 'static,
    ) -> io::Result<()> {
        let (service, stop) = (service.clone(), self.stop.clone());
        let thread = std::thread::Builder::new().name(name.to_owned());
        self.handles
            .push(thread.spawn(move || body(&service, &stop))?);
        Ok(())
    }

    /// Tells them to end. They may still wait for answers of the reactor.
    pub fn request_stop(&self) {
        self.stop.request();
    }

    /// Waits until they have ended. The queue must have been closed before: see
    /// [`Service::abandon`].
    pub fn join(self) {
        self.stop.request();
        for handle in self.handles {
            if handle.join().is_err() {
                // The panic has been logged by the hook.
                tracing::error!("a thread beside the reactor had panicked");
            }
        }
    }
}
