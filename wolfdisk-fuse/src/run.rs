//! The life of the process: connect, mount, serve, write back, unmount.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wolfdisk_client::{Error, Volume, VolumeConfig};
use wolfdisk_common::config::Config;
use wolfdisk_common::shutdown::{Shutdown, Turn};
use wolfdisk_common::{memory, notify, telemetry};

use crate::arguments::Arguments;
use crate::error::FuseError;
use crate::limits::{CONNECT_DEADLINE, CONNECT_RETRY, STOP_DEADLINE};
use crate::mount::Mount;
use crate::mountpoint;
use crate::options::{Access, Options};
use crate::patience::within;

/// Set by the panic hook: the process ends with a failure.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Runs until the mount ends: by SIGTERM, SIGINT, the end of the supervisor, or an unmount from outside.
///
/// # Errors
/// Says in one line why there is no mount, or what was lost at its end.
pub fn run(arguments: &Arguments) -> Result<(), FuseError> {
    let config = Config::load(&arguments.for_config())?;
    let options = options(arguments, &config)?;
    telemetry::init(config.log.level);
    memory::hold_little();
    let shutdown = Shutdown::install(Turn::First).map_err(|source| FuseError::System {
        what: "cannot take over signals",
        source,
    })?;
    end_on_panic(&shutdown);
    let path = mountpoint::prepare(&config.mount.path, &config.node.data_dir, options.nonempty)?;
    let Some(volume) = connect(&config, &options, &shutdown)? else {
        return Ok(());
    };
    let outcome = match Mount::new(&volume, &path, &options, &shutdown) {
        Ok(mount) => {
            tracing::info!(path = %path.display(), "mounted");
            notify::ready();
            serve(mount, &volume, &shutdown)
        }
        Err(error) => Err(error),
    };
    outcome.and(write_back(volume))
}

/// Waits for the end of the mount and takes it off the tree if that is left to do.
fn serve(mount: Mount, volume: &Volume, shutdown: &Shutdown) -> Result<(), FuseError> {
    let cause = shutdown.wait();
    notify::stopping();
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
    shutdown: &Shutdown,
) -> Result<Option<Arc<Volume>>, FuseError> {
    let paths = config.paths();
    let place = config.mount.path.display().to_string();
    let mut wanted = VolumeConfig::new(paths.meta_socket(), paths.chunkd_socket(), "fuse", &place);
    wanted.read_only = options.read_only;
    if let Some(bytes) = config.cache.size_bytes {
        wanted.data_cache_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    let start = Instant::now();
    loop {
        match Volume::connect(wanted.clone()) {
            Ok(volume) => return Ok(Some(volume)),
            Err(_) if shutdown.cause().is_some() => return Ok(None),
            Err(error) if is_passing(&error) && start.elapsed() < CONNECT_DEADLINE => {
                tracing::debug!(%error, "the daemons do not answer yet");
                std::thread::sleep(CONNECT_RETRY);
            }
            Err(source) => {
                let data = config.node.data_dir.clone();
                return Err(FuseError::Connect { data, source });
            }
        }
    }
}

/// Whether another try may do better: a socket that is not there, a daemon that cannot answer yet.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Failed(_) => error.errno() == libc::EIO,
        Error::System { .. } => true,
        Error::Refused(_)
        | Error::NoHandle(_)
        | Error::Damaged { .. }
        | Error::LocksLost(_)
        | Error::Interrupted
        | Error::ShutDown
        | Error::Malformed(_) => false,
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
