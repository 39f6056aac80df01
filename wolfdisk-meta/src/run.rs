//! Puts the daemon together, runs it, and takes it apart in order.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use tokio::runtime::Handle;
use wolfdisk_admin::Watched;
use wolfdisk_common::access::Access;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::{Admin, Config};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::ids::LogIndex;
use wolfdisk_common::lock::Lock;
use wolfdisk_common::paths::{Paths, SYSTEM_DATA_DIR};
use wolfdisk_common::pulse::Pulse;
use wolfdisk_common::reload::{Reload, Scope};
use wolfdisk_common::shutdown::{Shutdown, Turn};
use wolfdisk_common::ticket::Tickets;
use wolfdisk_common::time::{Clock, SystemClock, Timestamp};
use wolfdisk_common::{memory, notify, telemetry};

use crate::cli::Cli;
use crate::consensus::Replication;
use crate::consensus::solo::SoloLog;
use crate::import;
use crate::index::overlay::State;
use crate::index::table::{Applied, Table};
use crate::index::{Genesis, Index};
use crate::limits;
use crate::service::{self, Core, Keys, Metrics, Service, ServiceError, ServiceOptions, SpaceView};
use crate::storage::{self, Generations, StorageOptions};
use crate::tasks::threads::{Surroundings, Threads};
use crate::tasks::{checkpoint, expire, reap};

/// What of the configuration it looks at.
const SCOPE: Scope = Scope {
    uses: &["node", "cluster", "replication", "admin"],
    live: &[],
};

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Why it could not start, or what broke.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let config = Config::load(&cli.options.arguments())?;
    let access = cli.options.access();
    telemetry::init(config.log.level);
    memory::hold_little();
    telemetry::abort_on_panic();
    let identity = Identity::load_for(&config)?;
    telemetry::set_node(identity.node.as_str());
    let paths = access.paths(config.paths());
    let _lock = Lock::acquire(&paths.meta_lock())?;
    let shutdown = Shutdown::install(Turn::AfterUsers).context("cannot watch for signals")?;
    let reload = Reload::listen(cli.options.arguments()).context("cannot watch for signals")?;
    let pulse = Pulse::default();
    let disk = access.disk();
    notify::starting("opening the index");
    if access.serves() {
        import::settle(&paths).context("what an import of the index has left")?;
    }
    let service = open(&disk, &paths.meta_dir(), &identity, &config)?;
    paths
        .create_run_dir()
        .context("cannot create the directory of the sockets")?;
    let socket = paths.meta_socket();
    let around = Surroundings {
        chunkd_socket: paths.chunkd_socket(),
        upkeep: access.serves(),
    };
    let listener = match access.serves() {
        true => open_to_others(&service, &paths, &config)?,
        // Only its starter is to speak to it.
        false => None,
    };
    let discovery = match access.serves() {
        true => Some(service::discover(&service, &paths, &config)?),
        false => None,
    };
    let threads = Threads::start(&service, &around).context("cannot start threads")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let watched = match access.serves() {
        true => tell(&service, runtime.handle(), config.admin)?,
        false => None,
    };
    reload
        .serve(config, SCOPE, pulse.clone(), |_| Ok(()))
        .context("cannot start threads")?;
    let served = runtime.block_on(serve(
        &service, &socket, &shutdown, &threads, &access, listener, &pulse,
    ));
    notify::stopping();
    // From now on nobody is to come.
    drop(watched);
    drop(discovery);
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::debug!(%error, "the socket was gone");
    }
    service.abandon();
    drop(runtime);
    threads.join();
    served?;
    checkpoint::once(&service, None).context("the last checkpoint")?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells health and numbers at the admin address, if it can be had.
fn tell(
    service: &Arc<Service>,
    reactor: &Handle,
    admin: Admin,
) -> std::io::Result<Option<Watched>> {
    let (asked, reactor) = (service.clone(), reactor.clone());
    let ready = move || service::ready(asked.clone(), reactor.clone());
    let teller = Metrics(service.clone());
    wolfdisk_admin::watch(admin.bind, admin.bind_is_chosen, teller, ready)
}

/// Takes the address for other machines, unless it is in use and nobody chose it.
fn open_to_others(
    service: &Service,
    paths: &Paths,
    config: &Config,
) -> anyhow::Result<Option<TcpListener>> {
    let trust = service.trust();
    trust.hold(Keys::load(paths)?);
    trust.set_chunk_port(config.node.chunk_bind.port());
    let address = config.node.bind;
    let bound = service::bind(&config.node);
    match bound.with_context(|| format!("cannot listen at {address} (node.bind)"))? {
        Ok(listener) => Ok(Some(listener)),
        Err(trouble) => {
            trust.set_trouble(trouble);
            Ok(None)
        }
    }
}

