//! The nodes that whoever is asked knows: of its cluster, and strangers.

use serde::Serialize;
use uuid::Uuid;
use wolfdisk_client::Reach;
use wolfdisk_proto::v1::{self, Empty};

use super::reach::once;
use crate::error::CtlError;

/// One row of `list servers`.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) id: String,
    role: String,
    state: String,
    /// The first of `addresses`; of a node without any, its socket.
    address: String,
    addresses: Vec<String>,
    release: String,
    version: u64,
    lag: u64,
    last_seen_ms: u64,
    cluster: Option<String>,
    /// Of the cluster of whoever was asked.
    pub(super) own: bool,
    /// What is wrong with it, and what to do; else none.
    pub(super) trouble: Option<String>,
}

/// The one that is asked comes first.
///
/// # Errors
/// It does not answer.
pub(super) fn ask(reach: &Reach) -> Result<Vec<Server>, CtlError> {
    let answer = reach.meta().servers(&mut once(reach), &Empty {});
    let servers = answer.map_err(CtlError::Ask)?.servers;
    let newest = servers.iter().filter(|server| server.own);
    let newest = newest.map(|server| server.version).max();
    let newest = newest.unwrap_or_default();
    let mut rows: Vec<_> = servers
        .into_iter()
        .map(|one| Server::of(one, newest))
        .collect();
    if let Some(asked) = rows.first_mut().filter(|asked| asked.address.is_empty()) {
        asked.address = match reach {
            Reach::Local { meta_socket, .. } => meta_socket.display().to_string(),
            Reach::Remote(remote) => {
                let answered = remote.answered().map(|(address, _)| address.to_string());
                answered.unwrap_or_default()
            }
        };
    }
    Ok(rows)
}

impl Server {
    fn of(server: v1::Server, newest: u64) -> Server {
        Server {
            id: server.id,
            role: server.role,
            state: server.state,
            address: server.addresses.first().cloned().unwrap_or_default(),
            addresses: server.addresses,
            release: server.release,
            version: server.version,
            lag: if server.own {
                newest.saturating_sub(server.version)
            } else {
                0
            },
            last_seen_ms: server.last_seen_ms,
            cluster: Uuid::from_slice(&server.volume_id)
                .ok()
                .map(|id| id.to_string()),
            own: server.own,
            trouble: Some(server.trouble).filter(|text| !text.is_empty()),
        }
    }

    /// The cells of its row.
    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.role.clone(),
            self.state.clone(),
            self.address.clone(),
            self.release.clone(),
            self.version.to_string(),
            self.lag.to_string(),
            format!("{} ms ago", self.last_seen_ms),
        ]
    }
}
