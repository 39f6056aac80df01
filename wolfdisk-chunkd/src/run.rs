//! Puts the daemon together, runs it, and takes it apart in order.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wolfdisk_admin::Watched;
use wolfdisk_common::access::Access;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::{Admin, Config};
use wolfdisk_common::credentials::{self, Credentials};
use wolfdisk_common::exit::one_line;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::limits::{CALL_DEADLINE_MS, FRAME_MAX_BYTES};
use wolfdisk_common::lock::Lock;
use wolfdisk_common::paths::Paths;
use wolfdisk_common::pulse::Pulse;
use wolfdisk_common::release::release;
use wolfdisk_common::reload::{Reload, Scope};
use wolfdisk_common::shutdown::{Shutdown, Turn};
use wolfdisk_common::{memory, notify, socket, telemetry};
use wolfdisk_proto::noise::{self, Welcome};
use wolfdisk_proto::server::{self, Admission, Setup};
use wolfdisk_proto::v1::chunk_server::ChunkServer as GrpcServer;
use wolfdisk_proto::v1::{ChunkFramed, ChunkOverGrpc};

use crate::cli::Cli;
use crate::lan::{self, Lan};
use crate::limits;
use crate::pool::Pool;
use crate::relay::{Mark, Relay};
use crate::service::{self, ChunkDoor, ChunkServer, Metrics, Network};
use crate::store::{Options, Store};
use crate::tasks::scrub::{Plan, Scrubber};
use crate::tasks::{OnFatal, Tasks, Upkeep};

/// Connections that wait for the gRPC server to take them.
const GRPC_BACKLOG: usize = 16;
/// The exit code of a daemon that can no longer keep its promises.
const EXIT_FAILED: i32 = 1;
/// What of the configuration it looks at.
const SCOPE: Scope = Scope {
    uses: &["node", "cache", "scrub", "admin"],
    live: &["scrub"],
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
    let _lock = Lock::acquire(&paths.chunkd_lock())?;
    let shutdown = Shutdown::install(Turn::AfterUsers).context("cannot watch for signals")?;
    let reload = Reload::listen(cli.options.arguments()).context("cannot watch for signals")?;
    let pulse = Pulse::default();
    raise_descriptor_limit();
    let page_size = page_size()?;
    let volume = identity.volume.into_bytes();
    let store = open(&access, &paths, volume, page_size)?;
    let fatal: OnFatal = Arc::new(|error| {
        // In order is not possible any more: what is in memory may not be what is on the disk.
        tracing::error!(error = one_line(error), "the chunk store ends");
        std::process::exit(EXIT_FAILED);
    });
    let upkeep = match access.serves() {
        true => Upkeep::All,
        false => Upkeep::None,
    };
    let scrubber = Arc::new(Scrubber::new(&store, plan(&config, &access)));
    let tasks = Tasks::start(store.clone(), scrubber.clone(), upkeep, fatal)
        .context("cannot start threads")?;
    let pool = Pool::start().context("cannot start threads")?;
    let server = ChunkServer::new(
        store.clone(),
        scrubber.clone(),
        pool,
        identity.number,
        volume,
        page_size,
    );
    let (server, lan) = match access.serves() {
        true => {
            let mark = Mark::new(access.disk(), &paths.chunks_dir());
            open_to_others(server, &config, &paths, &identity, mark)?
        }
        // Only its starter is to speak to it.
        false => (Arc::new(server), None),
    };
    paths
        .create_run_dir()
        .context("cannot create the directory of the sockets")?;
    let socket = paths.chunkd_socket();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let watched = match access.serves() {
        true => tell(&server, runtime.handle(), config.admin)?,
        false => None,
    };
    let plan_anew = move |config: &Config| {
        scrubber.set_plan(plan(config, &access));
        Ok(())
    };
    reload
        .serve(config, SCOPE, pulse.clone(), plan_anew)
        .context("cannot start threads")?;
    let mut lan = lan;
    let served = runtime.block_on(serve(&socket, server, lan.as_mut(), &shutdown, &pulse));
    // Calls in flight end with the runtimes, then the pool ends after its jobs.
    lan.into_iter().for_each(Lan::stop);
    drop(watched);
    drop(runtime);
    notify::stopping();
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::debug!(%error, "the socket was gone");
    }
    tasks.stop();
    store.close()?;
    served
}

fn open(
    access: &Access,
    paths: &Paths,
    volume: [u8; 16],
    page_size: u32,
) -> anyhow::Result<Arc<Store>> {
    notify::starting("opening the chunk store");
    let store = Store::open(Options {
        disk: access.disk(),
        dir: paths.chunks_dir(),
        volume,
        page_size,
        segment_bytes: None,
    })?;
    Ok(Arc::new(store))
}

