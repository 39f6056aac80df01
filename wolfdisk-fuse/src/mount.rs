//! The mount itself: made, watched, taken off.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use fuser::{BackgroundSession, Config, Session};
use nix::unistd::geteuid;
use wolfdisk_client::Volume;
use wolfdisk_common::shutdown::Shutdown;
use wolfdisk_common::{mounts, notify};

use crate::access_time::AccessTimes;
use crate::adapter::Adapter;
use crate::error::FuseError;
use crate::freshness::Freshness;
use crate::gate::Gate;
use crate::limits::{
    ACCESS_TIME_TICK, DETACH_DEADLINE, STOP_DEADLINE, THREADS_MIN, THREADS_PER_CORE,
};
use crate::locks::Waiters;
use crate::notify::KernelCache;
use crate::options::{Access, Options};
use crate::patience::within;
use crate::readahead;
use crate::succession::Succession;

/// The device of FUSE.
const DEVICE: &str = "/dev/fuse";
/// Says whether ordinary users may let others in.
const HELPER_CONFIG: &str = "/etc/fuse.conf";
/// The line that does.
const HELPER_ALLOWS: &str = "user_allow_other";

/// A mounted volume.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    serving: JoinHandle<io::Result<()>>,
    times: Arc<AccessTimes>,
    gate: Arc<Gate>,
    waiters: Waiters,
}

impl Mount {
    /// Mounts `volume` at `path`, or takes over the mount of a predecessor there, and serves it on threads
    /// of its own. When serving ends by itself, `ended` is set off.
    ///
    /// # Errors
    /// Says what is missing and how to get it.
    pub fn new(
        volume: &Arc<Volume>,
        path: &Path,
        options: &Options,
        ended: &Shutdown,
        succession: Option<&Succession>,
    ) -> Result<Mount, FuseError> {
        check_device()?;
        let options = as_permitted(options.clone())?;
        let freshness = Arc::new(Freshness::default());
        let times = Arc::new(AccessTimes::new(&options));
        let gate = Arc::new(Gate::default());
        let adapter = Adapter::new(
            Arc::clone(volume),
            Arc::clone(&freshness),
            Arc::clone(&times),
            &options,
            (Arc::clone(&gate), succession),
        );
        let waiters = adapter.waiters().clone();
        let failed = |source| FuseError::Mount {
            path: path.to_owned(),
            source,
        };
        let session = begin(adapter, path, &library_config(&options), succession);
        let session = session.map_err(failed)?;
        volume
            .set_listener(Arc::new(KernelCache::new(session.notifier(), freshness)))
            .map_err(FuseError::Volume)?;
        let session = session.spawn().map_err(failed)?;
        let ended = ended.clone();
        let serving = std::thread::Builder::new()
            .name("serving".to_owned())
            .spawn(move || serve(session, &ended))
            .map_err(failed)?;
        keep_access_times(&times, volume).map_err(failed)?;
        readahead::raise(path);
        Ok(Mount {
            path: path.to_owned(),
            serving,
            times,
            gate,
            waiters,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Requests that wait for locks.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// What all requests pass.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Lets no request begin any more and waits for those that have. False: some take too long.
    pub fn close(&self) -> bool {
        self.gate.close(STOP_DEADLINE)
    }

    /// Whether serving has ended: somebody else unmounted.
    pub fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }

    /// Writes back the access times that wait.
    pub fn write_back(&self, volume: &Volume) {
        self.times.write_back(volume, true);
    }

    /// What serving gave, once it has ended.
    ///
    /// # Errors
    /// A thread failed or panicked.
    pub fn result(self) -> Result<(), FuseError> {
        let failed = |source| FuseError::Session {
            path: self.path.clone(),
            source,
        };
        match self.serving.join() {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(FuseError::Panicked),
        }
    }

    /// Takes the mount off the tree. Requests that are under way are answered, and pages that programs
    /// changed through mappings are written, as long as the volume is not shut down. If the mount is in
    /// use it is detached: who has files open keeps them until this process ends.
    pub fn take_off(&self) {
        let path = self.path.clone();
        // Only this process can answer what the kernel asks meanwhile, and it may be the cause of a
        // hang; so nothing here is waited for without an end. And another process asks: a thread of
        // this one that is never answered would keep /dev/fuse open, and with it the request, for ever.
        within(DETACH_DEADLINE, "unmount", move || {
            let mut command = Command::new("sync");
            notify::hide(&mut command).arg("--file-system").arg(&path);
            let synced = command.stdin(Stdio::null()).stderr(Stdio::null()).status();
            if !matches!(synced, Ok(status) if status.success()) {
                tracing::debug!(?synced, "mapped pages may not have been written");
            }
        });
        if let Err(error) = mounts::take_off(&self.path, false) {
            tracing::debug!(%error, path = %self.path.display(), "in use, detaching");
            if let Err(error) = mounts::take_off(&self.path, true) {
                tracing::warn!(%error, path = %self.path.display(), "cannot unmount");
            }
        }
    }
}

/// A mount that is new or a predecessor's.
fn begin(
    adapter: Adapter,
    path: &Path,
    config: &Config,
    succession: Option<&Succession>,
) -> io::Result<Session<Adapter>> {
    let Some(succession) = succession else {
        return Session::new(adapter, path, config);
    };
    if succession.estate().is_some() {
        return succession.take_over(adapter, config);
    }
    let session = Session::new(adapter, path, config)?;
    succession.keep(session.as_fd())?;
    Ok(session)
}

/// Waits until the kernel lets go of the session.
fn serve(session: BackgroundSession, ended: &Shutdown) -> io::Result<()> {
    let result = session.join();
    ended.request();
    result
}

/// Writes back access times now and then, as long as the mount lives.
fn keep_access_times(times: &Arc<AccessTimes>, volume: &Arc<Volume>) -> io::Result<()> {
    let (times, volume) = (Arc::downgrade(times), Arc::clone(volume));
    std::thread::Builder::new()
        .name("access-times".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(ACCESS_TIME_TICK);
                match times.upgrade() {
                    Some(times) => times.write_back(&volume, false),
                    None => return,
                }
            }
        })?;
    Ok(())
}

/// How many threads answer requests.
pub fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    THREADS_MIN.max(THREADS_PER_CORE * cores)
}

/// How the FUSE library is told to serve: options, threads, and one descriptor for all of them (see
/// [`crate::succession`]).
pub fn library_config(options: &Options) -> Config {
    let mut config = Config::default();
    config.mount_options = options.to_fuser();
    config.acl = options.to_acl();
    config.n_threads = Some(threads());
    config.clone_fd = false;
    config
}

fn check_device() -> Result<(), FuseError> {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(FuseError::DeviceDenied);
        }
        // Absent, or a node without a driver behind it.
        Err(_) => return Err(FuseError::NoDevice),
    }
    match geteuid().is_root() || mounts::has_helper() {
        true => Ok(()),
        false => Err(FuseError::NoHelper),
    }
}

/// Drops what an ordinary user may not have, with one line that says so.
fn as_permitted(mut options: Options) -> Result<Options, FuseError> {
    if geteuid().is_root() || options.access == Access::Owner {
        return Ok(options);
    }
    let text = std::fs::read_to_string(HELPER_CONFIG).unwrap_or_default();
    if !text.lines().any(|line| line.trim() == HELPER_ALLOWS) {
        tracing::warn!(
            "other users cannot enter the mount: {HELPER_CONFIG} has no line `{HELPER_ALLOWS}`"
        );
        options.access = Access::Owner;
    }
    Ok(options)
}
