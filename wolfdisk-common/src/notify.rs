//! What a daemon tells whoever started it, by the protocol of sd_notify(3): systemd, or our own
//! supervisor, which speaks it too. Without `NOTIFY_SOCKET` nobody listens and nothing is said.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::time::{ClockId, clock_gettime};

use crate::limits::{START_STEP_DEADLINE, STATUS_MAX_BYTES};

/// The environment variable with the address of whoever listens.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How often it wants a sign of life, in microseconds, and of which process.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
const WATCHED_VARIABLE: &str = "WATCHDOG_PID";
/// What else systemd says to the process that it starts, and to no other.
const FOR_THIS_PROCESS: [&str; 7] = [
    SOCKET_VARIABLE,
    WATCHDOG_VARIABLE,
    WATCHED_VARIABLE,
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "FDSTORE",
];

/// The start is over, as has been told.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// The daemon answers calls (the mount is usable).
pub fn ready() {
    IS_READY.store(true, Ordering::Release);
    tell("READY=1");
}

/// A step of the start, for people. Whoever waits for [`ready`] waits for as long again as one may take.
pub fn starting(step: &str) {
    tell(&step_text(step));
}

/// The configuration is read anew by `work`. Before [`ready`] that is part of the start, of which nothing is told.
pub(crate) fn reloading(work: impl FnOnce()) {
    let is_ready = IS_READY.load(Ordering::Acquire);
    if is_ready {
        tell(&reload_text());
    }
    work();
    if is_ready {
        tell("READY=1");
    }
}

/// The daemon is ending, in order. Signs of life end with that: the end has a deadline of its own.
pub fn stopping() {
    tell("STOPPING=1\nWATCHDOG_USEC=0\nSTATUS=stopping");
}

/// The daemon works, which only its own loop may say; and what it does, where that has changed.
pub(crate) fn alive(doing: Option<&str>) {
    tell(&alive_text(doing));
}

/// What it does, for people.
pub(crate) fn doing(text: &str) {
    tell(&status_text(text));
}

/// How often whoever started this process wants to hear that it works. `None`: never.
pub(crate) fn watched_every() -> Option<Duration> {
    let said = |name| std::env::var(name).ok();
    watched(
        said(WATCHDOG_VARIABLE).as_deref(),
        said(WATCHED_VARIABLE).as_deref(),
    )
}

/// Whether somebody listens.
pub(crate) fn is_heard() -> bool {
    std::env::var_os(SOCKET_VARIABLE).is_some()
}

/// Takes from a program that is to be started what is meant for this process alone.
pub fn hide(command: &mut Command) -> &mut Command {
    for name in FOR_THIS_PROCESS {
        command.env_remove(name);
    }
    command
}

/// Sends a message, and descriptors with it.
///
/// # Errors
/// Nobody listens (`NotFound`), or what the system says.
pub(crate) fn send(text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no supervisor's socket");
    let name = std::env::var_os(SOCKET_VARIABLE).ok_or_else(missing)?;
    send_to(&address(&name)?, text, fds)
}

fn send_to(address: &UnixAddr, text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let numbers: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let control = (!numbers.is_empty()).then_some(ControlMessage::ScmRights(&numbers));
    sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(text.as_bytes())],
        control.as_slice(),
        MsgFlags::MSG_NOSIGNAL,
        Some(address),
    )?;
    Ok(())
}

/// A path, or after an `@` a name without a file.
fn address(name: &OsStr) -> io::Result<UnixAddr> {
    Ok(match name.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(Path::new(name))?,
    })
}

fn tell(text: &str) {
    match send(text, &[]) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // It may be gone, which is why this process is ending; nothing follows from its not hearing.
            tracing::debug!(%error, "cannot tell the service manager");
        }
        _ => {}
    }
}

fn step_text(step: &str) -> String {
    let micros = START_STEP_DEADLINE.as_micros();
    format!("EXTEND_TIMEOUT_USEC={micros}\n{}", status_text(step))
}

