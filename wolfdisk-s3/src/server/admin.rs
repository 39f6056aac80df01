//! Health for programs, on the admin address.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::limits::READY_DEADLINE;
use crate::store::Store;

/// `/healthz`: the process answers. `/readyz`: the volume does.
pub fn service(store: Store) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(store)
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
