//! Health and numbers for programs, on the admin address.

use axum::Router;
use wolfdisk_client::SessionState;

use super::metrics::Metrics;
use crate::store::Store;

/// It is ready when its volume answers. It is not asked where wolfdisk-meta has not been heard of: each question would
/// wait for it on a thread.
pub fn service(store: Store, metrics: Metrics) -> Router {
    let ready = move || {
        let store = store.clone();
        async move {
            if store.session_state() != SessionState::Live {
                return Err("wolfdisk-meta does not answer".to_owned());
            }
            let answer = store.run(|volume| Ok(volume.statfs(volume.root())?)).await;
            answer
                .map(drop)
                .map_err(|_| "the volume does not answer".to_owned())
        }
    };
    wolfdisk_admin::service(move || metrics.write(), ready)
}
