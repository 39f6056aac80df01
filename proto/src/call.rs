//! What surrounds a request: who asks, on which connection, which descriptors travel along.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::member::Principal;

use crate::failure::Failure;

/// The process at the other end of a Unix socket, as the kernel vouches for it (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: i32,
    /// Effective user id when it connected.
    pub uid: u32,
    /// Effective group id when it connected.
    pub gid: u32,
}

/// The answering side's view of one call.
#[derive(Debug)]
pub struct Call {
    /// Unique among the connections of this process; 0 for gRPC, which has no such state.
    pub connection: u64,
    /// The asking process, where the transport tells.
    pub peer: Option<Peer>,
    /// Who asks from another machine; none: somebody on this one.
    pub principal: Option<Arc<Principal>>,
    /// Descriptors that came with the request.
    pub received: Vec<OwnedFd>,
    reply: Option<Vec<OwnedFd>>,
}

impl Call {
    /// A call on a framed connection.
    pub fn framed(connection: u64, peer: Peer, received: Vec<OwnedFd>) -> Call {
        Call {
            connection,
            peer: Some(peer),
            principal: None,
            received,
            reply: Some(Vec::new()),
        }
    }

    /// A call from another machine.
    pub fn remote(connection: u64, principal: Arc<Principal>) -> Call {
        Call {
            connection,
            peer: None,
            principal: Some(principal),
            received: Vec::new(),
            reply: None,
        }
    }

    /// A call over gRPC.
    pub fn grpc(extensions: &tonic::Extensions) -> Call {
        let peer = extensions
            .get::<tonic::transport::server::UdsConnectInfo>()
            .and_then(|info| info.peer_cred)
            .map(|cred| Peer {
                pid: cred.pid().unwrap_or(0),
                uid: cred.uid(),
                gid: cred.gid(),
            });
        Call {
            connection: 0,
            peer,
            principal: None,
            received: Vec::new(),
            reply: None,
        }
    }

    /// Sends a descriptor along with the reply.
    ///
    /// # Errors
    /// `Unsupported` where the binding cannot carry descriptors.
    pub fn attach(&mut self, fd: OwnedFd) -> Result<(), Failure> {
        match &mut self.reply {
            Some(fds) => {
                fds.push(fd);
                Ok(())
            }
            None => Err(Failure::Unsupported(
                "descriptors travel only over framed Unix sockets".into(),
            )),
        }
    }

    /// The descriptors that the reply carries.
    pub fn take_attached(&mut self) -> Vec<OwnedFd> {
        self.reply.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// The asking side's wishes for one call, and the descriptors that go and come with it.
#[derive(Debug)]
pub struct Options {
    /// From the start of the call to its answer, retries included.
    pub deadline: Duration,
    /// Ask again on a new connection when one breaks. Every call of the protocol may be repeated: reads
    /// change nothing, mutations are numbered, puts are named by content.
    pub retry: bool,
    /// Descriptors to send.
    pub send: Vec<OwnedFd>,
    /// Descriptors that came with the answer.
    pub received: Vec<OwnedFd>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deadline: Duration::from_millis(wolfdisk_common::limits::CALL_DEADLINE_MS),
            retry: true,
            send: Vec::new(),
            received: Vec::new(),
        }
    }
}

impl Options {
    /// The defaults with another deadline.
    pub fn within(deadline: Duration) -> Options {
        Options {
            deadline,
            ..Options::default()
        }
    }
}

/// Something that can ask a daemon: a pool of connections, or one connection.
pub trait Caller {
    /// Asks and waits for the answer's body. `body` was made by [`crate::framed::encode`].
    ///
    /// # Errors
    /// What the daemon answered, or why it could not be asked within the deadline.
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure>;
}

/// The same without blocking, for daemons that ask each other. A call may be given up at any time by dropping it.
pub trait AsyncCaller: Send + Sync {
    /// Asks and waits for the answer's body, at most `within`. `frame` was made by [`crate::framed::encode`]. A connection
    /// that was lost is made anew once, so the call may take place twice.
    ///
    /// # Errors
    /// What the daemon answered, or why it could not be asked.
    fn call(
        &self,
        within: Duration,
        service: u8,
        method: u8,
        frame: Vec<u8>,
    ) -> impl Future<Output = Result<Bytes, Failure>> + Send;
}

impl<C: Caller + ?Sized> Caller for std::sync::Arc<C> {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        (**self).call(options, service, method, body)
    }
}
