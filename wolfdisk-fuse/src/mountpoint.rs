//! Looks at a mount point before mounting, and removes a dead mount of ours from it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statfs::statfs;
use wolfdisk_common::mounts;
use wolfdisk_common::paths::absolute;

use crate::error::FuseError;
use crate::limits::PROBE_DEADLINE;
use crate::patience::within;

/// How a directory answers.
#[derive(Debug)]
enum Probe {
    /// It does, or it may yet.
    Alive,
    /// Its file system is gone.
    Dead,
}

/// Makes the directory `path` unless there is one, or a dead mount.
///
/// # Errors
/// It cannot be made.
pub fn make(path: &Path) -> Result<(), FuseError> {
    match std::fs::create_dir_all(path) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|source| FuseError::MountPoint {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Checks that something can be mounted at `path` and gives its canonical name. A dead mount of ours is
/// removed first.
///
/// # Errors
/// Says what is wrong with the path and what would be right.
pub fn prepare(path: &Path, data_dir: &Path, nonempty: bool) -> Result<PathBuf, FuseError> {
    let path = canonical(path)?;
    let cannot = |source| FuseError::MountPoint {
        path: path.clone(),
        source,
    };
    while let Some(mount) = mounts::at(&path)
        .map_err(cannot)?
        .filter(|mount| mount.is_ours())
    {
        match probe(&mount.path) {
            Probe::Dead => {
                tracing::info!(path = %path.display(), "removing a dead mount");
                let stale = |source| FuseError::Stale {
                    path: path.clone(),
                    source,
                };
                mounts::take_off(&path, true).map_err(stale)?;
            }
            Probe::Alive => return Err(FuseError::AlreadyMounted(path)),
        }
    }
    let kind = match std::fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FuseError::NoDirectory(path));
        }
        other => other.map_err(cannot)?,
    };
    if !kind.is_dir() {
        return Err(FuseError::NotADirectory(path));
    }
    let data = std::fs::canonicalize(data_dir).unwrap_or_else(|_| absolute(data_dir));
    if data.starts_with(&path) {
        return Err(FuseError::HidesData { mount: path, data });
    }
    if !nonempty && std::fs::read_dir(&path).map_err(cannot)?.next().is_some() {
        return Err(FuseError::NotEmpty(path));
    }
    Ok(path)
}

/// The path without symbolic links. What is mounted there is not asked anything: nobody may answer.
///
/// # Errors
/// Nothing can be mounted there.
pub fn canonical(path: &Path) -> Result<PathBuf, FuseError> {
    let path = absolute(path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path);
    };
    match std::fs::canonicalize(parent) {
        Ok(parent) => {
            let full = parent.join(name);
            match std::fs::read_link(&full) {
                Ok(_) => std::fs::canonicalize(&full).map_err(|_| FuseError::NoDirectory(full)),
                Err(_) => Ok(full),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FuseError::NoDirectory(path)),
        Err(source) => Err(FuseError::MountPoint { path, source }),
    }
}

/// Asks the file system mounted at `path` for its room, which the kernel never answers from its cache.
/// If its process hangs, so does the question: then it counts as alive.
fn probe(path: &Path) -> Probe {
    let path = path.to_owned();
    match within(PROBE_DEADLINE, "probe", move || statfs(&path).map(drop)) {
        Some(Err(Errno::ENOTCONN)) => Probe::Dead,
        Some(_) | None => Probe::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_path_is_said() {
        let root = tempfile::tempdir().expect("a directory");
        let data = root.path().join("data");
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir(&data).expect("a directory");
        std::fs::write(at("file"), b"x").expect("a file");
        let check = |path: PathBuf| prepare(&path, &data, false);
        assert!(matches!(
            check(at("missing")),
            Err(FuseError::NoDirectory(_))
        ));
        assert!(matches!(
            check(at("missing/deeper")),
            Err(FuseError::NoDirectory(_))
        ));
        assert!(matches!(
            check(at("file")),
            Err(FuseError::NotADirectory(_))
        ));
        assert!(matches!(check(at("")), Err(FuseError::HidesData { .. })));
        assert!(matches!(
            check(data.clone()),
            Err(FuseError::HidesData { .. })
        ));
        std::fs::create_dir_all(at("full/x")).expect("a directory");
        assert!(matches!(check(at("full")), Err(FuseError::NotEmpty(_))));
        assert!(prepare(&at("full"), &data, true).is_ok());
    }

    #[test]
    fn a_symbolic_link_is_followed() {
        let root = tempfile::tempdir().expect("a directory");
        let real = root.path().join("real");
        std::fs::create_dir(&real).expect("a directory");
        std::os::unix::fs::symlink(&real, root.path().join("link")).expect("a link");
        let path = prepare(&root.path().join("link/"), Path::new("/nonexistent"), false);
        assert_eq!(path.expect("a path"), real.canonicalize().expect("a path"));
    }
}
