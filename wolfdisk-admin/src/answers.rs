//! What is answered to whom: three paths.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::limits::READY_DEADLINE;

/// How `/metrics` is written.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/healthz`: the process answers. `/readyz`: it does its work, or why not. `/metrics`: what it counts.
pub fn service<N, R, F>(numbers: N, ready: R) -> Router
where
    N: Fn() -> Result<String, fmt::Error> + Send + Sync + 'static,
    R: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let (numbers, ready) = (Arc::new(numbers), Arc::new(ready));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness(ready()).await))
        .route("/metrics", get(async move || page(numbers())))
}

fn page(written: Result<String, fmt::Error>) -> Response {
    match written {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the numbers cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn readiness(asked: impl Future<Output = Result<(), String>> + Send) -> (StatusCode, String) {
    match tokio::time::timeout(READY_DEADLINE, asked).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(reason)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no answer in time\n".to_owned(),
        ),
    }
}
