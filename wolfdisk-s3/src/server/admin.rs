//! Health and numbers for programs, on the admin address.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::metrics::{self, Metrics};
use crate::limits::READY_DEADLINE;
use crate::store::Store;

/// `/healthz`: the process answers. `/readyz`: the volume does. `/metrics`: what was counted.
pub fn service(store: Store, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(store)
        .route("/metrics", get(numbers))
        .with_state(metrics)
}

async fn numbers(State(metrics): State<Metrics>) -> Response {
    match metrics.write() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the numbers cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn ready(State(store): State<Store>) -> (StatusCode, &'static str) {
    let asked = store.run(|volume| Ok(volume.statfs(volume.root())?));
    match tokio::time::timeout(READY_DEADLINE, asked).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        Ok(Err(_)) | Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the volume does not answer\n",
        ),
    }
}
