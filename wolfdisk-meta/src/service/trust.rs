//! What this node proves itself with to other machines, who of them is connected, and where they reach it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;
use wolfdisk_common::cluster_key::{ClusterKey, DERIVED_BYTES};
use wolfdisk_common::credentials;
use wolfdisk_common::identity::IdentityError;
use wolfdisk_common::member::PUBLIC_KEY_BYTES;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise::{self, Guests};
use zeroize::Zeroizing;

use super::interfaces;
use crate::limits;
use crate::tasks::stop::Stop;

/// The keys of a node.
#[derive(Debug)]
pub struct Keys {
    pub(super) cluster: ClusterKey,
    pub(super) public: [u8; PUBLIC_KEY_BYTES],
    private: Zeroizing<[u8; DERIVED_BYTES]>,
}

impl Keys {
    /// Those of a data directory. The static one is made if there is none.
    ///
    /// # Errors
    /// One is damaged, others can read it, or the system refuses.
    pub fn load(paths: &Paths) -> Result<Keys, IdentityError> {
        let private = credentials::static_key(paths)?;
        let public = noise::public_key(&private).map_err(|failure| IdentityError::Damaged {
            file: paths.node_key(),
            what: failure.to_string(),
        })?;
        Ok(Keys {
            cluster: ClusterKey::load(paths)?,
            public,
            private,
        })
    }

    pub(super) fn private(&self) -> Zeroizing<[u8; DERIVED_BYTES]> {
        self.private.clone()
    }
}

/// See the module. Without keys, as while a tool inspects the data, nobody on another machine is spoken to.
#[derive(Default)]
pub struct Trust {
    keys: OnceLock<Keys>,
    guests: Arc<Guests>,
    bound: OnceLock<SocketAddr>,
    chunk_port: AtomicU16,
    trouble: Mutex<Option<String>>,
    /// Other machines are answered now, or it is known why not.
    settled: Notify,
    /// Counts the changes of who is a member.
    revision: AtomicU64,
    waker: OnceLock<Stop>,
}

impl Trust {
    /// From now on other machines can be spoken to.
    pub fn hold(&self, keys: Keys) {
        // Once, at the start.
        let _ = self.keys.set(keys);
    }

    pub(super) fn keys(&self) -> Result<&Keys, Failure> {
        let missing = || Failure::Unavailable("this daemon speaks to no other machine".into());
        self.keys.get().ok_or_else(missing)
    }

    /// Who is connected.
    pub fn guests(&self) -> &Arc<Guests> {
        &self.guests
    }

    pub(super) fn listens_at(&self, bound: SocketAddr) {
        let _ = self.bound.set(bound);
        self.settled.notify_waiters();
    }

    /// Waits until other machines are answered or it is known why not: a daemon answers this machine a little earlier.
    pub(super) async fn settled(&self) {
        let wait = async {
            loop {
                let settled = self.settled.notified();
                if self.bound().is_some() || self.trouble().is_some() {
                    return;
                }
                settled.await;
            }
        };
        // What it is by then is for the caller to see.
        let _ = tokio::time::timeout(limits::SETTLED_MAX, wait).await;
    }

    /// Where other machines reach wolfdisk-meta; the most promising first, nothing if nowhere.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.bound.get().copied();
        bound.map(interfaces::reachable).unwrap_or_default()
    }

    /// Where wolfdisk-meta listens, if other machines can reach it.
    pub fn bound(&self) -> Option<SocketAddr> {
        self.bound.get().copied()
    }

    /// Where wolfdisk-chunkd listens.
    pub fn chunk_port(&self) -> u16 {
        self.chunk_port.load(Ordering::Relaxed)
    }

    /// It listens there.
    pub fn set_chunk_port(&self, port: u16) {
        self.chunk_port.store(port, Ordering::Relaxed);
    }

    /// Why other machines cannot reach it, if they cannot.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Says why other machines cannot reach it.
    pub fn set_trouble(&self, trouble: String) {
        tracing::warn!("{trouble}");
        *self.trouble.lock() = Some(trouble);
        self.settled.notify_waiters();
    }

    /// Counts the changes of who is a member in this life.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// `stop` is what the thread that tells wolfdisk-chunkd waits on.
    pub fn wakes(&self, stop: Stop) {
        // There is one such thread.
        let _ = self.waker.set(stop);
    }

    /// Somebody came or went.
    pub(super) fn changed(&self) {
        self.revision.fetch_add(1, Ordering::Relaxed);
        if let Some(waker) = self.waker.get() {
            waker.nudge();
        }
    }
}
