//! The way to wolfdisk-chunkd on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::ChunkClient;

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

/// For questions whose answer may be missing.
pub fn brief() -> Options {
    Options {
        retry: false,
        ..Options::within(Duration::from_millis(500))
    }
}
