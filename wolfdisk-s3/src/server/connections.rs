//! Connections: how many, from whom, for how long.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use wolfdisk_common::shutdown::Shutdown;

use super::crowd::Crowd;
use super::metrics::Connections;
use super::stream::PacedStream;
use super::tls::Tls;
use crate::limits;

/// Listens at an address.
///
/// # Errors
/// What the system says.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // As tokio and the standard library do: the address of a gateway that has just ended can be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::CONNECTIONS_WAITING_MAX)
}

/// Who answers on connections, and what is counted of them.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who answers.
    pub service: Router,
    /// What is counted.
    pub counts: Connections,
    /// How it is kept secret, if it is.
    pub tls: Option<Tls>,
}

/// Serves until it is time to stop, then lets requests that are under way end.
pub async fn serve(listener: TcpListener, line: Line, shutdown: &Shutdown) {
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let crowd = Crowd::default();
    let graceful = GracefulShutdown::new();
    loop {
        let accept = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accept => accepted,
            _ = shutdown.requested() => break,
        };
        match accepted {
            Ok((connection, peer)) => {
                let Some(place) = crowd.enter(peer.ip()) else {
                    line.counts.refused();
                    continue;
                };
                let (line, watcher) = (line.clone(), graceful.watcher());
                tokio::spawn(async move {
                    line.counts.accepted.inc();
                    line.counts.open.inc();
                    line.serve(connection, watcher).await;
                    line.counts.open.dec();
                    drop((permit, place));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(limits::STOP_DEADLINE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests that take too long are cut off");
    }
}

impl Line {
    async fn serve(&self, connection: TcpStream, watcher: Watcher) {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "small answers may wait");
        }
        let stream = PacedStream::new(connection, self.counts.clone());
        let Some(tls) = &self.tls else {
            return self.converse(stream, watcher).await;
        };
        match tls.accept(stream).await {
            Ok(stream) => self.converse(stream, watcher).await,
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.counts.cut_for_head();
                }
                tracing::debug!(%error, "a client does not speak TLS, or not as this gateway does");
            }
        }
    }

    /// HTTP over a stream of any kind.
    async fn converse<S>(&self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HEADER_DEADLINE)
            .max_buf_size(limits::HEADER_MAX_BYTES)
            .max_headers(limits::HEADERS_MAX)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(self.service.clone()),
            );
        if let Err(error) = watcher.watch(connection).await {
            if error.is_timeout() {
                self.counts.cut_for_head();
            }
            tracing::debug!(%error, "a connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// More than a listener holds that asks for nothing: 128.
    const CROWD: usize = 300;
    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_crowd_that_comes_before_anybody_is_let_in_is_let_in_whole() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let come = join_all((0..CROWD).map(|_| async move {
            let mut client = TcpStream::connect(address).await.expect("connected");
            // The kernel forgets what it has no room for, and answers what comes after it with a reset.
            for part in [b"head".as_slice(), b"body"] {
                client.write_all(part).await.expect("sent");
            }
            client
        }));
        let come = tokio::time::timeout(DEADLINE, come).await;
        let clients = come.expect("there is room for all");
        let served = async {
            for _ in 0..CROWD {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                let mut got = [0; 8];
                connection.read_exact(&mut got).await.expect("read");
                assert_eq!(&got, b"headbody");
            }
        };
        let served = tokio::time::timeout(DEADLINE, served).await;
        served.expect("all are let in");
        drop(clients);
    }
}
