//! When to stop: SIGTERM, SIGINT, or the end of whoever started this process.
//!
//! A supervisor hands its children the reading end of a pipe (the lifeline) and its number in
//! `WOLFDISK_LIFELINE_FD`. Nothing is ever written to it: when the supervisor dies, however it dies, the
//! kernel closes the writing end and every child sees the end of the pipe. A process with a lifeline
//! ignores SIGINT: a terminal sends that to the whole group, and the supervisor stops its children in
//! order.
//!
//! A SIGTERM to the whole group must not take the daemons from under a front-end that still writes back.
//! So a daemon that others use ([`Turn::AfterUsers`]) waits after SIGTERM for the end of its lifeline,
//! which its users hold as well, but no longer than [`USERS_DEADLINE`].

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR2};
use tokio::sync::watch;

/// The environment variable that holds the number of the lifeline's descriptor.
pub const LIFELINE_VARIABLE: &str = "WOLFDISK_LIFELINE_FD";

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGTERM.
    Terminated,
    /// SIGINT.
    Interrupted,
    /// The supervisor is gone.
    SupervisorGone,
    /// The process itself decided to: [`Shutdown::request`].
    Requested,
    /// SIGUSR2, where it means that: a successor takes over what this process serves.
    HandOver,
}

/// How long SIGTERM alone leaves a daemon to its users.
pub const USERS_DEADLINE: Duration = Duration::from_secs(5);

/// Whose turn it is when everything is asked to stop at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nobody depends on this process.
    First,
    /// Others write back through it: they go first.
    AfterUsers,
}

/// Tells every part of a process that it is time to stop. Clones are the same.
#[derive(Clone, Debug)]
pub struct Shutdown {
    cause: watch::Sender<Option<Cause>>,
}

impl Shutdown {
    /// One that only [`Shutdown::request`] sets off: for tests and for parts of a process.
    pub fn manual() -> Shutdown {
        Shutdown {
            cause: watch::Sender::new(None),
        }
    }

    /// Takes over SIGTERM and SIGINT of this process and watches its lifeline. Once for a process, before
    /// it starts threads that could be interrupted.
    ///
    /// # Errors
    /// What the system says; a lifeline that was announced but is not there is an error.
    pub fn install(turn: Turn) -> io::Result<Shutdown> {
        let lifeline = lifeline()?;
        let terminated = signal_pipe(SIGTERM)?;
        let interrupted = match lifeline {
            Some(_) => {
                // A handler that does nothing useful: ignored by this process, default in its children.
                signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)))?;
                None
            }
            None => Some(signal_pipe(SIGINT)?),
        };
        let shutdown = Shutdown::manual();
        let requester = shutdown.clone();
        std::thread::Builder::new()
            .name("shutdown".to_owned())
            .spawn(move || {
                let cause = first(&terminated, interrupted.as_ref(), lifeline.as_ref());
                if let (Cause::Terminated, Turn::AfterUsers, Some(pipe)) = (cause, turn, &lifeline)
                {
                    wait_for_users(pipe, USERS_DEADLINE);
                }
                tracing::debug!(?cause, "asked to stop");
                requester.set(cause);
            })?;
        Ok(shutdown)
    }

    /// From now on SIGUSR2 asks to stop as well, for a successor that takes over.
    ///
    /// # Errors
    /// What the system says.
    pub fn hand_over_on_signal(&self) -> io::Result<()> {
        let mut asked = signal_pipe(SIGUSR2)?;
        let requester = self.clone();
        std::thread::Builder::new()
            .name("hand-over".to_owned())
            .spawn(move || {
                // The writing end belongs to the signal and is never closed.
                if asked.read_exact(&mut [0]).is_ok() {
                    requester.set(Cause::HandOver);
                }
            })?;
        Ok(())
    }

    /// Asks every part to stop.
    pub fn request(&self) {
        self.set(Cause::Requested);
    }

    fn set(&self, cause: Cause) {
        self.cause.send_if_modified(|known| match known {
            Some(_) => false,
            None => {
                *known = Some(cause);
                true
            }
        });
    }

    /// Whether it is time to stop, and why.
    pub fn cause(&self) -> Option<Cause> {
        *self.cause.borrow()
    }

    /// Waits until it is time to stop.
    pub async fn requested(&self) -> Cause {
        let mut receiver = self.cause.subscribe();
        // The sender cannot go away: `self` holds it.
        match receiver.wait_for(Option::is_some).await {
            Ok(cause) => cause.unwrap_or(Cause::Requested),
            Err(_) => Cause::Requested,
        }
    }

    /// As [`Shutdown::requested`], on a thread of its own outside any runtime.
    pub fn wait(&self) -> Cause {
        block_on(self.requested())
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future of this module on the calling thread: it waits for nothing but a watch.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

/// What can be read when `signal` came; as many bytes as came in time.
pub(crate) fn signal_pipe(signal: i32) -> io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, writer)?;
    Ok(reader)
}

