//! The daemons of a node that does not run, started on its locked data for one check.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::config::Config;
use wolfdisk_common::lock::{Lock, LockError};
use wolfdisk_proto::v1::CheckFinding;
use wolfdisk_proto::v1::check_finding::Severity;

use super::report::Report;
use crate::command::node::own_folder;
use crate::error::CtlError;
use crate::supervisor::{Daemon, Outcome, Supervisor, SupervisorError};

/// See the module.
pub(super) struct Inspected {
    supervisor: Supervisor,
    sockets: Sockets,
    index: bool,
    chunks: bool,
    _lock: Lock,
}

/// A directory of our own, removed with this value.
struct Sockets(PathBuf);

impl Drop for Sockets {
    fn drop(&mut self) {
        // Sockets and logs that stay behind in the system's temporary directory do no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Inspected {
    /// Locks the data and starts the daemons. One that cannot open its data is a finding.
    pub(super) fn start(
        config: &Config,
        repair: bool,
        report: &mut Report,
    ) -> anyhow::Result<Inspected> {
        let paths = config.paths();
        let lock = match Lock::acquire(&paths.supervisor_lock()) {
            Err(LockError::Held { .. }) => {
                return Err(CtlError::Running(paths.data_dir().to_owned()).into());
            }
            other => other?,
        };
        let sockets = Sockets(private_directory()?);
        let mut inspected = Inspected {
            supervisor: Supervisor::new(&sockets.0)?,
            sockets,
            index: false,
            chunks: false,
            _lock: lock,
        };
        inspected.chunks = inspected.open("wolfdisk-chunkd", config, repair, report)?;
        inspected.index = inspected.open("wolfdisk-meta", config, repair, report)?;
        Ok(inspected)
    }

    fn open(
        &mut self,
        name: &'static str,
        config: &Config,
        repair: bool,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
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
            log: Some(log.clone()),
        };
        match self.supervisor.start(daemon) {
            Ok(Outcome::Ready) => Ok(true),
            Ok(Outcome::Stop | Outcome::Ended) => Err(CtlError::CheckStopped.into()),
            Err(SupervisorError::Start { .. } | SupervisorError::Crashed { .. }) => {
                self.supervisor.forget_last();
                report.add(unopened(name, &last_line(&log)));
                Ok(false)
            }
            Err(other) => Err(other.into()),
        }
    }

    pub(super) fn sockets(&self) -> &Path {
        &self.sockets.0
    }

    pub(super) fn has_index(&self) -> bool {
        self.index
    }

    pub(super) fn has_chunks(&self) -> bool {
        self.chunks
    }

    /// Waits a moment; an error if somebody wants the whole to stop, or a daemon has ended.
    pub(super) fn pause(&mut self, pause: Duration) -> anyhow::Result<()> {
        match self.supervisor.pause(pause)? {
            true => Err(CtlError::CheckStopped.into()),
            false => Ok(()),
        }
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

fn unopened(name: &str, why: &str) -> CheckFinding {
    let (what, advice) = match name {
        "wolfdisk-meta" => (
            "the index cannot be opened",
            "restore the file that is named from a backup, with all of its directory",
        ),
        _ => (
            "the chunk store cannot be opened",
            "restore the file that is named from a backup",
        ),
    };
    CheckFinding {
        severity: Severity::Lost.into(),
        what: format!("{what}: {why}"),
        path: Bytes::new(),
        ranges: Vec::new(),
        advice: advice.to_owned(),
        chunk: Bytes::new(),
    }
}
