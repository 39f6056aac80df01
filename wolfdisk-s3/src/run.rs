//! The life of the process: connect, serve, let requests end, end the session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use wolfdisk_client::{MetaLine, Reach, Volume, VolumeConfig};
use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::access_key::record::Seal;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::{Anonymous, Config, S3};
use wolfdisk_common::exit::one_line;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::pulse::Pulse;
use wolfdisk_common::reload::{Reload, Scope};
use wolfdisk_common::shutdown::{Shutdown, Turn};
use wolfdisk_common::{memory, notify, telemetry};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{Empty, GatewayKeysReply};

use crate::access::Access;
use crate::access::seals::Seals;
use crate::arguments::Arguments;
use crate::limits;
use crate::ops::{self, Gateway};
use crate::server::metrics::Metrics;
use crate::server::tls::Tls;
use crate::server::{self, Line};
use crate::store::{Store, tag};

/// What s3s logs of a request includes signatures that would have been right.
const SILENT: &str = "s3s";
/// What of the configuration it looks at. The files of the certificate are read anew, where they are is not.
const SCOPE: Scope = Scope {
    uses: &["node", "cluster", "cache", "s3", "admin"],
    live: &[],
};

/// Serves until SIGTERM, SIGINT or the end of the supervisor.
///
/// # Errors
/// Says in one line why it cannot serve.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut config = settings(arguments)?;
    telemetry::init_without(config.log.level, SILENT);
    if let Ok(identity) = Identity::load_for(&config) {
        // A machine that holds no state of a cluster has none.
        telemetry::set_node(identity.node.as_str());
    }
    memory::hold_little();
    // A request that meets a bug ends with its connection; nothing is shared that it could have left half done.
    telemetry::log_panics();
    let files = config.s3.tls.as_ref();
    let tls = files.map(|(certificate, key)| Tls::load(certificate, key));
    let tls = tls.transpose()?;
    raise_descriptor_limit();
    let reach = Reach::of(&config)?;
    let seals = own_seal(&config, &reach)?;
    if reach.as_remote().is_none() && config.s3.keys.is_none() {
        let made = AccessKey::load(&config.paths())?;
        config.s3.keys = made.map(|key| (key.id, key.secret));
    }
    let shutdown = Shutdown::install(Turn::First).context("cannot watch for signals")?;
    let reload = Reload::listen(arguments.for_config()).context("cannot watch for signals")?;
    let pulse = Pulse::default();
    let Some(volume) = connect(&config, &reach, &shutdown)? else {
        return Ok(());
    };
    let seals = match seals {
        Some(own) => own,
        None => Seals::lent(asking(reach.meta()))
            .context("no node says what access keys are sealed with")?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(limits::BLOCKING_THREADS_MAX)
        .build()?;
    let certificate = tls.clone();
    let read_certificate = move |_: &Config| match &certificate {
        Some(tls) => tls.reload().map_err(|error| one_line(&error)),
        None => Ok(()),
    };
    reload
        .serve(config.clone(), SCOPE, pulse.clone(), read_certificate)
        .context("cannot start threads")?;
    let parts = (Arc::clone(&volume), seals, tls);
    let served = runtime.block_on(serve(&config, parts, &shutdown, &pulse));
    notify::stopping();
    // What still reads or writes ends before the session does.
    runtime.shutdown_timeout(limits::STOP_DEADLINE);
    volume
        .shutdown()
        .context("not everything could be written back before the end")?;
    served
}

/// What access keys are sealed with, where the cluster's key is at hand; none: a node is to be asked.
fn own_seal(config: &Config, reach: &Reach) -> anyhow::Result<Option<Seals>> {
    let holds_key = match reach.as_remote() {
        None => true,
        Some(remote) => remote.credentials().kind.holds_cluster_key(),
    };
    if !holds_key {
        return Ok(None);
    }
    let key = ClusterKey::load(&config.paths())?;
    Ok(Some(Seals::Own(Arc::new(Seal::new(&key)))))
}

/// Asks a node for the seal.
fn asking(meta: MetaLine) -> impl Fn() -> Result<GatewayKeysReply, Failure> + Send + Sync {
    move || {
        let mut options = Options::within(limits::SEAL_DEADLINE);
        meta.gateway_keys(&mut options, &Empty {})
    }
}

/// The configuration, with what the command line says.
fn settings(arguments: &Arguments) -> anyhow::Result<Config> {
    let mut config = Config::load(&arguments.for_config())?;
    if let Some(bind) = arguments.bind {
        config.s3.bind = bind;
    }
    Ok(config)
}

