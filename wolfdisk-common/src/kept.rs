//! Descriptors that outlive the process that uses them: its supervisor keeps them for the next one.
//!
//! What is to be kept is sent as sd_notify(3) has it for systemd's descriptor store: `FDSTORE=1` and
//! `FDNAME=...` with the descriptor beside them. The next process finds all of them by the numbers in
//! [`KEPT_VARIABLE`]; the variable alone says that somebody keeps. (`LISTEN_FDS` would want fixed numbers
//! and the number of a process that does not exist yet.) systemd says that it keeps by `FDSTORE`, and hands on
//! what it kept as sd_listen_fds(3) has it.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};

use crate::{notify, socket};

/// The environment variable that names what is kept: `NAME=NUMBER`, separated by commas.
pub const KEPT_VARIABLE: &str = "WOLFDISK_KEPT_FDS";
/// The environment variable by which systemd says that it keeps descriptors.
const STORE_VARIABLE: &str = "FDSTORE";
/// The number of the first descriptor that systemd hands on.
const LISTEN_FIRST: RawFd = 3;
/// Descriptors that one message may carry.
const FDS_MAX: usize = 4;

/// What was kept for this process, by name. `None`: nobody keeps anything. Once for a process, before it
/// starts others.
///
/// # Errors
/// A number that is none, or stands for nothing.
pub fn inherited() -> io::Result<Option<Vec<(String, OwnedFd)>>> {
    let said = |name| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    let numbers = match (said(KEPT_VARIABLE), said(STORE_VARIABLE)) {
        (Some(text), _) => announced_numbers(&text)?,
        (None, Some(_)) if said("LISTEN_PID") == Some(std::process::id().to_string()) => {
            let names = said("LISTEN_FDNAMES").unwrap_or_default();
            listened_numbers(&said("LISTEN_FDS").unwrap_or_default(), &names)?
        }
        (None, Some(_)) => Vec::new(),
        (None, None) => return Ok(None),
    };
    let owned = numbers
        .into_iter()
        .map(|(name, number)| Ok((name, socket::own_inherited(number)?)));
    owned.collect::<io::Result<_>>().map(Some)
}

/// What the text of [`KEPT_VARIABLE`] says.
fn announced_numbers(text: &str) -> io::Result<Vec<(String, RawFd)>> {
    let items = text.split(',').filter(|item| !item.is_empty());
    let numbers = items.map(|item| {
        let (name, number) = item.split_once('=').ok_or_else(invalid)?;
        let number = number.parse().map_err(|_| invalid())?;
        Ok((name.to_owned(), number))
    });
    numbers.collect()
}

/// What systemd says: how many there are, and their names, separated by colons.
fn listened_numbers(count: &str, names: &str) -> io::Result<Vec<(String, RawFd)>> {
    let count: usize = count.parse().map_err(|_| invalid())?;
    let names: Vec<&str> = names.split(':').collect();
    if names.len() != count {
        return Err(invalid());
    }
    let named = names.into_iter().map(str::to_owned);
    Ok(named.zip(LISTEN_FIRST..).collect())
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a kept descriptor")
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
    // systemd would keep both.
    notify::send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])?;
    notify::send(&format!("FDSTORE=1\nFDNAME={name}"), &[fd])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_hand_on_are_understood() {
        let both = vec![("device".to_owned(), 3), ("ledger".to_owned(), 4)];
        assert_eq!(
            announced_numbers("device=3,ledger=4").expect("numbers"),
            both
        );
        assert_eq!(
            listened_numbers("2", "device:ledger").expect("numbers"),
            both
        );
        assert_eq!(announced_numbers("").expect("none"), []);
        assert!(announced_numbers("device").is_err());
        assert!(listened_numbers("2", "device").is_err());
        assert!(listened_numbers("x", "").is_err());
    }
}
