//! The volume: every operation a front-end may ask for.
//!
//! All methods block and may be called from any number of threads. Every wait has a deadline. Nothing
//! here knows of the kernel but for the [`CacheListener`]. Each file of this module holds one family of
//! operations; what they share is here.

pub(crate) mod append;
mod attributes;
mod changed_names;
mod closing;
mod commit;
mod directory;
mod follow;
mod handles;
mod inherit;
mod learn;
mod levels;
mod locks;
mod object;
mod object_change;
mod open;
pub(crate) mod queues;
mod range;
mod read;
mod read_ahead;
mod room;
pub(crate) mod sealed;
mod sync;
mod threads;
mod tree;
mod write;
mod xattr;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1::{ChunkClient, MetaClient, OpenSessionRequest};

use crate::cache::kept::KeptData;
use crate::cache::node::Node;
use crate::cache::table::Table;
use crate::chunks::put::ChunkWriter;
use crate::chunks::reader::ChunkReader;
use crate::chunks::remote::Remote;
use crate::counters::Counters;
use crate::data::budget::Budget;
use crate::error::Result;
use crate::ledger::{Estate, Ledger};
use crate::listener::CacheListener;
use crate::reach::Reach;
use crate::session::Session;
use crate::session::feed::Notices;
use crate::transport::{self, Transport};
use closing::Closing;
use handles::Handles;
use queues::{CommitQueue, WorkQueue};

/// Where the daemons are and who asks.
#[derive(Clone, Debug)]
pub struct VolumeConfig {
    /// Where the daemons are.
    pub reach: Reach,
    /// "fuse", "s3" or "ctl".
    pub frontend: String,
    /// Mount path or address, for people.
    pub place: String,
    /// Every mutation is refused with `EROFS`.
    pub read_only: bool,
    /// No other volume is to be connected beside this one. If the session is lost, others may have changed what is
    /// cached here and above: the volume is shut down then.
    pub exclusive: bool,
    /// Dirty bytes of all files together; writers wait above it.
    pub dirty_max_bytes: usize,
    /// Bytes of small files kept in memory; and as many of chunks, if they are on another machine.
    pub data_cache_bytes: usize,
    /// Bytes of chunks that are read before the pages they were read from no longer count as memory of the process.
    /// They are the kernel's, but who watches the process is shown them.
    pub mapped_max_bytes: usize,
    /// Inodes whose attributes are kept.
    pub inode_cache_max: usize,
    /// Where a successor finds what is open, if there may be one.
    pub ledger: Option<Arc<Ledger>>,
    /// What a predecessor left: its session and its open files are taken over, and the volume follows
    /// changes made elsewhere from [`Volume::set_listener`] on.
    pub estate: Option<Estate>,
}

impl VolumeConfig {
    /// The defaults for a front-end.
    pub fn new(reach: Reach, frontend: &str, place: &str) -> Self {
        VolumeConfig {
            reach,
            frontend: frontend.to_owned(),
            place: place.to_owned(),
            read_only: false,
            exclusive: false,
            dirty_max_bytes: 256 * 1024 * 1024,
            data_cache_bytes: 24 * 1024 * 1024,
            mapped_max_bytes: usize::MAX,
            inode_cache_max: 256 * 1024,
            ledger: None,
            estate: None,
        }
    }
}

/// A mounted volume. See the module. [`Volume::shutdown`] ends it; dropping it without loses what is
/// buffered.
pub struct Volume {
    pub(crate) session: Arc<Session>,
    pub(crate) counters: Arc<Counters>,
    table: Table,
    handles: Handles,
    budget: Budget,
    writer: ChunkWriter,
    chunks: ChunkReader,
    notices: Arc<Notices>,
    listener: RwLock<Option<Arc<dyn CacheListener>>>,
    commits: Arc<CommitQueue>,
    puts: Arc<WorkQueue<Arc<sealed::Sealed>>>,
    write_backs: Arc<WorkQueue<follow::WriteBack>>,
    changed_names: Arc<WorkQueue<changed_names::ChangedName>>,
    /// What the daemon has yet to be told of files that are closed.
    closing: Mutex<Closing>,
    /// Opens by key that are under way.
    keyed_opens: object::KeyedOpens,
    /// Locks of files that are closed, which the daemon could not be told of yet.
    left_locks: Mutex<Vec<locks::LeftLock>>,
    /// Inodes without a name that may be open unseen, until the kernel forgets them.
    unnamed: Mutex<HashSet<Ino>>,
    /// Until when the kernel may use what a predecessor gave it, if there was one.
    kernel_forgets: OnceLock<Instant>,
    /// File data that is kept in memory.
    kept: KeptData,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume")
            .field("session", &self.session.identity())
            .finish_non_exhaustive()
    }
}

