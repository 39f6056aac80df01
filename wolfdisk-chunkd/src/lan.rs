//! The listener for other machines. It has threads of its own: a chunk takes milliseconds to encrypt, and whoever
//! reads or writes on this machine is not to wait for that.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use wolfdisk_proto::noise::{self, Setup};
use wolfdisk_proto::v1::ChunkFramed;

use crate::limits;
use crate::service::ChunkServer;

/// The address that holds if none is configured; see the schema of the configuration.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 9502));

/// Binds the address. `Ok(Err)` says why the daemon goes on without: the address is one that nobody chose, and another
/// daemon of this machine has it.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> io::Result<Result<TcpListener, String>> {
    match TcpListener::bind(address) {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            Ok(Ok(listener))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && address == DEFAULT_ADDRESS => {
            Ok(Err(format!(
                "wolfdisk-chunkd does not serve other machines: port {} is in use; set node.chunk_bind",
                address.port()
            )))
        }
        Err(error) => Err(error),
    }
}

/// See the module. Dropping it ends it, and the calls in flight.
pub struct Lan {
    runtime: Runtime,
    served: JoinHandle<io::Result<()>>,
}

impl Lan {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(
        listener: TcpListener,
        service: Arc<ChunkServer>,
        setup: Setup,
    ) -> io::Result<Lan> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.min(limits::LAN_THREADS_MAX))
            .thread_name("lan")
            .enable_all()
            .build()?;
        let served = runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            noise::serve(listener, ChunkFramed(service), setup).await
        });
        Ok(Lan { runtime, served })
    }

    /// Waits until the listener fails.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.served).await.map_err(io::Error::other)?
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_chosen_and_is_in_use_is_an_error() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let taken = bind(any).expect("bound").expect("a listener");
        let address = taken.local_addr().expect("an address");
        let error = bind(address).expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_default_address_in_use_is_said() {
        // Whether it is this test that takes the port, or a daemon of this machine.
        let _taken = bind(DEFAULT_ADDRESS).expect("bound, or said");
        let reason = bind(DEFAULT_ADDRESS).expect("said").expect_err("in use");
        assert!(reason.contains("9502") && reason.contains("node.chunk_bind"));
    }
}
