//! The address: taken, and answered until the daemon ends. A connection is for one request.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits;
use crate::page::{Numbers, Tell};

/// Takes the address, to tell there what `of` names; `setting` is what says which. None: another daemon has it and nobody
/// chose it, which is said; the daemon goes on without.
///
/// # Errors
/// What the system says.
pub fn bind(
    of: &str,
    setting: &str,
    address: SocketAddr,
    is_chosen: bool,
) -> io::Result<Option<TcpListener>> {
    match TcpListener::bind(address) {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            tracing::info!(of, %address, "health and metrics are told");
            Ok(Some(listener))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !is_chosen => {
            tracing::warn!(
                of,
                %address,
                "no health and no metrics are told: the port is in use; choose another: {setting}"
            );
            Ok(None)
        }
        Err(error) => {
            let text = format!(
                "cannot listen at {address} ({setting}, or a port above it): {error}; choose another"
            );
            Err(io::Error::new(error.kind(), text))
        }
    }
}

/// Answers until it is dropped.
///
/// # Errors
/// The listener is none.
pub async fn serve(listener: TcpListener, service: Router) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    converse(stream, service).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, service: Router) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(limits::HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    match timeout(limits::CONNECTION_DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for the numbers ended"),
        Err(late) => tracing::debug!(%late, "a connection for the numbers was cut off"),
    }
}

/// Tells health and what `teller` tells at an address, until what is given is dropped. None: see [`bind`].
///
/// # Errors
/// The address cannot be had, or the system gives no thread.
pub fn watch<T, R, F>(
    address: SocketAddr,
    is_chosen: bool,
    teller: T,
    ready: R,
) -> io::Result<Option<Watched>>
where
    T: Tell,
    R: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let Some(listener) = bind(T::PREFIX, T::SETTING, address, is_chosen)? else {
        return Ok(None);
    };
    let numbers = Numbers::of(teller);
    let service = crate::service(move || numbers.write(), ready);
    Watched::start(listener, service).map(Some)
}

/// Answers on a thread of its own, so that whoever asks never holds up what the daemon is for. Dropping it ends it.
#[derive(Debug)]
pub struct Watched(Option<Runtime>);

impl Watched {
    fn start(listener: TcpListener, service: Router) -> io::Result<Watched> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("admin")
            .enable_all()
            .build()?;
        runtime.spawn(async move {
            if let Err(error) = serve(listener, service).await {
                tracing::error!(%error, "health and metrics are told no more");
            }
        });
        Ok(Watched(Some(runtime)))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::Ipv4Addr;

    use super::*;

    const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    #[test]
    fn an_address_in_use_is_an_error_only_if_it_was_chosen() {
        let taken = TcpListener::bind(ANY).expect("bound");
        let address = taken.local_addr().expect("an address");
        assert!(
            bind("toy", "admin.bind", address, false)
                .expect("said")
                .is_none()
        );
        let error = bind("toy", "admin.bind", address, true)
            .expect_err("in use")
            .to_string();
        assert!(error.contains("admin.bind"), "{error}");
    }

    #[test]
    fn each_path_is_answered_and_others_are_not() {
        let listener = bind("toy", "admin.bind", ANY.into(), true)
            .expect("bound")
            .expect("free");
        let address = listener.local_addr().expect("an address");
        let service = crate::service(
            || Ok("# EOF\n".to_owned()),
            async || Err("not yet".to_owned()),
        );
        let watched = Watched::start(listener, service).expect("started");
        let ask = |head: &str| {
            let mut stream = std::net::TcpStream::connect(address).expect("connected");
            stream.write_all(head.as_bytes()).expect("asked");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("answered");
            text
        };
        let get = |path: &str| ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        for (path, status, body) in [
            ("/healthz", " 200 ", "\r\n\r\nok\n"),
            ("/readyz", " 503 ", "\r\n\r\nnot yet\n"),
            ("/metrics", " 200 ", "\r\n\r\n# EOF\n"),
            ("/other", " 404 ", ""),
        ] {
            let answer = get(path);
            assert!(
                answer.contains(status) && answer.ends_with(body),
                "{answer}"
            );
        }
        assert!(ask("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").contains(" 405 "));
        let long = format!(
            "GET /{} HTTP/1.1\r\n\r\n",
            "x".repeat(limits::HEAD_MAX_BYTES)
        );
        assert!(!ask(&long).contains(" 200 "));
        drop(watched);
    }
}
