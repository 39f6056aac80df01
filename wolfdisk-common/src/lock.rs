//! One daemon for one directory: an advisory lock on a file that names its holder.
//!
//! The kernel drops the lock with the process, however it ends, so there are no stale locks; the pid in
//! the file is for messages only.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

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
        let file = options.open(path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut locked) => {
                name_holder(&mut locked).map_err(failed)?;
                Ok(Lock { _file: locked })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(LockError::Held {
                path: path.to_owned(),
                holder: holder(file),
            }),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

fn name_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(mut file: File) -> String {
    let mut text = String::new();
    let known = file
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| text.trim().parse::<u32>().ok());
    known.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string())
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
