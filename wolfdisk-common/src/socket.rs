//! Unix sockets at paths of any length, and descriptors that arrive over them.
//!
//! A socket address holds 107 bytes of path. A longer path is reached as `/proc/self/fd/N/NAME`, with
//! N an open descriptor of its directory: the kernel resolves that like the directory itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Bytes of path that a socket address holds (`sun_path` less its NUL).
pub const PATH_MAX_BYTES: usize = 107;

/// Connects to the socket at `path`.
///
/// # Errors
/// What the system says.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (short, _directory) = reachable(path)?;
    UnixStream::connect(short)
}

/// Listens at `path`, which must not exist.
///
/// # Errors
/// What the system says.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (short, _directory) = reachable(path)?;
    UnixListener::bind(short)
}

fn reachable(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= PATH_MAX_BYTES {
        return Ok((path.to_owned(), None));
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a socket path without a name");
    let (parent, name) = (
        path.parent().ok_or_else(invalid)?,
        path.file_name().ok_or_else(invalid)?,
    );
    let directory = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((short, Some(directory)))
}

/// Takes ownership of a descriptor that `recvmsg` has just returned.
///
/// The one place where a number becomes a descriptor; call it with nothing else.
pub fn own_received(raw: i32) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel installed `raw` for this process with this very message, nobody else knows
    // the number, and each one is passed here exactly once by the receive loop in wolfdisk-proto.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_two_hundred_characters_works() {
        let root = tempfile::tempdir().expect("a directory");
        let deep = root.path().join("d".repeat(200));
        std::fs::create_dir(&deep).expect("a directory");
        let path = deep.join("meta.sock");
        let listener = listen(&path).expect("listening");
        let _stream = connect(&path).expect("connected");
        assert!(path.exists());
        drop(listener);
    }
}