/// Tells health and numbers at the admin address, if it can be had.
fn tell(
    server: &Arc<ChunkServer>,
    reactor: &Handle,
    admin: Admin,
) -> std::io::Result<Option<Watched>> {
    let (asked, reactor) = (server.clone(), reactor.clone());
    let ready = move || service::ready(asked.clone(), reactor.clone());
    let teller = Metrics(server.clone());
    wolfdisk_admin::watch(admin.chunk_bind, admin.bind_is_chosen, teller, ready)
}

/// Listens for other machines.
fn open_to_others(
    server: ChunkServer,
    config: &Config,
    paths: &Paths,
    identity: &Identity,
    mark: Mark,
) -> anyhow::Result<(Arc<ChunkServer>, Option<Lan>)> {
    let address = config.node.chunk_bind;
    let bound = lan::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    let port = match &bound {
        Ok(listener) => Ok(listener.local_addr()?.port()),
        Err(reason) => {
            tracing::warn!("{reason}");
            Err(reason.clone())
        }
    };
    let network = Arc::new(Network::new(ClusterKey::load(paths)?, port));
    let credentials = Credentials::of_node(paths, identity.node.as_str(), identity.volume)?;
    let kept = config.cache.size_bytes.map(usize::try_from);
    let kept = kept.transpose()?.unwrap_or(limits::RELAY_CACHE_BYTES);
    let relay = Relay::new(credentials, kept).remembers_by(mark)?;
    let server = server.with_network(network.clone());
    let server = Arc::new(server.with_relay(Arc::new(relay)));
    let Ok(listener) = bound else {
        return Ok((server, None));
    };
    let welcome = Welcome {
        cluster: identity.volume.into_bytes(),
        node: identity.node.to_string(),
        incarnation: server.incarnation(),
        release: release().to_owned(),
        ..Welcome::default()
    };
    let setup = noise::Setup {
        static_key: credentials::static_key(paths)?,
        guests: network.guests(),
        door: Arc::new(ChunkDoor::new(network, welcome)),
        // Such connections have nothing here that outlives a call.
        on_close: Arc::new(|_| ()),
    };
    let lan = Lan::start(listener, server.clone(), setup).context("cannot start threads")?;
    Ok((server, Some(lan)))
}

/// A store that is inspected is read when the tool says so.
fn plan(config: &Config, access: &Access) -> Plan {
    let scrub = config.scrub;
    Plan {
        interval: (scrub.enabled && access.serves()).then_some(scrub.interval),
        bytes_per_second: scrub.bytes_per_second,
    }
}

async fn serve(
    path: &Path,
    service: Arc<ChunkServer>,
    lan: Option<&mut Lan>,
    shutdown: &Shutdown,
    pulse: &Pulse,
) -> anyhow::Result<()> {
    let listener = listen(path).with_context(|| format!("cannot listen at {}", path.display()))?;
    let (grpc, connections) = mpsc::channel(GRPC_BACKLOG);
    let closing = service.clone();
    let setup = Setup {
        admission: admission(),
        grpc,
        on_close: Arc::new(move |connection| closing.connection_closed(connection)),
    };
    let framed = server::serve(listener, ChunkFramed(service.clone()), setup);
    notify::ready();
    tracing::info!(socket = %path.display(), "wolfdisk-chunkd is ready");
    let lan = async {
        match lan {
            Some(lan) => lan.ended().await,
            None => std::future::pending().await,
        }
    };
    // On the thread that answers, and through the threads that read and write.
    let signs = pulse.follow(async || service.doing().await);
    tokio::select! {
        () = signs => Ok(()),
        ended = lan => ended.context("the listener for other machines failed"),
        ended = framed => ended.context("the listener failed"),
        ended = serve_grpc(service.clone(), connections) => ended.context("the gRPC server failed"),
        cause = shutdown.requested() => {
            tracing::info!(?cause, "wolfdisk-chunkd stops");
            Ok(())
        }
    }
}

async fn serve_grpc(
    service: Arc<ChunkServer>,
    connections: mpsc::Receiver<std::io::Result<UnixStream>>,
) -> Result<(), tonic::transport::Error> {
    let service = GrpcServer::new(ChunkOverGrpc(service))
        .max_decoding_message_size(FRAME_MAX_BYTES)
        .max_encoding_message_size(FRAME_MAX_BYTES);
    tonic::transport::Server::builder()
        .timeout(std::time::Duration::from_millis(CALL_DEADLINE_MS))
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(connections))
        .await
}

/// Listens for the owner and the group. The lock is held, so a socket that lies there is a dead one.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = socket::listen(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Root, the user that the daemon runs as, and its group unless that is root's.
fn admission() -> Admission {
    let own = nix::unistd::geteuid().as_raw();
    let group = nix::unistd::getegid().as_raw();
    Admission {
        uids: vec![own, 0],
        gid: (group != 0).then_some(group),
    }
}

fn page_size() -> anyhow::Result<u32> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    size.and_then(|size| u32::try_from(size).ok())
        .context("the system does not tell its page size")
}

/// One descriptor is held for each segment; the usual 1,024 would end at 256 GiB.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(limits::DESCRIPTORS_WANTED).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
