//! `unmount`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wolfdisk_common::exit::Exit;
use wolfdisk_common::mounts;
use wolfdisk_common::paths::absolute;

use crate::cli;
use crate::error::CtlError;
use crate::users;

/// How long the process behind a mount may write back after it was taken off.
const WRITE_BACK_DEADLINE: Duration = Duration::from_secs(90);
/// Between two looks at it: there is nothing to wait on for a process that is not our child.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn run(options: &cli::Unmount) -> anyhow::Result<Exit> {
    let path = mount_point(&options.mount)?;
    let server = users::server_of(&path);
    if let Err(source) = mounts::take_off(&path, options.lazy) {
        return Err(match source.kind() {
            io::ErrorKind::ResourceBusy => {
                let users = users::listed(&users::users_of(&path));
                CtlError::Busy { path, users }
            }
            _ => CtlError::Unmount { path, source },
        }
        .into());
    }
    // When this returns, what was written is with the daemons. A lazy unmount may take for ever.
    if let Some(server) = server.filter(|_| !options.lazy) {
        wait_for_end(&path, server.pid)?;
    }
    Ok(Exit::Ok)
}

/// The mount of ours that the path names. Its parent is looked at, the mount itself is not: it may be
/// dead.
pub(super) fn mount_point(path: &Path) -> Result<PathBuf, CtlError> {
    let path = absolute(path);
    let canonical = match (path.parent().map(std::fs::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.clone(),
    };
    let failed = |source| CtlError::Io {
        verb: "read",
        path: "/proc/self/mountinfo".into(),
        source,
    };
    let ours = mounts::ours().map_err(failed)?;
    let found = ours
        .into_iter()
        .find(|mount| *mount == canonical || *mount == path);
    found.ok_or(CtlError::NotMounted(path))
}

fn wait_for_end(path: &Path, pid: u32) -> Result<(), CtlError> {
    let deadline = Instant::now() + WRITE_BACK_DEADLINE;
    while users::is_alive(pid) {
        if Instant::now() > deadline {
            return Err(CtlError::StillWriting {
                path: path.to_owned(),
                pid,
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
