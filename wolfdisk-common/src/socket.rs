//! Unix sockets at paths of any length, and descriptors that arrive over them or with the process.
//!
//! A socket address holds 107 bytes of path. A longer path is reached as `/proc/self/fd/N/NAME`, with
//! N an open descriptor of its directory: the kernel resolves that like the directory itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
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
/// Call it with nothing else.
pub fn own_received(raw: i32) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel installed `raw` for this process with this very message, nobody else knows
    // the number, and each one is passed here exactly once by whoever receives (wolfdisk-proto, kept.rs).
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Takes ownership of a descriptor that this process was started with, as its environment says. No child
/// of this process will have it.
///
/// # Errors
/// There is no such descriptor.
pub(crate) fn own_inherited(raw: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the call touches no memory, and fails for a number that is no descriptor.
    let set = unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as was just seen, and was made for this process by the one that started it;
    // the number is read once, when the process starts.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Lets the number of `target` stand for what `source` is; what it was is closed.
///
/// # Errors
/// What the system says.
pub fn replace(target: BorrowedFd<'_>, source: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open as long as they are borrowed, and whoever owns `target` goes on owning the
    // number. Nothing in memory changes.
    let number = unsafe { libc::dup3(source.as_raw_fd(), target.as_raw_fd(), libc::O_CLOEXEC) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
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
