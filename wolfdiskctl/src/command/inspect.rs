//! Daemons of a node that does not run, started on its locked data for one command, and changing nothing of it unless they
//! are to repair. For root they run as whom the data belongs to: what they make there the node has to read.

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wolfdisk_common::config::Config;
use wolfdisk_common::lock::{Lock, LockError};
use wolfdisk_common::paths::Paths;

use super::node::own_folder;
use super::owner;
use crate::error::CtlError;
use crate::supervisor::{Daemon, Outcome, Supervisor, SupervisorError};

/// See the module.
pub(super) struct Inspected {
    supervisor: Supervisor,
    sockets: Sockets,
    /// Whom the data belongs to, if that is not who we are.
    user: Option<(u32, u32)>,
    _lock: Lock,
}

/// What became of a daemon that was started.
pub(super) enum Opened {
    /// It answers.
    Ready,
    /// It cannot open its data; this is what it said last.
    Refused(String),
    /// Somebody wants the whole to stop.
    Stop,
}

/// A directory of our own, removed with this value.
struct Sockets(PathBuf);

impl Drop for Sockets {
    fn drop(&mut self) {
        // Sockets and logs that stay behind in the system's temporary directory do no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Locks the data of a node that does not run.
///
/// # Errors
/// `running`: it does.
pub(super) fn lock(paths: &Paths, running: CtlError) -> anyhow::Result<Lock> {
    match Lock::acquire(&paths.supervisor_lock()) {
        Err(LockError::Held { .. }) => Err(running.into()),
        other => {
            let lock = other?;
            owner::give(paths)?;
            Ok(lock)
        }
    }
}

impl Inspected {
    /// Takes the signals of this process over, and makes a place for sockets.
    pub(super) fn new(paths: &Paths, lock: Lock) -> anyhow::Result<Inspected> {
        let user = owner::to_become(paths)?;
        let sockets = Sockets(private_directory()?);
        if let Some((uid, gid)) = user {
            chown(&sockets.0, Some(uid), Some(gid)).map_err(|source| CtlError::Io {
                verb: "give away",
                path: sockets.0.clone(),
                source,
            })?;
        }
        Ok(Inspected {
            user,
            supervisor: Supervisor::new(&sockets.0)?,
            sockets,
            _lock: lock,
        })
    }

    /// Starts a daemon.
    pub(super) fn open(
        &mut self,
        name: &'static str,
        config: &Config,
        repair: bool,
    ) -> anyhow::Result<Opened> {
        let log = self.sockets.0.join(format!("{name}.log"));
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(file) = &config.file {
            arguments.extend(["--config".into(), file.clone().into()]);
        }
        arguments.extend(["--data-dir".into(), config.node.data_dir.clone().into()]);
        arguments.extend(["--inspect".into(), self.sockets.0.clone().into()]);
        if repair {
            arguments.push("--repair".into());
        }
        let daemon = Daemon {
            name,
            program: own_folder()?.join(name),
            arguments,
            may_end: false,
            mount: None,
            user: self.user,
            log: Some(log.clone()),
        };
        match self.supervisor.start(daemon) {
            Ok(Outcome::Ready) => Ok(Opened::Ready),
            Ok(Outcome::Stop | Outcome::Ended) => Ok(Opened::Stop),
            Err(SupervisorError::Start { .. } | SupervisorError::Crashed { .. }) => {
                self.supervisor.forget_last();
                Ok(Opened::Refused(last_line(&log)))
            }
            Err(other) => Err(other.into()),
        }
    }

    pub(super) fn sockets(&self) -> &Path {
        &self.sockets.0
    }

    /// Waits a moment; true if somebody wants the whole to stop.
    ///
    /// # Errors
    /// A daemon has ended.
    pub(super) fn pause(&mut self, pause: Duration) -> Result<bool, SupervisorError> {
        self.supervisor.pause(pause)
    }

    /// Stops the daemons in order.
    pub(super) fn stop(&mut self) -> Result<(), SupervisorError> {
        self.supervisor.stop()
    }
}

fn private_directory() -> Result<PathBuf, CtlError> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!("wolfdisk-check-{}-{}", std::process::id(), now.as_nanos());
    let path = std::env::temp_dir().join(name);
    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|source| CtlError::Create {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

/// What a daemon said last: why it ended.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("it did not say why").to_owned()
}
