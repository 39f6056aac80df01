//! How the daemons are reached: shared pools for short calls, own connections for puts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::{Connection, Pool};
use wolfdisk_proto::call::{Caller, Options};
use wolfdisk_proto::noise::{self, Targets};
use wolfdisk_proto::v1::{CHUNK_SERVICE, ChunkClient, MetaClient};

use crate::error::Result;
use crate::limits;
use crate::reach::{ChunkSpot, Reach, Remote};

/// Whoever answers calls, shared by all threads. A debug-printable trait object would force nothing
/// but noise on implementors, so it is wrapped.
#[derive(Clone)]
pub(crate) struct Line(Arc<dyn Caller + Send + Sync>);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    /// A line to `caller`.
    pub(crate) fn new(caller: Arc<dyn Caller + Send + Sync>) -> Line {
        Line(caller)
    }
}

impl Caller for Line {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> std::result::Result<bytes::Bytes, Failure> {
        self.0.call(options, service, method, body)
    }
}

/// Calls to wolfdisk-meta.
pub(crate) type MetaCalls = MetaClient<Line>;
/// Calls to wolfdisk-chunkd.
pub(crate) type ChunkCalls = ChunkClient<Line>;

/// Makes lines; a test puts fakes behind them.
pub(crate) trait Transport: Send + Sync {
    /// A shared line to wolfdisk-meta.
    fn meta(&self) -> Line;
    /// A shared line to wolfdisk-chunkd.
    fn chunk(&self) -> Line;
    /// A connection of its own to wolfdisk-chunkd.
    fn chunk_connection(&self) -> std::result::Result<Line, Failure>;
    /// The daemons are on another machine: nothing is shared with them but what is sent.
    fn is_remote(&self) -> bool {
        false
    }
}

/// The transport for a reach.
pub(crate) fn to(reach: &Reach) -> Arc<dyn Transport> {
    match reach {
        Reach::Local {
            meta_socket,
            chunk_socket,
        } => Arc::new(UnixSockets::new(meta_socket.clone(), chunk_socket.clone())),
        Reach::Remote(remote) => Arc::new(RemoteNodes::new(remote)),
    }
}

/// The daemons of this host.
#[derive(Debug)]
pub(crate) struct UnixSockets {
    meta: Arc<Pool>,
    chunk: Arc<Pool>,
}

impl UnixSockets {
    /// Daemons that listen at these paths.
    pub(crate) fn new(meta: PathBuf, chunk: PathBuf) -> UnixSockets {
        UnixSockets {
            meta: Arc::new(Pool::new(meta)),
            chunk: Arc::new(Pool::new(chunk)),
        }
    }
}

impl Transport for UnixSockets {
    fn meta(&self) -> Line {
        Line::new(self.meta.clone())
    }

    fn chunk(&self) -> Line {
        Line::new(self.chunk.clone())
    }

    fn chunk_connection(&self) -> std::result::Result<Line, Failure> {
        Connection::open(self.chunk.path())
            .map(|connection| Line::new(Arc::new(Mutex::new(connection))))
    }
}

/// Nodes on other machines.
pub(crate) struct RemoteNodes {
    remote: Remote,
    meta: Arc<noise::Pool>,
    chunk: Arc<noise::Pool>,
    chunk_spot: Arc<ChunkSpot>,
}

impl RemoteNodes {
    /// Those that `remote` finds.
    pub(crate) fn new(remote: &Remote) -> RemoteNodes {
        let chunk_spot = Arc::new(ChunkSpot(remote.spot.clone()));
        let credentials = Arc::clone(remote.credentials());
        RemoteNodes {
            meta: remote.meta_pool(),
            chunk: Arc::new(noise::Pool::new(
                credentials,
                CHUNK_SERVICE,
                chunk_spot.clone(),
            )),
            chunk_spot,
            remote: remote.clone(),
        }
    }
}

impl Transport for RemoteNodes {
    fn meta(&self) -> Line {
        Line::new(self.meta.clone())
    }

    fn chunk(&self) -> Line {
        Line::new(self.chunk.clone())
    }

    fn chunk_connection(&self) -> std::result::Result<Line, Failure> {
        let nowhere = "no node has said where its chunks are; is its node.chunk_bind in use?";
        let mut failure = Failure::Unavailable(nowhere.to_owned());
        for address in self.chunk_spot.addresses() {
            let credentials = self.remote.credentials();
            let within = limits::DIAL_DEADLINE;
            match noise::Connection::open(address, CHUNK_SERVICE, credentials, within) {
                Ok(connection) => {
                    let connection = connection.watched_by(self.chunk_spot.clone());
                    return Ok(Line::new(Arc::new(Mutex::new(connection))));
                }
                Err(refused) => failure = refused,
            }
        }
        Err(failure)
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// One call with the usual deadline; the pool reconnects within it.
pub(crate) fn call<R>(
    ask: impl FnOnce(&mut Options) -> std::result::Result<R, Failure>,
) -> Result<R> {
    call_within(limits::CALL_DEADLINE, ask)
}

/// One call with a deadline of its own.
pub(crate) fn call_within<R>(
    deadline: Duration,
    ask: impl FnOnce(&mut Options) -> std::result::Result<R, Failure>,
) -> Result<R> {
    Ok(ask(&mut Options::within(deadline))?)
}