async fn serve(
    config: &Config,
    (volume, seals, tls): (Arc<Volume>, Seals, Option<Tls>),
    shutdown: &Shutdown,
    pulse: &Pulse,
) -> anyhow::Result<()> {
    let owner = config.s3.owner.unwrap_or_else(|| {
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        (user.as_raw(), group.as_raw())
    });
    let store = Store::new(Arc::clone(&volume), owner);
    let gateway = Gateway::new(store.clone());
    let access = Access::new(&config.s3, store.clone(), seals);
    refuse_open_without_key(&config.s3, &access).await?;
    let bind = config.s3.bind;
    let listener = server::listen(bind).await;
    let listener = listener.with_context(|| {
        format!("cannot listen at {bind}; choose another address: s3.bind, or --s3 of `up`")
    })?;
    let watched = wolfdisk_admin::bind(
        server::metrics::PREFIX,
        "admin.bind",
        config.admin.s3_bind,
        config.admin.bind_is_chosen,
    )?;
    let mut beside = JoinSet::new();
    beside.spawn(tag::learn(store.clone()));
    beside.spawn(ops::sweep(gateway.clone(), config.s3.abandoned_upload));
    beside.spawn(ops::expire(gateway.clone(), config.s3.lifecycle_interval));
    if let Some(tls) = tls.clone() {
        beside.spawn(tls.keep_fresh());
    }
    let metrics = Metrics::new(store.clone());
    let open = metrics.connections().open.clone();
    let line = Line {
        service: server::service(gateway, &config.s3, access.clone(), metrics.clone()),
        counts: metrics.connections().clone(),
        tls: tls.clone(),
    };
    if let Some(watched) = watched {
        let service = server::admin::service(store, metrics);
        beside.spawn(async move {
            if let Err(error) = wolfdisk_admin::serve(watched, service).await {
                tracing::error!(%error, "health and metrics are told no more");
            }
        });
    }
    notify::ready();
    if let Some(warning) = access.warning().await? {
        tracing::warn!("{warning}");
    }
    tracing::info!(address = %bind, "wolfdisk-s3 is ready");
    // Beside what accepts connections, and through the locks that requests pass.
    let signs = pulse.follow(async || {
        volume.pass_locks();
        doing(bind, open.get(), volume.is_in_touch())
    });
    tokio::select! {
        () = server::serve(listener, line, shutdown) => {}
        () = signs => {}
    }
    tracing::info!(cause = ?shutdown.cause(), "wolfdisk-s3 stops");
    beside.abort_all();
    Ok(())
}

fn doing(bind: SocketAddr, connections: i64, in_touch: bool) -> String {
    let waits = match in_touch {
        true => "",
        false => "; waits for wolfdisk-meta",
    };
    format!("listening on {bind}, {connections} connections{waits}")
}

/// Where others reach it there must be a key, or the settings say that it needs none.
async fn refuse_open_without_key(settings: &S3, access: &Access) -> anyhow::Result<()> {
    let bind = settings.bind;
    let is_open = !bind.ip().to_canonical().is_loopback();
    if is_open && settings.anonymous == Anonymous::Off && !access.has_key().await? {
        bail!(
            "{bind} is open to other machines, and there is no access key; make one: wolfdiskctl s3 key create"
        );
    }
    Ok(())
}

/// Connects to the daemons, which may be starting. `None`: told to stop meanwhile.
fn connect(
    config: &Config,
    reach: &Reach,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Arc<Volume>>> {
    let place = config.s3.bind.to_string();
    let mut wanted = VolumeConfig::new(reach.clone(), "s3", &place);
    wanted.dirty_max_bytes = limits::DIRTY_MAX_BYTES;
    wanted.mapped_max_bytes = limits::MAPPED_MAX_BYTES;
    if let Some(bytes) = config.cache.size_bytes {
        wanted.data_cache_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    notify::starting("waits for wolfdisk-meta");
    let start = Instant::now();
    loop {
        match Volume::connect(wanted.clone()) {
            Ok(volume) => return Ok(Some(volume)),
            Err(_) if shutdown.cause().is_some() => return Ok(None),
            Err(error) if error.is_passing() && start.elapsed() < limits::CONNECT_DEADLINE => {
                tracing::debug!(%error, "the daemons do not answer yet");
                std::thread::sleep(limits::CONNECT_RETRY);
            }
            Err(error) => {
                let data = config.node.data_dir.display();
                return Err(error).context(match reach.as_remote() {
                    None => format!(
                        "the daemons of {data} do not answer; start them: wolfdiskctl up -d {data}"
                    ),
                    Some(_) => format!(
                        "no node of the cluster can be used; see what is known of them: wolfdiskctl status -d {data}"
                    ),
                });
            }
        }
    }
}

/// One descriptor is held for each connection.
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