fn reload_text() -> String {
    // systemd 253 and later take the end of a reload for that of this one by the time.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    match now {
        Ok(now) => format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()),
        Err(_) => "RELOADING=1".to_owned(),
    }
}

fn alive_text(doing: Option<&str>) -> String {
    match doing {
        Some(text) => format!("WATCHDOG=1\n{}", status_text(text)),
        None => "WATCHDOG=1".to_owned(),
    }
}

/// One line, and not a long one: a line break would begin another message.
fn status_text(text: &str) -> String {
    let end = text.floor_char_boundary(STATUS_MAX_BYTES);
    let text = text.get(..end).unwrap_or_default();
    format!("STATUS={}", text.replace(char::is_control, " "))
}

fn watched(micros: Option<&str>, process: Option<&str>) -> Option<Duration> {
    let micros: u64 = micros?.parse().ok()?;
    let is_ours = process.is_none_or(|pid| pid == std::process::id().to_string());
    (is_ours && micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    use super::*;
    use crate::kept;

    fn heard(socket: &UnixDatagram) -> (String, usize) {
        let mut room = [0; 4096];
        let (count, fds) = kept::receive(socket, &mut room).expect("a message");
        let text = String::from_utf8_lossy(&room[..count]).into_owned();
        (text, fds.len())
    }

    #[test]
    fn a_path_and_a_name_without_a_file_are_reached() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let there = address(path.as_os_str()).expect("an address");
        send_to(&there, "READY=1", &[]).expect("sent");
        assert_eq!(heard(&socket), ("READY=1".to_owned(), 0));
        send_to(&there, "FDSTORE=1", &[socket.as_fd()]).expect("sent");
        assert_eq!(heard(&socket), ("FDSTORE=1".to_owned(), 1));

        let name = format!("wolfdisk-notify-{}", std::process::id());
        let bound = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&bound).expect("bound");
        let there = address(OsStr::new(&format!("@{name}"))).expect("an address");
        send_to(&there, "STOPPING=1", &[]).expect("sent");
        assert_eq!(heard(&socket), ("STOPPING=1".to_owned(), 0));
    }

    #[test]
    fn messages_are_as_the_manual_has_them() {
        assert_eq!(
            step_text("opening"),
            "EXTEND_TIMEOUT_USEC=300000000\nSTATUS=opening"
        );
        assert_eq!(alive_text(None), "WATCHDOG=1");
        assert_eq!(alive_text(Some("a\nb")), "WATCHDOG=1\nSTATUS=a b");
        let text = reload_text();
        let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(
            micros.is_some_and(|micros| micros.parse::<u64>().is_ok()),
            "{text}"
        );
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let text = status_text(&"\u{20ac}".repeat(STATUS_MAX_BYTES));
        assert!(text.len() <= "STATUS=".len() + STATUS_MAX_BYTES);
        assert!(text.ends_with('\u{20ac}'));
    }

    #[test]
    fn only_the_process_that_is_meant_is_watched() {
        let own = std::process::id().to_string();
        let second = Some(Duration::from_secs(1));
        assert_eq!(watched(Some("1000000"), Some(&own)), second);
        assert_eq!(watched(Some("1000000"), None), second);
        assert_eq!(watched(Some("1000000"), Some("1")), None);
        assert_eq!(watched(Some("0"), None), None);
        assert_eq!(watched(Some("soon"), None), None);
        assert_eq!(watched(None, None), None);
    }

    #[test]
    fn what_is_started_is_told_nothing_of_it() {
        let mut command = Command::new("true");
        hide(&mut command);
        let hidden: Vec<_> = command.get_envs().collect();
        assert!(hidden.contains(&(OsStr::new("NOTIFY_SOCKET"), None)));
        assert!(hidden.contains(&(OsStr::new("WATCHDOG_PID"), None)));
    }
}
