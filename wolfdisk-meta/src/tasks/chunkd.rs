//! The way to wolfdisk-chunkd on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::ChunkClient;
use wolfdisk_proto::{Failure, v1};

/// A client whose calls wait while the daemon restarts.
pub type Chunkd = ChunkClient<Arc<Pool>>;

/// A client for the daemon that listens at `socket`; connects at the first call.
pub fn connect(socket: PathBuf) -> Chunkd {
    ChunkClient(Arc::new(Pool::new(socket)))
}

/// For calls that move data or wait for the disk. Repeated while the daemon restarts.
pub fn patient() -> Options {
    Options::within(Duration::from_secs(10))
}

/// Says which other nodes keep chunks and which of them leads, as [`Service::peers`] tells it: at each life of
/// wolfdisk-chunkd, and at each change. A node that keeps its index with others says so before it knows them.
///
/// # Errors
/// Nothing was changed: it is to be said again.
///
/// [`Service::peers`]: crate::service::Service::peers
pub fn tell_peers(chunkd: &Chunkd, peers: &v1::PeersRequest) -> Result<(), Failure> {
    chunkd.peers(&mut brief(), peers).map(drop)
}

/// For questions whose answer may be missing.
pub fn brief() -> Options {
    Options {
        retry: false,
        ..Options::within(Duration::from_millis(500))
    }
}