impl Volume {
    /// Opens a session and starts the threads that keep it: heartbeat, notifications, flushing.
    ///
    /// # Errors
    /// A daemon cannot be reached within a few seconds, or refuses.
    pub fn connect(config: VolumeConfig) -> Result<Arc<Volume>> {
        Volume::connect_over(transport::to(&config.reach), &config)
    }

    /// Like [`Volume::connect`], over any transport.
    pub(crate) fn connect_over(
        transport: Arc<dyn Transport>,
        config: &VolumeConfig,
    ) -> Result<Arc<Volume>> {
        let counters = Arc::new(Counters::default());
        let opening = OpenSessionRequest {
            frontend: config.frontend.clone(),
            place: config.place.clone(),
            pid: std::process::id(),
            read_only: config.read_only,
            exclusive: config.exclusive,
            take_over: config.estate.as_ref().map_or(0, |estate| estate.session),
            heritable: config.ledger.is_some(),
        };
        let (meta, far) = (MetaClient(transport.meta()), transport.is_remote());
        let (session, inherited) =
            Session::open(meta, counters.clone(), opening, config.ledger.clone(), far)?;
        let chunk_size = session.chunk_size() as usize;
        let remote = transport.is_remote().then(|| {
            let calls = ChunkClient(transport.chunk());
            let cache_bytes = config.data_cache_bytes;
            Arc::new(Remote::new(calls, counters.clone(), cache_bytes))
        });
        let volume = Arc::new(Volume {
            session: Arc::new(session),
            table: Table::new(config.inode_cache_max, chunk_size as u64),
            handles: Handles::new(config.ledger.clone()),
            budget: Budget::new(config.dirty_max_bytes),
            writer: ChunkWriter::new(
                transport.clone(),
                counters.clone(),
                chunk_size,
                remote.clone(),
            ),
            chunks: ChunkReader::new(
                ChunkClient(transport.chunk()),
                counters.clone(),
                config.mapped_max_bytes,
                remote,
            ),
            counters,
            notices: Arc::default(),
            listener: RwLock::new(None),
            commits: Arc::default(),
            puts: Arc::default(),
            write_backs: Arc::default(),
            changed_names: Arc::default(),
            closing: Mutex::default(),
            keyed_opens: object::KeyedOpens::default(),
            left_locks: Mutex::default(),
            unnamed: Mutex::default(),
            kernel_forgets: OnceLock::new(),
            kept: KeptData::new(config.data_cache_bytes),
            threads: Mutex::default(),
        });
        match &config.estate {
            // The kernel has to be told of things first.
            Some(estate) => volume.inherit(estate, &inherited)?,
            None => *volume.threads.lock() = threads::start(&volume)?,
        }
        Ok(volume)
    }

    /// From now on `listener` is told of changes made elsewhere.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn set_listener(self: &Arc<Self>, listener: Arc<dyn CacheListener>) -> Result<()> {
        *self.listener.write() = Some(listener);
        let mut threads = self.threads.lock();
        if threads.is_empty() {
            *threads = threads::start(self)?;
        }
        Ok(())
    }

    /// The root directory.
    pub fn root(&self) -> Ino {
        Ino(self.session.root())
    }

    /// The size of chunks: a good unit for large reads and writes.
    pub fn chunk_size(&self) -> u32 {
        self.session.chunk_size()
    }

    /// What this volume has counted since it was connected, by name.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut counters = self.counters.snapshot();
        counters.insert("dirty_bytes", self.budget.used() as u64);
        counters
    }

    /// Whether wolfdisk-meta answered lately: else whoever asks something new waits for it.
    pub fn is_in_touch(&self) -> bool {
        self.session.lease.is_live()
    }

    /// Takes, one after the other, the locks that requests take, and lets go of each at once. They are held for moments and
    /// never over a call, so that this returns at once unless something hangs.
    pub fn pass_locks(&self) {
        self.session.identity();
        self.table.pass_locks();
        self.handles.pass_locks();
        self.budget.used();
    }

    fn node(&self, ino: Ino) -> Arc<Node> {
        self.table.node(ino, &self.session.lease)
    }
}
