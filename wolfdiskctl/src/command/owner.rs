//! A data directory of somebody else than root: what root makes in it becomes the owner's, and root runs no daemons on it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use wolfdisk_common::paths::Paths;

use crate::error::CtlError;

/// Gives what commands write to whom the data directory is: daemons that run as another user than root read it.
///
/// # Errors
/// What the system says.
pub(super) fn give(paths: &Paths) -> Result<(), CtlError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let failed = |path| {
        move |source| CtlError::Io {
            verb: "give to its owner",
            path,
            source,
        }
    };
    let dir = paths.data_dir();
    let owner = std::fs::metadata(dir).map_err(failed(dir.to_owned()))?;
    let written = [
        paths.supervisor_lock(),
        paths.format(),
        paths.identity(),
        paths.cluster_key(),
        paths.node_key(),
        paths.member(),
        paths.seen_nodes(),
        paths.access_key(),
    ];
    for path in written {
        match give_one(&path, owner.uid(), owner.gid()) {
            // Nothing is there, or a link: that was not made by us.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP)) => {}
            given => given.map_err(failed(path))?,
        }
    }
    Ok(())
}

/// The user and the group of the data directory, if we are root and it is somebody else's: what is made in there is made as them.
///
/// # Errors
/// What the system says.
pub(super) fn to_become(paths: &Paths) -> Result<Option<(u32, u32)>, CtlError> {
    let dir = paths.data_dir();
    let owner = std::fs::metadata(dir).map_err(|source| CtlError::Io {
        verb: "look at",
        path: dir.to_owned(),
        source,
    })?;
    let others = nix::unistd::geteuid().is_root() && owner.uid() != 0;
    Ok(others.then(|| (owner.uid(), owner.gid())))
}

/// Refuses to run daemons as root on what is somebody else's: what they wrote the owner's daemons could not read.
///
/// # Errors
/// It is; or what the system says.
pub(super) fn may_run(paths: &Paths) -> Result<(), CtlError> {
    match to_become(paths)? {
        None => Ok(()),
        Some((user, _)) => Err(CtlError::OthersData {
            dir: paths.data_dir().to_owned(),
            user,
        }),
    }
}

/// Looks at a file and gives it away by one descriptor: whom the directory belongs to could put another in its place.
fn give_one(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let mut open = OpenOptions::new();
    open.read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = open.open(path)?;
    let found = file.metadata()?;
    // What has another name elsewhere was not made by us.
    if found.is_file() && found.uid() == 0 && uid != 0 && found.nlink() == 1 {
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(())
}
