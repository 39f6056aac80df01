//! The pipe whose end tells a daemon that its supervisor, and every daemon that needs it, is gone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::fchown;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::pipe2;

/// Both ends. Close-on-exec, but for the moment of a start: the loop that starts daemons is the only
/// thread, so nothing else can inherit them then.
#[derive(Debug)]
pub(super) struct Lifeline {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Lifeline {
    pub(super) fn new() -> io::Result<Lifeline> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Lifeline { reader, writer })
    }

    /// The number by which the daemon finds its end.
    pub(super) fn number(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// A daemon of another user opens its end anew, which the kernel lets only the pipe's owner do.
    pub(super) fn give(&self, (uid, gid): (u32, u32)) -> io::Result<()> {
        fchown(&self.reader, Some(uid), Some(gid))
    }

    /// Lets the next start inherit the reading end (of its own lifeline).
    pub(super) fn lend_reader(&self) -> io::Result<Lent<'_>> {
        Lent::new(self.reader.as_fd())
    }

    /// Lets the next start inherit the writing end (of the lifeline of a daemon that it needs).
    pub(super) fn lend_writer(&self) -> io::Result<Lent<'_>> {
        Lent::new(self.writer.as_fd())
    }
}

/// A descriptor that is inherited as long as this value lives.
#[derive(Debug)]
pub(super) struct Lent<'a>(BorrowedFd<'a>);

impl<'a> Lent<'a> {
    pub(super) fn new(fd: BorrowedFd<'a>) -> io::Result<Lent<'a>> {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(Lent(fd))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Cannot fail: the descriptor is open as long as it is borrowed.
        let _ = fcntl(self.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}
