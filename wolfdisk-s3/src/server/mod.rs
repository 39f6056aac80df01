//! HTTP around the operations: connections with limits and deadlines, what is refused before s3s sees it, and the
//! addresses for programs that watch.

pub mod address;
pub mod admin;
pub mod body;
mod door;
mod pace;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Error, S3ErrorCode, S3Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wolfdisk_common::config::S3 as Settings;
use wolfdisk_common::shutdown::Shutdown;

use crate::access::{Keys, Unsigned};
use crate::form::Forms;
use crate::limits;
use crate::ops::Gateway;
use address::{Domains, Names};
use body::PacedBody;
use stream::PacedStream;

/// Who answers: s3s, and for what it should not see others.
struct Front {
    s3: S3Service,
    forms: Forms,
    domains: Domains,
}

/// Everything that answers S3, as one service.
pub fn service(gateway: Gateway, settings: &Settings) -> Router {
    let mut config = S3Config::default();
    config.xml_max_body_size = limits::XML_MAX_BYTES;
    // Forms do not get to s3s, which would take their files into memory.
    config.post_object_max_file_size = 0;
    let domains = Domains::new(&settings.domains);
    let forms = Forms::new(gateway.clone(), Keys::of(settings), Unsigned::of(settings));
    let mut builder = S3ServiceBuilder::new(gateway);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(Keys::of(settings));
    builder.set_access(Unsigned::of(settings));
    builder.set_validation(Names);
    builder.set_host(domains.clone());
    let front = Front {
        s3: builder.build(),
        forms,
        domains,
    };
    Router::new().fallback(answer).with_state(Arc::new(front))
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let refused = door::refusal(request.method(), request.uri(), request.headers());
    let (head, body) = request.into_parts();
    let body = PacedBody::new(&head.headers, body);
    let answered = match refused {
        Some(error) => Err(error),
        None if door::is_form(&head.method, &head.headers) => front.form(head, body).await,
        None => front.other(head, body).await,
    };
    let mut response = answered.unwrap_or_else(told);
    let id = uuid::Uuid::new_v4().simple().to_string();
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    response
}

impl Front {
    async fn form(&self, head: Parts, body: PacedBody) -> S3Result<Response> {
        let target = self.domains.target(&head.headers, &head.uri)?;
        self.forms.answer(&target, head, body).await
    }

    async fn other(&self, head: Parts, body: PacedBody) -> S3Result<Response> {
        let request = Request::from_parts(head, body);
        match tower::Service::call(&mut self.s3.clone(), request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => {
                tracing::error!(?error, "a request could not be answered");
                Err(S3Error::new(S3ErrorCode::InternalError))
            }
        }
    }
}

/// What a client is told of an error.
fn told(error: S3Error) -> Response {
    match error.to_http_response() {
        Ok(response) => response.map(Body::new),
        Err(_) => {
            let mut response = Response::default();
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Listens at an address.
///
/// # Errors
/// What the system says.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until it is time to stop, then lets requests that are under way end.
pub async fn serve(listener: TcpListener, service: Router, shutdown: &Shutdown) {
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
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
            Ok((connection, _)) => {
                let served = graceful.watch(serve_connection(connection, service.clone()));
                tokio::spawn(async move {
                    if let Err(error) = served.await {
                        tracing::debug!(%error, "a connection ended");
                    }
                    drop(permit);
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

type Connection = http1::Connection<TokioIo<PacedStream>, TowerToHyperService<Router>>;

fn serve_connection(connection: TcpStream, service: Router) -> Connection {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "small answers may wait");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_DEADLINE)
        .max_buf_size(limits::HEADER_MAX_BYTES)
        .max_headers(limits::HEADERS_MAX)
        .serve_connection(
            TokioIo::new(PacedStream::new(connection)),
            TowerToHyperService::new(service),
        )
}