/// Recovers the index and puts the service over it.
///
/// # Errors
/// What is on disk cannot be used; says which file and why.
pub fn open(
    disk: &Arc<dyn Disk>,
    meta_dir: &Path,
    identity: &Identity,
    config: &Config,
) -> anyhow::Result<Arc<Service>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    disk.create_dir_all(meta_dir)
        .context("the directory of the index cannot be made")?;
    storage::refuse_lost(&**disk, meta_dir, &config.paths().chunks_dir())?;
    let space = SpaceView::new(disk.clone(), meta_dir.to_owned())
        .context("the room on disk is not known")?;
    let mut options = StorageOptions::default();
    options.log.segment_bytes = space.budget().segment_bytes;
    let storage = storage::open(disk, meta_dir, identity.volume, &options)?;
    // The machine's own volume is root's, whoever the daemon runs as.
    let owner = match config.node.data_dir == Path::new(SYSTEM_DATA_DIR) {
        true => (0, 0),
        false => (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        ),
    };
    let genesis = Genesis {
        volume_id: *identity.volume.as_bytes(),
        created: Timestamp {
            seconds: identity.created_s as i64,
            nanos: 0,
        },
        uid: owner.0,
        gid: owner.1,
    };
    let generations = Generations::new(
        disk.clone(),
        meta_dir.to_owned(),
        storage.manifest.clone(),
        &options,
    );
    let last = storage.log.written();
    let mut log = SoloLog::over(storage.log, storage.table.applied().index);
    let mut index = Index::open(State::new(storage.table), &genesis)?;
    let from = index.version();
    replay(&mut index, &mut log, last)?;
    let incarnation = storage.manifest.incarnation;
    tracing::info!(
        incarnation = incarnation.0,
        version = index.version().0,
        replayed = index.version().0 - from.0,
        "the index is open"
    );
    let key = ClusterKey::load(&config.paths()).context("the key of the cluster")?;
    let core = Core::new(index, Box::new(log), incarnation, clock.monotonic())?;
    let told = ServiceOptions {
        node: identity.node.to_string(),
        number: identity.number,
        role: config.node.role.as_str().to_owned(),
        mode: config.replication.mode.as_str().to_owned(),
        volume: identity.volume,
        chunk_size_bytes: config.replication.chunk_size_bytes,
        incarnation,
        tickets: Tickets::new(&key),
    };
    Ok(Service::new(core, clock, space, generations, told))
}

fn replay<T: Table>(
    index: &mut Index<State<T>>,
    log: &mut impl Replication,
    last: LogIndex,
) -> Result<(), ServiceError> {
    let (mut first, mut told) = (None, Instant::now());
    loop {
        let entries = log.take_accepted(limits::BATCH_MAX)?;
        let Some(next) = entries.first().map(|entry| entry.index) else {
            return Ok(());
        };
        let first = *first.get_or_insert(next);
        if told.elapsed() >= limits::RECOVERY_TELL_INTERVAL {
            let percent = percent(next.0 - first.0, last.0.saturating_sub(first.0));
            notify::starting(&format!("recovering the log: {percent} %"));
            told = Instant::now();
        }
        for entry in entries {
            index.apply(entry.index, entry.term, entry.payload)?;
            let version = index.version();
            let applied = Applied {
                index: entry.index,
                term: entry.term,
                version,
            };
            index.records_mut().set_applied(applied);
        }
    }
}

fn percent(done: u64, all: u64) -> u64 {
    done.saturating_mul(100).checked_div(all).unwrap_or(100)
}

async fn serve(
    service: &Arc<Service>,
    socket: &Path,
    shutdown: &Shutdown,
    threads: &Threads,
    access: &Access,
    listener: Option<TcpListener>,
    pulse: &Pulse,
) -> anyhow::Result<()> {
    let ready = || {
        tracing::info!(socket = %socket.display(), "ready");
        notify::ready();
    };
    let upkeep = async {
        match access.serves() {
            true => {
                tokio::join!(expire::run(service), reap::run(service));
            }
            false => std::future::pending().await,
        }
    };
    // On this thread, which runs all batches and answers all calls, and through the core that they all need.
    let signs = pulse.follow(async || service.doing());
    let beside = async { tokio::join!(service.run_timer(), service.run_durable(), upkeep, signs) };
    let others = async {
        match listener {
            Some(listener) => service::serve_others(service.clone(), listener).await,
            None => std::future::pending().await,
        }
    };
    // A task of its own: as a part of this future it would have all of it polled, and the reactor asked for
    // events, for each mutation.
    let worker = service.clone();
    let mut batches = tokio::spawn(async move { worker.run_batches().await });
    tokio::select! {
        cause = shutdown.requested() => tracing::info!(?cause, "stopping"),
        error = service.failed() => return Err(anyhow::anyhow!("{error}")),
        served = service::listen(service.clone(), socket, ready) => served?,
        served = others => served?,
        _ = &mut batches => {}
        _ = beside => {}
    }
    // Nothing more is accepted. What is in the queue is answered or, after a while, asked again of the
    // next life.
    threads.request_stop();
    let drained = async {
        while !service.is_idle() && !batches.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(limits::DRAIN_MAX, drained)
        .await
        .is_err()
    {
        tracing::warn!("some mutations are left to the next life");
    }
    batches.abort();
    match service.failure() {
        Some(error) => Err(anyhow::anyhow!("{error}")),
        None => Ok(()),
    }
}
