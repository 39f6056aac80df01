//! Files that root made in a data directory of somebody else become the owner's.

use std::os::unix::fs::{MetadataExt, lchown};

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
        match std::fs::symlink_metadata(&path) {
            // What has another name elsewhere was not made by us.
            Ok(file) if file.uid() == 0 && owner.uid() != 0 && file.nlink() == 1 => {
                lchown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed(path))?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path)(error)),
        }
    }
    Ok(())
}