/// Opens the lifeline anew through `/proc`, which for a pipe is the same pipe and needs no trust in a
/// number from the environment.
fn lifeline() -> io::Result<Option<File>> {
    let Some(number) = std::env::var_os(LIFELINE_VARIABLE) else {
        return Ok(None);
    };
    let number = number.to_str().and_then(|text| text.parse::<u32>().ok());
    let number = number.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{LIFELINE_VARIABLE} is no number"),
        )
    })?;
    File::open(format!("/proc/self/fd/{number}")).map(Some)
}

/// Waits for whichever comes first. A broken descriptor counts as its event: it is better to stop than
/// to be unstoppable.
fn first(
    terminated: &UnixStream,
    interrupted: Option<&UnixStream>,
    lifeline: Option<&File>,
) -> Cause {
    let mut sources = vec![(Cause::Terminated, terminated.as_fd())];
    sources.extend(interrupted.map(|stream| (Cause::Interrupted, stream.as_fd())));
    sources.extend(lifeline.map(|pipe| (Cause::SupervisorGone, pipe.as_fd())));
    let mut polled: Vec<PollFd<'_>> = sources
        .iter()
        .map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return Cause::Requested,
            Ok(_) => {}
        }
        for ((cause, _), fd) in sources.iter().zip(&polled) {
            if !fd.any().unwrap_or(true) {
                continue;
            }
            if *cause == Cause::SupervisorGone && !ended(lifeline) {
                continue;
            }
            return *cause;
        }
    }
}

/// Waits until nobody holds the other end of the lifeline, or the time is over.
fn wait_for_users(lifeline: &File, limit: Duration) {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: the last millisecond is waited for as well.
        let millis = left.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(0) | Err(_) => return,
            Ok(_) if ended(Some(lifeline)) => return,
            Ok(_) => {}
        }
    }
}

/// Whether the lifeline is at its end; bytes on it mean nothing and are dropped.
fn ended(lifeline: Option<&File>) -> bool {
    let mut room = [0; 64];
    lifeline.is_none_or(|mut pipe| !matches!(pipe.read(&mut room), Ok(count) if count > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_blocking_and_async_waiters_once() {
        let shutdown = Shutdown::manual();
        assert_eq!(shutdown.cause(), None);
        let waiter = {
            let shutdown = shutdown.clone();
            std::thread::spawn(move || shutdown.wait())
        };
        shutdown.request();
        assert_eq!(waiter.join().expect("the waiter"), Cause::Requested);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let cause = runtime.expect("a runtime").block_on(async {
            tokio::time::timeout(Duration::from_secs(5), shutdown.requested()).await
        });
        assert_eq!(cause, Ok(Cause::Requested));
    }

    #[test]
    fn the_end_of_the_lifeline_is_seen() {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let (terminated, _keep) = UnixStream::pair().expect("a pair");
        let lifeline = File::from(reader);
        let waiter = std::thread::spawn(move || first(&terminated, None, Some(&lifeline)));
        drop(writer);
        assert_eq!(waiter.join().expect("the waiter"), Cause::SupervisorGone);
    }

    #[test]
    fn users_are_waited_for_but_not_for_ever() {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let lifeline = File::from(reader);
        let start = Instant::now();
        wait_for_users(&lifeline, Duration::from_millis(30));
        assert!(start.elapsed() >= Duration::from_millis(30));
        let user = std::thread::spawn(move || drop(writer));
        let start = Instant::now();
        wait_for_users(&lifeline, Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
        user.join().expect("the user");
    }

    #[test]
    fn sigterm_is_seen_and_ends_nothing() {
        let terminated = signal_pipe(SIGTERM).expect("a handler");
        signal_hook::low_level::raise(SIGTERM).expect("raised");
        assert_eq!(first(&terminated, None, None), Cause::Terminated);
    }
}
