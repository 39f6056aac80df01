//! The asking side over Unix sockets: one blocking connection per call in flight.
//!
//! A blocking `sendmsg` and `recvmsg` on the calling thread is the shortest way to the daemon and
//! back: two context switches, no reactor. [`Pool`] keeps idle connections and reconnects, so a
//! daemon's restart is a wait and not an error.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use parking_lot::Mutex;

use crate::call::{Caller, Options};
use crate::failure::Failure;
use crate::framed::{self, HEADER_BYTES, Header};

/// Idle connections a pool keeps.
const IDLE_MAX: usize = 64;
/// First pause before a reconnect; doubled up to [`RECONNECT_PAUSE_MAX`].
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(200);
/// Replies up to this size are received with one system call.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Deadlines are rounded up to a multiple of this, so that the calls of one operation, whose deadlines
/// differ by what the earlier ones took, need not set the socket's timeouts anew.
const TIMEOUT_STEP: Duration = Duration::from_millis(100);

/// How long a thread looks for an answer before it sleeps: three quick calls.
const LOOK: Duration = Duration::from_micros(40);
/// An answer within this was quick, sleep and wake-up included.
const QUICK: Duration = Duration::from_micros(200);

/// One framed connection, used by one call at a time.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    scratch: Vec<u8>,
    control: Vec<u8>,
    timeout: Option<Duration>,
    lost: bool,
    quick: bool,
}

impl Connection {
    /// Connects and exchanges prefaces. A path longer than a socket address holds is reached through
    /// its directory's descriptor.
    ///
    /// # Errors
    /// What the system says, or that the other side is no WolfDisk daemon or of a distant version.
    pub fn open(path: &Path) -> Result<Connection, Failure> {
        let lost = |error: io::Error| Failure::Disconnected(format!("{}: {error}", path.display()));
        let stream = wolfdisk_common::socket::connect(path).map_err(lost)?;
        let mut connection = Connection {
            stream,
            scratch: vec![0; SCRATCH_BYTES],
            control: control_buffer(),
            timeout: None,
            lost: false,
            quick: true,
        };
        connection
            .set_timeout(Duration::from_secs(5))
            .map_err(lost)?;
        framed::check_opening(connection.exchange_prefaces().map_err(lost)?)?;
        Ok(connection)
    }

    fn exchange_prefaces(&mut self) -> io::Result<[u8; 8]> {
        use std::io::{Read, Write};
        self.stream.write_all(&framed::opening())?;
        let mut theirs = [0; 8];
        self.stream.read_exact(&mut theirs)?;
        Ok(theirs)
    }

    fn set_timeout(&mut self, deadline: Duration) -> io::Result<()> {
        let timeout = rounded_up(deadline);
        // Two system calls are saved when the deadline is the usual one.
        if self.timeout != Some(timeout) {
            self.stream.set_read_timeout(Some(timeout))?;
            self.stream.set_write_timeout(Some(timeout))?;
            self.timeout = Some(timeout);
        }
        Ok(())
    }

    /// Sends one frame and receives its reply. A connection that was lost once refuses every further
    /// call: the answer to the one that failed may still be under way.
    fn exchange(&mut self, frame: &[u8], options: &mut Options) -> Result<Bytes, CallError> {
        if self.lost {
            return Err(CallError::broken(
                "an earlier call on this connection failed",
            ));
        }
        let answer = self.exchange_once(frame, options);
        self.lost = matches!(answer, Err(CallError::Lost(_)));
        answer
    }

