//! The answering side on a Unix socket: frames and, by the HTTP/2 preface, gRPC.
//!
//! Each framed connection is a task that reads a request, answers it and only then reads the next.
//! On a single-threaded runtime a call that needs no wait is answered without leaving the thread.
//! At most [`limits::CONNECTIONS_MAX`] connections are open; a further one is closed at once.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use wolfdisk_common::limits;

use crate::blocking::{control_buffer, receive, uninterrupted};
use crate::call::{Call, Peer};
use crate::failure::Failure;
use crate::framed::{self, Dispatch, HEADER_BYTES, Header};
use crate::lookout::Lookout;

/// How long a new connection may take to say what it is.
const PREFACE_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes a connection reads ahead; larger requests get a buffer of their own.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Who may connect.
#[derive(Clone, Debug)]
pub struct Admission {
    /// These users.
    pub uids: Vec<u32>,
    /// Members of this group, by effective group id.
    pub gid: Option<u32>,
}

impl Admission {
    fn admits(&self, peer: Peer) -> bool {
        self.uids.contains(&peer.uid) || self.gid == Some(peer.gid)
    }
}

/// Told when a framed connection has ended, with its number.
pub type OnClose = Arc<dyn Fn(u64) + Send + Sync>;

/// What a listener needs besides its service.
#[derive(Clone)]
pub struct Setup {
    /// Who may connect.
    pub admission: Admission,
    /// Where connections that open with the HTTP/2 preface go.
    pub grpc: mpsc::Sender<io::Result<UnixStream>>,
    /// Told when a framed connection has ended.
    pub on_close: OnClose,
}

/// Accepts for ever. Ends only when the listener fails.
///
/// # Errors
/// What `accept` says, other than for a single connection.
pub async fn serve<D: Dispatch>(
    listener: UnixListener,
    service: D,
    setup: Setup,
) -> io::Result<()> {
    let lookout = Arc::new(Lookout::new());
    let looking = lookout.clone();
    let _looking = Ended(tokio::spawn(async move { looking.run().await }));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let number = next_connection();
        let Some(place) = Place::take(service.clone(), number, setup.on_close.clone()) else {
            tracing::warn!(
                limit = limits::CONNECTIONS_MAX,
                "too many connections, one is refused"
            );
            continue;
        };
        let (service, setup) = (service.clone(), setup.clone());
        let lookout = lookout.clone();
        tokio::spawn(async move {
            // Held by the task, so that the place is given back even if the service panics.
            let _place = place;
            if let Err(error) = connection(stream, number, service, &setup, &lookout).await {
                tracing::debug!(%error, number, "a connection ended");
            }
        });
    }
}

/// One of the [`limits::CONNECTIONS_MAX`] places; the end of the connection is told when it is dropped.
struct Place<D: Dispatch> {
    service: D,
    number: u64,
    on_close: OnClose,
}

impl<D: Dispatch> Place<D> {
    fn take(service: D, number: u64, on_close: OnClose) -> Option<Place<D>> {
        let local = &service.calls().local;
        if local.open.fetch_add(1, Ordering::Relaxed) >= limits::CONNECTIONS_MAX as u64 {
            local.open.fetch_sub(1, Ordering::Relaxed);
            local.over_limit.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        local.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            service,
            number,
            on_close,
        })
    }
}

impl<D: Dispatch> Drop for Place<D> {
    fn drop(&mut self) {
        let local = &self.service.calls().local;
        local.open.fetch_sub(1, Ordering::Relaxed);
        (self.on_close)(self.number);
    }
}

/// A number for a connection of this process, whatever it comes by.
pub(crate) fn next_connection() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A task that ends with its owner.
struct Ended(tokio::task::JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn is_passing(error: &io::Error) -> bool {
    let passing = [
        libc::ECONNABORTED,
        libc::EINTR,
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
    ];
    error
        .raw_os_error()
        .is_some_and(|errno| passing.contains(&errno))
}

async fn connection<D: Dispatch>(
    stream: UnixStream,
    number: u64,
    service: D,
    setup: &Setup,
    lookout: &Lookout,
) -> io::Result<()> {
    let cred = stream.peer_cred()?;
    let peer = Peer {
        pid: cred.pid().unwrap_or(0),
        uid: cred.uid(),
        gid: cred.gid(),
    };
    if !setup.admission.admits(peer) {
        let strangers = &service.calls().local.strangers;
        strangers.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            uid = peer.uid,
            pid = peer.pid,
            "a process of another user was turned away"
        );
        return Ok(());
    }
    let first = tokio::time::timeout(PREFACE_DEADLINE, peek(&stream)).await??;
    if first == framed::HTTP2_PREFACE {
        // The queue is bounded: with it full, the connection waits here like any other.
        return setup
            .grpc
            .send(Ok(stream))
            .await
            .map_err(|_| io::ErrorKind::NotConnected.into());
    }
    let mut framed = Framed {
        stream: watch(stream.into_std()?, Interest::READABLE)?,
        scratch: vec![0; SCRATCH_BYTES],
        have: 0,
        control: control_buffer(),
        fds: Vec::new(),
    };
    tokio::time::timeout(PREFACE_DEADLINE, framed.exchange_prefaces()).await??;
    while let Some((header, body, received)) = framed.request().await? {
        lookout.asked();
        let mut call = Call::framed(number, peer, received);
        let answer = if header.kind == D::SERVICE {
            service.dispatch(&mut call, header.number, body).await
        } else {
            Err(Failure::Unsupported(format!(
                "service {} is not here",
                header.kind
            )))
        };
        let attached = call.take_attached();
        let answer = answer.and_then(|frame| {
            framed::fits(&frame, attached.len())?;
            Ok(frame)
        });
        match answer {
            Ok(mut frame) => {
                framed::seal(&mut frame, 0, 0, attached.len(), 0);
                framed.reply(&frame, &attached).await?;
            }
            Err(failure) => framed.reply(&framed::failure_frame(&failure), &[]).await?,
        }
        lookout.answered();
    }
    Ok(())
}

