//! Signals as readable descriptors.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// The signals that matter to a supervisor: stop (SIGINT, SIGTERM, and SIGHUP of a terminal that was
/// closed), and the death of a child.
#[derive(Debug)]
pub(super) struct Signals {
    stop: UnixStream,
    child: UnixStream,
}

impl Signals {
    pub(super) fn install() -> io::Result<Signals> {
        Ok(Signals {
            stop: pipe(&[SIGINT, SIGTERM, SIGHUP])?,
            child: pipe(&[SIGCHLD])?,
        })
    }

    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.stop.as_fd(), self.child.as_fd()]
    }

    /// How many requests to stop have come since the last time. Forgets deaths: children are asked.
    pub(super) fn take(&self) -> usize {
        drain(&self.child);
        drain(&self.stop)
    }
}

fn pipe(signals: &[i32]) -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    for signal in signals {
        signal_hook::low_level::pipe::register(*signal, writer.try_clone()?)?;
    }
    reader.set_nonblocking(true)?;
    Ok(reader)
}

fn drain(mut stream: &UnixStream) -> usize {
    let mut room = [0; 64];
    let mut total = 0;
    // Ends with WouldBlock; the writing end lives as long as the process.
    while let Ok(count @ 1..) = stream.read(&mut room) {
        total += count;
    }
    total
}
