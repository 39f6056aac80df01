//! The other nodes of the cluster: what is put here while another leads is stored there, and what is not here is read of
//! them.
//!
//! A chunk has one durable copy, on the node that led when it was written, and receipts name that node. What is fetched is
//! verified by the chunk's id before anybody sees it, and kept in memory only, up to a bound: it is no copy, and the store
//! knows nothing of it.
//!
//! All of it runs on threads of its own, started when wolfdisk-meta first names another node: encryption takes milliseconds
//! for a chunk, and a node that stands alone has nothing of this. What is asked by another node is never passed on, so
//! questions do not go round in circles.

mod cache;
mod counts;
mod fetch;
mod mark;
mod peer;
mod put;
mod view;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use cache::Cache;
pub use counts::Counts;
pub use fetch::Fetched;
pub use mark::Mark;
use peer::Peer;
pub use put::Waits;
use view::View;

use crate::limits;

/// See the module.
pub struct Relay {
    /// There are other nodes. Until then nothing below is looked at.
    among_others: AtomicBool,
    shared: Arc<Shared>,
    /// Held by those who change the list, one after the other. None: nothing is remembered.
    changing: Mutex<Option<Mark>>,
    runtime: OnceLock<Runtime>,
}

/// What the tasks use.
struct Shared {
    credentials: Credentials,
    view: watch::Sender<Arc<View>>,
    cache: Cache,
    counts: Counts,
    /// Bytes of puts that are on their way.
    put_room: Arc<Semaphore>,
    /// Bytes that are being fetched.
    fetch_room: Semaphore,
}

impl Relay {
    /// Of a node that proves itself by `credentials`, and keeps so many bytes of what it fetches. It knows nobody yet.
    pub fn new(credentials: Credentials, cache_bytes: usize) -> Relay {
        let shared = Shared {
            credentials,
            view: watch::Sender::default(),
            cache: Cache::new(cache_bytes),
            counts: Counts::default(),
            put_room: Arc::new(Semaphore::new(limits::RELAY_PUT_MAX_BYTES)),
            fetch_room: Semaphore::new(limits::RELAY_FETCH_MAX_BYTES),
        };
        Relay {
            among_others: AtomicBool::new(false),
            shared: Arc::new(shared),
            changing: Mutex::new(None),
            runtime: OnceLock::new(),
        }
    }

    /// Remembers over a start whether there are others.
    ///
    /// # Errors
    /// What the system says.
    pub fn remembers_by(self, mark: Mark) -> io::Result<Relay> {
        if mark.is_set()? {
            let _ = self.runtime.set(start()?);
            let view = View::of_unknown();
            self.shared.view.send_replace(Arc::new(view));
            self.among_others.store(true, Ordering::Release);
        }
        *self.changing.lock() = Some(mark);
        Ok(self)
    }

    /// There are other nodes, known or not.
    pub fn is_among_others(&self) -> bool {
        self.among_others.load(Ordering::Acquire)
    }

    /// Takes a new list of nodes, whole or not at all. Blocks when the first comes or the last goes: that is remembered.
    ///
    /// # Errors
    /// `Invalid`: it is none. `Unavailable`: the system gives no threads, or it could not be remembered.
    pub fn replace(&self, request: v1::PeersRequest) -> Result<(), Failure> {
        let changing = self.changing.lock();
        let before = self.shared.view.borrow().clone();
        let view = View::parse(request, &before, &self.shared.credentials)?;
        if view.among_others && self.runtime.get().is_none() {
            // Nobody else sets it: `changing` is held.
            let _ =
                self.runtime.set(start().map_err(|error| {
                    unavailable(&format!("the system gives no threads: {error}"))
                })?);
        }
        if let Some(mark) = &*changing
            && view.among_others != before.among_others
        {
            let marked = mark.set(view.among_others);
            marked.map_err(|error| unavailable(&format!("the disk: {error}")))?;
        }
        if !view.same(&before) {
            tracing::info!(
                peers = view.peers.len(),
                leader = view.leader_name(),
                "the other nodes"
            );
        }
        let among_others = view.among_others;
        self.shared.view.send_replace(Arc::new(view));
        self.among_others.store(among_others, Ordering::Release);
        Ok(())
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Bytes that are kept of other nodes' chunks, and how many there may be.
    pub fn kept(&self) -> (usize, usize) {
        self.shared.cache.kept()
    }

    /// How many other nodes are known, and whether one of them leads.
    pub fn known(&self) -> (usize, bool) {
        let view = self.shared.view.borrow();
        (view.peers.len(), view.leader().is_some())
    }

    /// The node that stores what is put here; none: this one does.
    fn leader(&self) -> Option<Arc<Peer>> {
        match self.is_among_others() {
            true => self.shared.view.borrow().leader().cloned(),
            false => None,
        }
    }

    /// Runs something on the threads of the relay. It runs to its end whether it is waited for or not.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, Failure> {
        let runtime = self.runtime.get();
        let runtime = runtime.ok_or_else(|| unavailable("no other node is known"))?;
        Ok(runtime.spawn(task))
    }

    async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let ended = self.spawn(task)?.await;
        ended.map_err(|error| unavailable(&error.to_string()))?
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May be on a thread that must not wait; what is under way has nobody left who asked for it.
            runtime.shutdown_background();
        }
    }
}

fn start() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(limits::RELAY_THREADS_MAX))
        .thread_name("relay")
        .enable_all()
        .build()
}

fn unavailable(why: &str) -> Failure {
    Failure::Unavailable(why.to_owned())
}

/// Waits until another node leads than `leader`, or none does.
async fn other_leads(views: &mut watch::Receiver<Arc<View>>, leader: u64) {
    let leads_no_more = |view: &Arc<View>| view.leader().is_none_or(|now| now.number != leader);
    let told = views.wait_for(leads_no_more).await.is_ok();
    if !told {
        // The daemon ends; the deadline of who asks is left.
        std::future::pending::<()>().await;
    }
}

/// What is left until then.
fn left(until: tokio::time::Instant) -> Duration {
    until.saturating_duration_since(tokio::time::Instant::now())
}