    fn exchange_once(&mut self, frame: &[u8], options: &mut Options) -> Result<Bytes, CallError> {
        self.set_timeout(options.deadline)
            .map_err(CallError::from_io)?;
        self.send(frame, &options.send)
            .map_err(CallError::from_io)?;
        let mut fds = Vec::new();
        let mut have = self.receive_some(&mut fds).map_err(CallError::from_io)?;
        while have < HEADER_BYTES {
            have += self
                .receive_at(have, &mut fds)
                .map_err(CallError::from_io)?;
        }
        let Some(head) = self.scratch.first_chunk::<HEADER_BYTES>() else {
            return Err(CallError::broken("short scratch"));
        };
        // What follows an impossible header cannot be told apart: the connection is lost with it.
        let header = Header::parse(head).map_err(CallError::Lost)?;
        let total = HEADER_BYTES + header.body;
        let body = if total <= self.scratch.len() {
            while have < total {
                have += self
                    .receive_at(have, &mut fds)
                    .map_err(CallError::from_io)?;
            }
            Bytes::copy_from_slice(self.scratch.get(HEADER_BYTES..total).unwrap_or_default())
        } else {
            let mut body = vec![0; header.body];
            let got = self.scratch.get(HEADER_BYTES..have).unwrap_or_default();
            let (start, rest) = body.split_at_mut(got.len());
            start.copy_from_slice(got);
            io::Read::read_exact(&mut self.stream, rest).map_err(CallError::from_io)?;
            Bytes::from(body)
        };
        if fds.len() != usize::from(header.fds) {
            return Err(CallError::broken("descriptors are missing"));
        }
        options.received = fds;
        match header.number {
            0 => Ok(body),
            code => Err(CallError::Answer(Failure::from_wire(
                code,
                header.argument as i32,
                String::from_utf8_lossy(&body).into_owned(),
            ))),
        }
    }

    fn send(&mut self, frame: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let fd = self.stream.as_raw_fd();
        let slices = [IoSlice::new(frame)];
        let sent =
            uninterrupted(|| sendmsg::<()>(fd, &slices, control, MsgFlags::MSG_NOSIGNAL, None))?;
        match frame.get(sent..) {
            Some([]) | None => Ok(()),
            Some(rest) => io::Write::write_all(&mut self.stream, rest),
        }
    }

    /// The first bytes of a reply. A thread that sleeps and one that is woken on another, idle core cost
    /// 20 us each, more than the rest of a quick call; so where the last answer was quick, the thread
    /// looks for this one for a moment, letting others run, before it sleeps.
    fn receive_some(&mut self, fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let start = Instant::now();
        let mut count = 0;
        if self.quick {
            while count == 0 && start.elapsed() < LOOK {
                count = self.look(fds)?;
            }
        }
        if count == 0 {
            count = self.receive_at(0, fds)?;
        }
        self.quick = start.elapsed() < QUICK;
        Ok(count)
    }

    /// What has arrived already; nothing is no error.
    fn look(&mut self, fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let fd = self.stream.as_raw_fd();
        match receive(
            fd,
            &mut self.scratch,
            &mut self.control,
            fds,
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::yield_now();
                Ok(0)
            }
            answer => answer,
        }
    }

    fn receive_at(&mut self, at: usize, fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let room = self.scratch.get_mut(at..).unwrap_or_default();
        let count = receive(
            self.stream.as_raw_fd(),
            room,
            &mut self.control,
            fds,
            MsgFlags::empty(),
        )?;
        match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// The deadline as the socket gets it; never earlier, never zero.
fn rounded_up(deadline: Duration) -> Duration {
    let steps = deadline.as_nanos().div_ceil(TIMEOUT_STEP.as_nanos());
    TIMEOUT_STEP * u32::try_from(steps).unwrap_or(u32::MAX).max(1)
}

/// Room for as many descriptors as the kernel passes in one message (`SCM_MAX_FD`). With less it would
/// cut the list and leave those that fitted open in this process, where nobody knows them.
pub(crate) fn control_buffer() -> Vec<u8> {
    const SCM_MAX_FD: usize = 253;
    cmsg_space!([i32; SCM_MAX_FD])
}

/// Repeats a call that a signal interrupted.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            // A socket with a timeout is not restarted by the kernel after a signal.
            Err(nix::errno::Errno::EINTR) => {}
            answer => break answer,
        }
    }
}

/// Receives bytes and takes ownership of every descriptor that comes along, close-on-exec.
pub(crate) fn receive(
    socket: i32,
    room: &mut [u8],
    control: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    flags: MsgFlags,
) -> io::Result<usize> {
    loop {
        match receive_once(socket, room, control, fds, flags) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => break answer,
        }
    }
}

