//! How the daemons are reached: shared pools for short calls, own connections for puts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::{Connection, Pool};
use wolfdisk_proto::call::{Caller, Options};
use wolfdisk_proto::v1::{ChunkClient, MetaClient};

use crate::error::Result;
use crate::limits;

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
