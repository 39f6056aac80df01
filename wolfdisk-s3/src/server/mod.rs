//! HTTP around the operations: connections with limits and deadlines, what is refused before s3s sees it, and the
//! addresses for programs that watch.

pub mod address;
pub mod admin;
pub mod body;
mod connections;
mod cors;
mod crowd;
mod door;
pub mod metrics;
mod pace;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
pub mod tls;
mod xml;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Error, S3ErrorCode, S3Result};
use wolfdisk_common::config::S3 as Settings;

use crate::access::Access;
use crate::form::Forms;
use crate::limits;
use crate::ops::Gateway;
use address::{Domains, Names};
use body::PacedBody;
use metrics::Metrics;

pub use connections::{Line, listen, serve};

/// Who answers: s3s, and for what it should not see others.
struct Front {
    s3: S3Service,
    forms: Forms,
    domains: Domains,
    metrics: Metrics,
}

/// Everything that answers S3, as one service.
pub fn service(gateway: Gateway, settings: &Settings, access: Access, metrics: Metrics) -> Router {
    let mut config = S3Config::default();
    config.xml_max_body_size = limits::XML_MAX_BYTES;
    // Forms do not get to s3s, which would take their files into memory.
    config.post_object_max_file_size = 0;
    let domains = Domains::new(&settings.domains);
    let scheme = match settings.tls {
        Some(_) => "https",
        None => "http",
    };
    let cors = cors::Cors::new(gateway.store().clone(), domains.clone());
    let forms = Forms::new(gateway.clone(), access.clone(), scheme);
    let mut builder = S3ServiceBuilder::new(gateway);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(access.clone());
    builder.set_access(access);
    builder.set_validation(Names);
    builder.set_host(domains.clone());
    let front = Front {
        s3: builder.build(),
        forms,
        domains,
        metrics,
    };
    Router::new()
        .fallback(answer)
        .with_state(Arc::new(front))
        .layer(axum::middleware::from_fn(xml::check))
        .layer(axum::middleware::from_fn_with_state(cors, cors::answer))
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let target = front.domains.target(&head.headers, &head.uri).ok();
    let refused = door::refusal(&head.method, &head.uri, &head.headers, target.as_ref());
    let running = front.metrics.begin(&mut head.extensions);
    let body = PacedBody::new(&head.headers, body, front.metrics.connections().clone());
    let left_out = body.left_out();
    let answered = match refused {
        Some(error) => Err(error),
        None if door::is_form(&head.method, &head.headers) => front.form(head, body).await,
        None => front.other(head, body).await,
    };
    let mut response = answered.unwrap_or_else(told);
    running.answered(response.status());
    if left_out.is_left_out() {
        let close = http::HeaderValue::from_static("close");
        response
            .headers_mut()
            .insert(http::header::CONNECTION, close);
    }
    named(response)
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

/// What a layer answers itself.
fn error_response(failure: crate::error::Failure) -> Response {
    named(told(S3Error::from(failure)))
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

/// Gives an answer the name by which its client can ask about it.
fn named(mut response: Response) -> Response {
    let id = uuid::Uuid::new_v4().simple().to_string();
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    response
}