fn receive_once(
    socket: i32,
    room: &mut [u8],
    control: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    flags: MsgFlags,
) -> io::Result<usize> {
    let mut slices = [IoSliceMut::new(room)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut slices, Some(control), flags)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            fds.extend(raw.into_iter().map(wolfdisk_common::socket::own_received));
        }
    }
    Ok(message.bytes)
}

enum CallError {
    /// The daemon answered so; the connection is good.
    Answer(Failure),
    /// The connection is not.
    Lost(Failure),
}

impl CallError {
    fn from_io(error: io::Error) -> CallError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                CallError::Lost(Failure::Deadline("the daemon did not answer".into()))
            }
            _ => CallError::Lost(Failure::Disconnected(error.to_string())),
        }
    }

    fn broken(what: &str) -> CallError {
        CallError::Lost(Failure::Disconnected(what.to_owned()))
    }
}

impl Caller for Mutex<Connection> {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        let frame = sealed(options, service, method, body)?;
        self.lock()
            .exchange(&frame, options)
            .map_err(|error| match error {
                CallError::Answer(failure) | CallError::Lost(failure) => failure,
            })
    }
}

fn sealed(options: &Options, service: u8, method: u8, body: &[u8]) -> Result<Vec<u8>, Failure> {
    if options.deadline.is_zero() {
        return Err(Failure::Deadline("no time was left to ask".into()));
    }
    let mut frame = body.to_vec();
    framed::fits(&frame, options.send.len())?;
    let deadline_ms = u32::try_from(options.deadline.as_millis()).unwrap_or(u32::MAX);
    framed::seal(&mut frame, service, method, options.send.len(), deadline_ms);
    Ok(frame)
}

/// Connections to one daemon, as many as there are calls in flight.
#[derive(Debug)]
pub struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool for the daemon that listens at `path`; connects at the first call.
    pub fn new(path: PathBuf) -> Pool {
        Pool {
            path,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Where the daemon listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn take(&self) -> Result<(Connection, bool), Failure> {
        if let Some(connection) = self.idle.lock().pop() {
            return Ok((connection, true));
        }
        Connection::open(&self.path).map(|connection| (connection, false))
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    fn attempt(&self, frame: &[u8], options: &mut Options) -> Result<Bytes, CallError> {
        let (mut connection, _) = self.take().map_err(CallError::Lost)?;
        let answer = connection.exchange(frame, options);
        match &answer {
            Ok(_) | Err(CallError::Answer(_)) => self.give_back(connection),
            // The daemon went away: the idle ones are as dead as this one.
            Err(CallError::Lost(_)) => self.idle.lock().clear(),
        }
        answer
    }
}

impl Caller for Pool {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        let frame = sealed(options, service, method, body)?;
        let whole = options.deadline;
        let answer = self.ask(&frame, options);
        options.deadline = whole;
        answer
    }
}

impl Pool {
    /// Asks until there is an answer or `options.deadline`, which it counts down, has passed.
    fn ask(&self, frame: &[u8], options: &mut Options) -> Result<Bytes, Failure> {
        let (whole, start) = (options.deadline, Instant::now());
        let mut pause = RECONNECT_PAUSE;
        loop {
            let failure = match self.attempt(frame, options) {
                Ok(body) => break Ok(body),
                Err(CallError::Answer(Failure::Unavailable(text))) if options.retry => {
                    Failure::Unavailable(text)
                }
                Err(CallError::Answer(failure)) => break Err(failure),
                Err(CallError::Lost(failure @ Failure::Disconnected(_))) if options.retry => {
                    failure
                }
                Err(CallError::Lost(failure)) => break Err(failure),
            };
            let Some(left) = whole.checked_sub(start.elapsed() + pause) else {
                break Err(failure);
            };
            std::thread::sleep(pause);
            options.deadline = left.max(Duration::from_millis(1));
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_of_one_operation_share_a_timeout_and_none_comes_early() {
        let whole = Duration::from_secs(60);
        assert_eq!(rounded_up(whole), whole);
        assert_eq!(rounded_up(whole - Duration::from_micros(90)), whole);
        assert_eq!(rounded_up(Duration::from_nanos(1)), TIMEOUT_STEP);
        assert_eq!(rounded_up(Duration::ZERO), TIMEOUT_STEP);
        assert!(rounded_up(Duration::MAX) > whole);
    }
}
