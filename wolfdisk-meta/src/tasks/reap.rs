//! Deletes what large files leave behind, a bounded number of extents at a time.

use std::time::Duration;

use crate::index::op::Op;
use crate::limits;
use crate::service::{Service, ServiceError};

/// How often the queue of deletions is looked at while it is empty.
const LOOK: Duration = Duration::from_millis(500);

/// Runs on the reactor until the daemon ends.
pub async fn run(service: &Service) {
    loop {
        let waiting = service.core().index.reaping(1);
        let ino = match waiting {
            Ok(inos) => inos.first().copied(),
            Err(error) => return service.fail(ServiceError::from(error)),
        };
        let Some(ino) = ino else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        match service.propose(
            Op::Reap {
                ino,
                extents: limits::REAP_STEP_EXTENTS,
            },
            false,
        ) {
            Ok(step) => {
                if step.applied().await.is_none() {
                    return;
                }
                // Calls come first.
                tokio::task::yield_now().await;
            }
            Err(failure) => {
                tracing::debug!(%failure, "deleting waits");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}
