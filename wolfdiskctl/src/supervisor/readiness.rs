//! The socket on which one daemon says that it is ready, by the protocol of sd_notify(3).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use wolfdisk_common::kept;
use wolfdisk_common::socket::PATH_MAX_BYTES;

use crate::users;

/// Longest message that is read; what daemons say is far shorter.
const MESSAGE_MAX_BYTES: usize = 4096;
/// Room for the name of a socket in its directory.
const NAME_MAX_BYTES: usize = 32;

/// What a daemon said.
#[derive(Debug)]
pub(super) enum Word {
    Ready,
    Status(String),
    /// It is to be kept under this name for the next run of the daemon.
    Keep(String, OwnedFd),
}

/// A socket at a path of its own, removed with this value.
#[derive(Debug)]
pub(super) struct Readiness {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Readiness {
    /// Listens for the daemon `name`, which may run as another user, in `directory`.
    pub(super) fn new(
        directory: &NotifyDir,
        name: &str,
        user: Option<(u32, u32)>,
    ) -> io::Result<Readiness> {
        let path = directory
            .path
            .join(format!("{name}.{}", std::process::id()));
        remove(&path)?;
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        if let Some((uid, gid)) = user {
            chown(&path, Some(uid), Some(gid))?;
            if directory.temporary {
                chown(&directory.path, Some(uid), Some(gid))?;
            }
        }
        Ok(Readiness { socket, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What has been said since the last time.
    pub(super) fn words(&self) -> Vec<Word> {
        let mut words = Vec::new();
        let mut room = [0; MESSAGE_MAX_BYTES];
        // Ends with WouldBlock; another error would come again and be no better.
        while let Ok((count, mut fds)) = kept::receive(&self.socket, &mut room) {
            let text = String::from_utf8_lossy(room.get(..count).unwrap_or_default()).into_owned();
            words.extend(text.lines().filter_map(|line| match line.split_once('=')? {
                ("READY", "1") => Some(Word::Ready),
                ("STATUS", text) => Some(Word::Status(text.to_owned())),
                ("FDNAME", name) => Some(Word::Keep(name.to_owned(), fds.pop()?)),
                _ => None,
            }));
        }
        words
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // A leftover is removed at the next start.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the sockets are: the node's own run directory, or one of our own if its path is too long for a
/// socket address.
#[derive(Debug)]
pub(super) struct NotifyDir {
    path: PathBuf,
    temporary: bool,
}

impl NotifyDir {
    pub(super) fn new(run_dir: &Path) -> io::Result<NotifyDir> {
        if run_dir.as_os_str().len() + NAME_MAX_BYTES <= PATH_MAX_BYTES {
            remove_left_behind(run_dir);
            return Ok(NotifyDir {
                path: run_dir.to_owned(),
                temporary: false,
            });
        }
        let path = Path::new("/tmp").join(format!("wolfdisk-{}", unused_name()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(NotifyDir {
            path,
            temporary: true,
        })
    }
}

impl Drop for NotifyDir {
    fn drop(&mut self) {
        if self.temporary {
            // An empty directory that stays behind does no harm.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Removes the sockets of supervisors that were killed: their names end with a pid that is no more.
fn remove_left_behind(run_dir: &Path) {
    // Only tidiness: what cannot be read or removed does no harm.
    for entry in std::fs::read_dir(run_dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path
            .extension()
            .and_then(|end| end.to_str()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !users::is_alive(pid)) {
            let _ = remove(&path);
        }
    }
}

/// A name that no other process uses; creating the directory fails if one does.
fn unused_name() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_nanos())
}
