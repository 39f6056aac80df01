//! The life of the process: connect, mount, serve, write back, unmount.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wolfdisk_client::{Error, Reach, Volume, VolumeConfig};
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::pulse::Pulse;
use wolfdisk_common::reload::{Reload, Scope};
use wolfdisk_common::shutdown::{Cause, Shutdown, Turn};
use wolfdisk_common::{memory, notify, telemetry};

use crate::arguments::Arguments;
use crate::error::FuseError;
use crate::gate::Gate;
use crate::limits::{CONNECT_DEADLINE, CONNECT_RETRY, STOP_DEADLINE};
use crate::metrics;
use crate::mount::Mount;
use crate::mountpoint;
use crate::numbers;
use crate::options::{Access, Options};
use crate::patience::within;
use crate::signs;
use crate::succession::Succession;
use crate::telling::Telling;

/// What of the configuration it looks at.
const SCOPE: Scope = Scope {
    uses: &["node", "cluster", "cache", "mount"],
    live: &[],
};

/// Set by the panic hook: the process ends with a failure.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Runs until the mount ends: by SIGTERM, SIGINT, the end of the supervisor, or an unmount from outside;
/// or until a successor is to take it over, by SIGUSR2.
///
/// # Errors
/// Says in one line why there is no mount, or what was lost at its end.
pub fn run(arguments: &Arguments) -> Result<Exit, FuseError> {
    let config = Config::load(&arguments.for_config())?;
    let options = options(arguments, &config)?;
    telemetry::init(config.log.level);
    name_node(&config);
    memory::hold_little();
    let system = |what| move |source| FuseError::System { what, source };
    let shutdown = Shutdown::install(Turn::First).map_err(system("cannot take over signals"))?;
    let reload = Reload::listen(arguments.for_config());
    let reload = reload.map_err(system("cannot take over signals"))?;
    end_on_panic(&shutdown);
    let succession = Succession::find().map_err(FuseError::Succession)?;
    let path = place(arguments, &config, &options, succession.as_ref())?;
    if succession.is_some() {
        let listening = shutdown.hand_over_on_signal();
        listening.map_err(FuseError::Succession)?;
    }
    let Some(volume) = connect(&config, &options, succession.as_ref(), &shutdown)? else {
        return Ok(Exit::Ok);
    };
    let pulse = Pulse::default();
    signs::give(&pulse, &volume, &path).map_err(system("cannot start threads"))?;
    let reloads = reload.serve(config.clone(), SCOPE, pulse, |_| Ok(()));
    reloads.map_err(system("cannot start threads"))?;
    let mount = match Mount::new(&volume, &path, &options, &shutdown, succession.as_ref()) {
        Ok(mount) => mount,
        Err(error) => {
            // The next try takes over the session as well.
            let ended = match succession {
                Some(_) => Ok(()),
                None => write_back(volume),
            };
            if let Err(also) = ended {
                tracing::debug!(error = %also, "the session ends by itself");
            }
            return Err(error);
        }
    };
    tracing::info!(path = %path.display(), "mounted");
    let telling = tell(&config, &volume, mount.gate());
    let address = options.told.address(config.admin.fuse_bind);
    let watched = address.and_then(|address| metrics::watch(address, &volume, &mount));
    notify::ready();
    let cause = shutdown.wait();
    notify::stopping();
    drop((telling, watched));
    if let (Cause::HandOver, Some(succession)) = (cause, &succession) {
        hand_over(&mount, &volume, succession);
        return Ok(Exit::HandedOver);
    }
    let outcome = end(mount, &volume, cause);
    outcome.and(write_back(volume)).map(|()| Exit::Ok)
}

/// Has lines of the log name the node. A machine that holds no state of a cluster has none.
fn name_node(config: &Config) {
    if let Ok(identity) = Identity::load_for(config) {
        telemetry::set_node(identity.node.as_str());
    }
}

/// Tells the counters. A mount that cannot is a mount all the same.
fn tell(config: &Config, volume: &Arc<Volume>, gate: &Arc<Gate>) -> Option<Telling> {
    let paths = config.paths();
    let begun = paths
        .create_run_dir()
        .and_then(|()| Telling::begin(paths.run_dir(), volume, gate));
    begun
        .inspect_err(|error| tracing::info!(%error, "`wolfdiskctl stats` does not show this mount"))
        .ok()
}

/// Where to mount. The mount of a predecessor is not looked at: nobody would answer.
fn place(
    arguments: &Arguments,
    config: &Config,
    options: &Options,
    succession: Option<&Succession>,
) -> Result<PathBuf, FuseError> {
    if succession.and_then(Succession::estate).is_none() {
        if arguments.make_directory {
            mountpoint::make(&config.mount.path)?;
        }
        return mountpoint::prepare(&config.mount.path, &config.node.data_dir, options.nonempty);
    }
    mountpoint::canonical(&config.mount.path)
}

