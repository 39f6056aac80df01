//! One daemon for one directory: an advisory lock on a file that names its holder.
//!
//! The kernel drops the lock with the process, however it ends, so there are no stale locks; the pid in
//! the file is for messages only.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How long a holder that was killed may take until the kernel has dropped its lock.
const DYING_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks at it.
const DYING_PAUSE: Duration = Duration::from_millis(5);

/// Held as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is in use by process {holder}; stop it, or choose another --data-dir", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Its pid, or `unknown`.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock at `path` or fails at once. Creates the file and its directory if need be.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that has it.
    pub fn acquire(path: &Path) -> Result<Lock, LockError> {
        let failed = |source: io::Error| LockError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        let start = Instant::now();
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut locked) => {
                    name_holder(&mut locked).map_err(failed)?;
                    return Ok(Lock { _file: locked });
                }
                Err((held, Errno::EWOULDBLOCK)) => {
                    let pid = holder(&held).map_err(failed)?;
                    if !pid.is_some_and(has_ended) || start.elapsed() > DYING_MAX {
                        return Err(LockError::Held {
                            path: path.to_owned(),
                            holder: pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
                        });
                    }
                    file = held;
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
            std::thread::sleep(DYING_PAUSE);
        }
    }
}

/// Whether the process was ended: the kernel may still be taking it apart, its locks last.
fn has_ended(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the name, which may hold anything but is closed by the last parenthesis.
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

fn name_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(mut file: &File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_holder_learns_who_the_first_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("meta/lock");
        let first = Lock::acquire(&path).expect("the lock");
        let message = Lock::acquire(&path).expect_err("held").to_string();
        let start = format!(
            "{} is in use by process {}",
            path.display(),
            std::process::id()
        );
        assert!(message.starts_with(&start), "{message}");
        drop(first);
        Lock::acquire(&path).expect("the lock again");
    }
}