async fn peek(stream: &UnixStream) -> io::Result<[u8; 4]> {
    loop {
        let mut first = [0; 4];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let count = stream
            .async_io(Interest::READABLE, || {
                Ok(recv(stream.as_raw_fd(), &mut first, flags)?)
            })
            .await?;
        match count {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            4 => return Ok(first),
            // Rarely the first bytes come one by one.
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn check_descriptors(fds: &[OwnedFd]) -> io::Result<()> {
    if fds.len() > limits::FRAME_FDS_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "too many descriptors",
        ));
    }
    Ok(())
}

type Watched = AsyncFd<std::os::unix::net::UnixStream>;

/// Watches a socket for one thing. Watched for output too while it waits for input, the reactor would
/// wake each time the other side has taken a reply: one more switch for every call.
#[expect(
    deprecated,
    reason = "the replacement is unsafe for types that may change their descriptor; this one does not"
)]
fn watch(stream: std::os::unix::net::UnixStream, what: Interest) -> io::Result<Watched> {
    AsyncFd::with_interest(stream, what)
}

struct Framed {
    stream: Watched,
    scratch: Vec<u8>,
    have: usize,
    control: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Framed {
    async fn exchange_prefaces(&mut self) -> io::Result<()> {
        self.fill(8).await?;
        let theirs = self.scratch.first_chunk::<8>().copied().unwrap_or_default();
        self.consume(8);
        let known = framed::check_opening(theirs);
        if !matches!(known, Err(Failure::Invalid(_))) {
            // One of a distant protocol learns ours, so that it can say what is wrong.
            self.write_all(&framed::opening()).await?;
        }
        known.map_err(|failure| io::Error::new(io::ErrorKind::InvalidData, failure))
    }

    /// The next request, or none when the other side has closed between two.
    async fn request(&mut self) -> io::Result<Option<(Header, Bytes, Vec<OwnedFd>)>> {
        if self.have == 0 && self.receive().await? == 0 {
            return Ok(None);
        }
        self.fill(HEADER_BYTES).await?;
        let head = self
            .scratch
            .first_chunk::<HEADER_BYTES>()
            .copied()
            .unwrap_or_default();
        let header = Header::parse(&head)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let total = HEADER_BYTES + header.body;
        let body = if total <= self.scratch.len() {
            self.fill(total).await?;
            let body =
                Bytes::copy_from_slice(self.scratch.get(HEADER_BYTES..total).unwrap_or_default());
            self.consume(total);
            body
        } else {
            self.large_body(header.body).await?
        };
        let fds = std::mem::take(&mut self.fds);
        if fds.len() != usize::from(header.fds) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "descriptors are missing",
            ));
        }
        Ok(Some((header, body, fds)))
    }

    async fn large_body(&mut self, length: usize) -> io::Result<Bytes> {
        let mut body = vec![0; length];
        let got = self
            .scratch
            .get(HEADER_BYTES..self.have)
            .unwrap_or_default();
        let mut filled = got.len();
        body.split_at_mut(filled).0.copy_from_slice(got);
        self.have = 0;
        while filled < length {
            let room = body.get_mut(filled..).unwrap_or_default();
            let count = receive_into(&self.stream, room, &mut self.control, &mut self.fds).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            check_descriptors(&self.fds)?;
        }
        Ok(Bytes::from(body))
    }

    async fn fill(&mut self, count: usize) -> io::Result<()> {
        while self.have < count {
            if self.receive().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<usize> {
        let room = self.scratch.get_mut(self.have..).unwrap_or_default();
        let count = receive_into(&self.stream, room, &mut self.control, &mut self.fds).await?;
        self.have += count;
        check_descriptors(&self.fds)?;
        Ok(count)
    }

    fn consume(&mut self, count: usize) {
        self.scratch.copy_within(count..self.have, 0);
        self.have -= count;
    }

    async fn reply(&mut self, frame: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let mut control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let mut left = frame;
        while !left.is_empty() {
            match send(&self.stream, left, control) {
                Ok(sent) => {
                    left = left.get(sent..).unwrap_or_default();
                    control = &[];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reply(bytes, &[]).await
    }

    /// Waits for room in the socket, on a registration that lasts no longer than that.
    async fn writable(&self) -> io::Result<()> {
        let stream = self.stream.get_ref().try_clone()?;
        let watched = watch(stream, Interest::WRITABLE)?;
        watched.writable().await.map(|_| ())
    }
}

fn send(stream: &Watched, bytes: &[u8], control: &[ControlMessage<'_>]) -> io::Result<usize> {
    let slices = [io::IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    Ok(uninterrupted(|| {
        sendmsg::<()>(stream.as_raw_fd(), &slices, control, flags, None)
    })?)
}

async fn receive_into(
    stream: &Watched,
    room: &mut [u8],
    control: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let before = fds.len();
    loop {
        let mut ready = stream.readable().await?;
        match receive(
            stream.as_raw_fd(),
            room,
            control,
            fds,
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(count) => {
                // Fewer bytes than asked for mean that the socket is empty, unless the kernel stopped
                // behind descriptors: the next call then waits without trying in vain.
                if count > 0 && count < room.len() && fds.len() == before {
                    ready.clear_ready();
                }
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => return Err(error),
        }
    }
}
