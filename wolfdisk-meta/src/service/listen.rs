//! The Unix socket: frames and gRPC for the same service.

use std::path::Path;
use std::sync::Arc;

use std::os::unix::fs::PermissionsExt;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wolfdisk_proto::server::{self, Admission, Setup};
use wolfdisk_proto::v1::meta_server::MetaServer;
use wolfdisk_proto::v1::{MetaFramed, MetaOverGrpc};

use super::error::ServiceError;
use super::rpc::Service;

/// gRPC connections that wait to be taken over.
const GRPC_BACKLOG: usize = 16;
/// The owner and the group may connect; who of them is let in is checked for each connection.
const SOCKET_MODE: u32 = 0o660;

/// Answers calls at `path` until the listener fails or the future is dropped. A socket file that a dead
/// daemon left is replaced: the data directory's lock says that nobody listens there. `ready` is called
/// once calls can come.
///
/// # Errors
/// The socket could not be made, or broke.
pub async fn listen(
    service: Arc<Service>,
    path: &Path,
    ready: impl FnOnce(),
) -> Result<(), ServiceError> {
    let failed = |source| ServiceError::Socket {
        path: path.to_owned(),
        source,
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = wolfdisk_common::socket::listen(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    let (sender, receiver) = mpsc::channel(GRPC_BACKLOG);
    let grpc = tonic::transport::Server::builder()
        .add_service(MetaServer::new(MetaOverGrpc(service.clone())))
        .serve_with_incoming(ReceiverStream::new(receiver));
    let closing = service.clone();
    let setup = Setup {
        admission: admission(),
        grpc: sender,
        on_close: Arc::new(move |connection| {
            closing.core().liveness.connection_closed(connection);
        }),
    };
    ready();
    tokio::select! {
        outcome = server::serve(listener, MetaFramed(service), setup) => outcome.map_err(failed),
        outcome = grpc => match outcome {
            Ok(()) => std::future::pending().await,
            Err(error) => Err(failed(std::io::Error::other(error))),
        },
    }
}

/// Root, the user that the daemon runs as, and its group unless that is root's.
fn admission() -> Admission {
    let (uid, gid) = (
        nix::unistd::geteuid().as_raw(),
        nix::unistd::getegid().as_raw(),
    );
    Admission {
        uids: vec![0, uid],
        gid: (gid != 0).then_some(gid),
    }
}
