//! Descriptors that outlive the process that uses them: its supervisor keeps them for the next one.
//!
//! What is to be kept is sent as sd_notify(3) has it for systemd's descriptor store: `FDSTORE=1` and
//! `FDNAME=...` with the descriptor beside them. The next process finds all of them by the numbers in
//! [`KEPT_VARIABLE`]; the variable alone says that somebody keeps. (`LISTEN_FDS` would want fixed numbers
//! and the number of a process that does not exist yet.)

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

use crate::socket;

/// The environment variable that names what is kept: `NAME=NUMBER`, separated by commas.
pub const KEPT_VARIABLE: &str = "WOLFDISK_KEPT_FDS";
/// The environment variable with the address of the supervisor's socket.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// Descriptors that one message may carry.
const FDS_MAX: usize = 4;

/// What was kept for this process, by name. `None`: nobody keeps anything. Once for a process, before it
/// starts others.
///
/// # Errors
/// A number that is none, or stands for nothing.
pub fn inherited() -> io::Result<Option<Vec<(String, OwnedFd)>>> {
    let Some(text) = std::env::var_os(KEPT_VARIABLE) else {
        return Ok(None);
    };
    let text = text.to_string_lossy().into_owned();
    let mut kept = Vec::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not a kept descriptor");
        let (name, number) = item.split_once('=').ok_or_else(invalid)?;
        let number: RawFd = number.parse().map_err(|_| invalid())?;
        kept.push((name.to_owned(), socket::own_inherited(number)?));
    }
    Ok(Some(kept))
}

/// The text of [`KEPT_VARIABLE`].
pub fn announced<'a>(kept: impl Iterator<Item = (&'a str, BorrowedFd<'a>)>) -> String {
    let items = kept.map(|(name, fd)| format!("{name}={}", fd.as_raw_fd()));
    items.collect::<Vec<_>>().join(",")
}

/// Has `fd` kept under `name`, in the place of one that has it.
///
/// # Errors
/// What the system says.
pub fn keep(name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no supervisor's socket");
    let path = std::env::var_os(SOCKET_VARIABLE).ok_or_else(missing)?;
    let address = UnixAddr::new(std::path::Path::new(&path))?;
    let socket = UnixDatagram::unbound()?;
    let text = format!("FDSTORE=1\nFDNAME={name}");
    let fds = [fd.as_raw_fd()];
    sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(text.as_bytes())],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::MSG_NOSIGNAL,
        Some(&address),
    )?;
    Ok(())
}

/// The next message and the descriptors that came with it.
///
/// # Errors
/// What the system says; `WouldBlock` if there is none on a socket that does not block.
pub fn receive(socket: &UnixDatagram, room: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; FDS_MAX]);
    let mut parts = [IoSliceMut::new(room)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let mut fds = Vec::new();
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = item {
            fds.extend(raw.into_iter().map(socket::own_received));
        }
    }
    Ok((message.bytes, fds))
}