/// Leaves everything to a successor in such a state that it has nothing to guess. What cannot be brought
/// there it treats as after a crash.
fn hand_over(mount: &Mount, volume: &Volume, succession: &Succession) {
    tracing::info!("leaving the mount to a successor");
    let closed = mount.close();
    mount.write_back(volume);
    if let Err(error) = volume.sync_all() {
        tracing::warn!(%error, "buffered writes are left behind");
    } else if !closed {
        tracing::warn!("requests are under way");
    } else if let Err(error) = succession.ledger().set_clean() {
        tracing::warn!(%error, "the successor takes it for a crash");
    }
}

/// Takes the mount off the tree if that is left to do.
fn end(mount: Mount, volume: &Volume, cause: Cause) -> Result<(), FuseError> {
    let ended_outside = mount.has_ended();
    tracing::info!(?cause, ended_outside, "ending");
    if !ended_outside {
        mount.take_off();
    }
    mount.write_back(volume);
    match (PANICKED.load(Ordering::Acquire), ended_outside) {
        (true, _) => Err(FuseError::Panicked),
        (false, true) => mount.result(),
        (false, false) => Ok(()),
    }
}

/// Ends the session. Whatever can be written back is; what hangs is given up.
fn write_back(volume: Arc<Volume>) -> Result<(), FuseError> {
    match within(STOP_DEADLINE, "write-back", move || volume.shutdown()) {
        Some(result) => result.map_err(FuseError::WriteBack),
        None => Err(FuseError::WriteBack(Error::ShutDown)),
    }
}

fn options(arguments: &Arguments, config: &Config) -> Result<Options, FuseError> {
    let access = if config.mount.allow_other {
        Access::Other
    } else {
        Access::Owner
    };
    let mut options = Options {
        access,
        ..Options::default()
    };
    for list in &arguments.options {
        options.apply(list)?;
    }
    Ok(options)
}

/// Connects to the daemons, which may be starting. `None`: told to stop meanwhile.
fn connect(
    config: &Config,
    options: &Options,
    succession: Option<&Succession>,
    shutdown: &Shutdown,
) -> Result<Option<Arc<Volume>>, FuseError> {
    let reach = Reach::of(config)?;
    let is_remote = reach.as_remote().is_some();
    let place = config.mount.path.display().to_string();
    let mut wanted = VolumeConfig::new(reach, "fuse", &place);
    wanted.read_only = options.read_only;
    wanted.exclusive = options.is_exclusive();
    wanted.ledger = succession.map(|succession| Arc::clone(succession.ledger()));
    wanted.estate = succession.and_then(Succession::estate).cloned();
    if let Some(bytes) = config.cache.size_bytes {
        wanted.data_cache_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    notify::starting("waits for wolfdisk-meta");
    let start = Instant::now();
    loop {
        match Volume::connect(wanted.clone()) {
            Ok(volume) => return rooted(volume, options, succession).map(Some),
            Err(_) if shutdown.cause().is_some() => return Ok(None),
            Err(error) if error.is_passing() && start.elapsed() < CONNECT_DEADLINE => {
                tracing::debug!(%error, "the daemons do not answer yet");
                std::thread::sleep(CONNECT_RETRY);
            }
            Err(source) if source.errno() == libc::EACCES => {
                return Err(FuseError::Refused(source));
            }
            Err(source) => {
                let data = config.node.data_dir.clone();
                return Err(match is_remote {
                    true => FuseError::Unreachable(data, source),
                    false => FuseError::Connect { data, source },
                });
            }
        }
    }
}

/// Makes the directory that was asked for the root of the mount. A mount that is taken over keeps its root: it may be
/// called otherwise by now.
fn rooted(
    volume: Arc<Volume>,
    options: &Options,
    succession: Option<&Succession>,
) -> Result<Arc<Volume>, FuseError> {
    let inherited = succession.map_or(Ok(None), Succession::root);
    let root = match inherited.map_err(FuseError::Succession)? {
        Some(Ino(0)) => Ok(volume.root()),
        Some(root) => Ok(root),
        None => options.subdir.find(&volume),
    };
    match root {
        Ok(root) => {
            numbers::set_root(root);
            Ok(volume)
        }
        Err(error) => {
            if let Err(also) = write_back(volume) {
                tracing::debug!(error = %also, "the session ends by itself");
            }
            Err(error)
        }
    }
}

/// A panic anywhere ends the mount in order: a thread fewer would go unnoticed until none is left.
fn end_on_panic(shutdown: &Shutdown) {
    telemetry::log_panics();
    let log = std::panic::take_hook();
    let shutdown = shutdown.clone();
    std::panic::set_hook(Box::new(move |panic| {
        log(panic);
        PANICKED.store(true, Ordering::Release);
        shutdown.request();
    }));
}
