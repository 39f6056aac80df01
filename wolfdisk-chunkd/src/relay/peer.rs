//! One other node: connections to its wolfdisk-chunkd, and how many questions it is asked at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::PUBLIC_KEY_BYTES;
use wolfdisk_proto::noise::AsyncPool;
use wolfdisk_proto::v1::{CHUNK_SERVICE, ChunkAsyncClient, PutReply};

use crate::limits;

/// See the module. Reads, puts and flushes have connections of their own, so that none waits for the others.
pub(super) struct Peer {
    pub(super) number: u64,
    pub(super) name: String,
    public_key: [u8; PUBLIC_KEY_BYTES],
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    pub(super) chunks: ChunkAsyncClient<AsyncPool>,
    pub(super) reads: Semaphore,
    pub(super) puts: Semaphore,
    pub(super) flushes: Semaphore,
    /// When it last did not answer; none: it did since.
    silent: Mutex<Option<Instant>>,
    given: Mutex<Option<Given>>,
}

/// The furthest place that a store gave for what was put there from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) node: u32,
    pub(super) incarnation: u64,
    pub(super) place: u64,
}

impl Peer {
    /// The node with that key, and no other.
    pub(super) fn new(
        number: u64,
        name: String,
        public_key: [u8; PUBLIC_KEY_BYTES],
        addresses: Vec<SocketAddr>,
        credentials: &Credentials,
    ) -> Peer {
        let addresses = Arc::new(Mutex::new(addresses));
        let at = addresses.clone();
        let credentials = Credentials {
            node_key: Some(public_key),
            ..credentials.clone()
        };
        let pool = AsyncPool::new(Arc::new(credentials), CHUNK_SERVICE, move || {
            at.lock().clone()
        });
        Peer {
            number,
            name,
            public_key,
            addresses,
            chunks: ChunkAsyncClient(pool),
            reads: Semaphore::new(limits::PEER_READS_MAX),
            puts: Semaphore::new(limits::PEER_PUTS_MAX),
            flushes: Semaphore::new(limits::PEER_FLUSHES_MAX),
            silent: Mutex::new(None),
            given: Mutex::new(None),
        }
    }

    /// Whether it is that one.
    pub(super) fn is(&self, number: u64, public_key: &[u8; PUBLIC_KEY_BYTES]) -> bool {
        self.number == number && self.public_key == *public_key
    }

    /// It is reached there from now on.
    pub(super) fn is_at(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.lock() = addresses;
    }

    /// It answered, or did not.
    pub(super) fn heard(&self, answered: bool) {
        *self.silent.lock() = (!answered).then(Instant::now);
    }

    /// It did not answer a moment ago: others are asked first.
    pub(super) fn is_silent(&self) -> bool {
        let silent = *self.silent.lock();
        silent.is_some_and(|since| since.elapsed() < limits::PEER_SILENT_FOR)
    }

    /// It stored something.
    pub(super) fn gave(&self, reply: &PutReply) {
        let mut given = self.given.lock();
        let before = given
            .filter(|given| (given.node, given.incarnation) == (reply.node, reply.incarnation));
        *given = Some(Given {
            node: reply.node,
            incarnation: reply.incarnation,
            place: before.map_or(0, |given| given.place).max(reply.place),
        });
    }

    /// Where everything that it stored so far is durable.
    pub(super) fn given(&self) -> Option<Given> {
        *self.given.lock()
    }
}
