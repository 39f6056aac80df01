//! Health and numbers for programs, on the admin address.

use axum::Router;

use super::metrics::Metrics;
use crate::store::Store;

/// It is ready when its volume answers.
pub fn service(store: Store, metrics: Metrics) -> Router {
    let ready = move || {
        let store = store.clone();
        async move {
            let answer = store.run(|volume| Ok(volume.statfs(volume.root())?)).await;
            answer
                .map(drop)
                .map_err(|_| "the volume does not answer".to_owned())
        }
    };
    wolfdisk_admin::service(move || metrics.write(), ready)
}
