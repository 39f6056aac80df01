//! The protocol: checks what is asked, asks the store, translates its answers.
//!
//! Runs on one thread. What hashes, or reads or writes payloads, goes to the pool; locating reads one
//! header for each chunk, which is in the page cache as a rule.

mod areas;
mod failure;
mod metrics;
mod network;
mod put;
mod reading;
mod reclaim;
mod relaying;
mod scrub;
mod status;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use wolfdisk_common::ids::NodeNumber;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::calls::Calls;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use network::Method;

pub use areas::Areas;
pub(crate) use failure::id_bytes;
pub use metrics::{Metrics, ready};
pub use network::{ChunkDoor, Network};

use crate::limits;
use crate::pool::Pool;
use crate::relay::Relay;
use crate::store::Store;
use crate::tasks::scrub::Scrubber;

/// What answers; one for the process.
pub struct ChunkServer {
    store: Arc<Store>,
    scrubber: Arc<Scrubber>,
    pool: Pool,
    areas: Areas,
    in_flight: Arc<Semaphore>,
    network: Option<Arc<Network>>,
    relay: Option<Arc<Relay>>,
    node: NodeNumber,
    volume: [u8; 16],
    page_size: u32,
    started: Instant,
    calls: Calls,
}

impl ChunkServer {
    /// A server for `store`.
    pub fn new(
        store: Arc<Store>,
        scrubber: Arc<Scrubber>,
        pool: Pool,
        node: NodeNumber,
        volume: [u8; 16],
        page_size: u32,
    ) -> Self {
        ChunkServer {
            store,
            scrubber,
            pool,
            areas: Areas::default(),
            in_flight: Arc::new(Semaphore::new(limits::IN_FLIGHT_MAX_BYTES)),
            network: None,
            relay: None,
            node,
            volume,
            page_size,
            started: Instant::now(),
            calls: Calls::new(v1::CHUNK_METHODS),
        }
    }

    /// Answers other machines too.
    #[must_use]
    pub fn with_network(self, network: Arc<Network>) -> Self {
        ChunkServer {
            network: Some(network),
            ..self
        }
    }

    /// Asks other nodes too, once wolfdisk-meta names them.
    #[must_use]
    pub fn with_relay(self, relay: Arc<Relay>) -> Self {
        ChunkServer {
            relay: Some(relay),
            ..self
        }
    }

    /// The life of its store.
    pub fn incarnation(&self) -> u64 {
        self.store.incarnation()
    }

    /// Forgets what belongs to a connection that has ended.
    pub fn connection_closed(&self, connection: u64) {
        self.areas.remove(connection);
    }

    /// Runs something that blocks on the pool.
    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Store) -> Result<T, crate::store::StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.store.clone();
        self.pool
            .run(move || job(&store))
            .await?
            .map_err(Failure::from)
    }
}

impl v1::ChunkService for ChunkServer {
    fn calls(&self) -> &Calls {
        &self.calls
    }

    async fn hello(&self, call: &mut Call, _request: v1::Empty) -> Result<v1::ChunkHello, Failure> {
        let asker = self.asker(call, Method::Hello)?;
        self.say_hello(&asker)
    }

    async fn put(&self, call: &mut Call, request: v1::PutRequest) -> Result<v1::PutReply, Failure> {
        let asker = self.asker(call, Method::Put)?;
        self.take_put(&asker, call.connection, request).await
    }

    async fn flush(
        &self,
        call: &mut Call,
        request: v1::FlushRequest,
    ) -> Result<v1::FlushReply, Failure> {
        let asker = self.asker(call, Method::Flush)?;
        self.flush_for(&asker, request).await
    }

    async fn attach_area(
        &self,
        call: &mut Call,
        request: v1::AttachAreaRequest,
    ) -> Result<v1::Empty, Failure> {
        self.asker(call, Method::AttachArea)?;
        self.areas.attach(call, request.length)
    }

    async fn locate(
        &self,
        call: &mut Call,
        request: v1::LocateRequest,
    ) -> Result<v1::LocateReply, Failure> {
        self.asker(call, Method::Locate)?;
        self.locate_all(&request.ids)
    }

    async fn segment(
        &self,
        call: &mut Call,
        request: v1::SegmentRequest,
    ) -> Result<v1::SegmentReply, Failure> {
        self.asker(call, Method::Segment)?;
        self.hand_over(call, request.segment)
    }

    async fn retired(
        &self,
        call: &mut Call,
        request: v1::RetiredRequest,
    ) -> Result<v1::RetiredReply, Failure> {
        self.asker(call, Method::Retired)?;
        self.which_retired(request.held)
    }

    async fn read(
        &self,
        call: &mut Call,
        request: v1::ReadRequest,
    ) -> Result<v1::ReadReply, Failure> {
        let asker = self.asker(call, Method::Read)?;
        self.read_range(&asker, request).await
    }

    async fn advance_epoch(
        &self,
        call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::AdvanceEpochReply, Failure> {
        self.asker(call, Method::AdvanceEpoch)?;
        self.next_epoch().await
    }

    async fn inventory(
        &self,
        call: &mut Call,
        request: v1::InventoryRequest,
    ) -> Result<v1::InventoryReply, Failure> {
        self.asker(call, Method::Inventory)?;
        self.list(request).await
    }

    async fn free(
        &self,
        call: &mut Call,
        request: v1::FreeRequest,
    ) -> Result<v1::FreeReply, Failure> {
        self.asker(call, Method::Free)?;
        self.free_swept(request).await
    }

    async fn status(
        &self,
        call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::ChunkStatus, Failure> {
        self.asker(call, Method::Status)?;
        self.tell_status()
    }

    async fn compact(
        &self,
        call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::CompactReply, Failure> {
        self.asker(call, Method::Compact)?;
        self.compact_now().await
    }

    async fn scrub(
        &self,
        call: &mut Call,
        request: v1::ScrubRequest,
    ) -> Result<v1::ScrubReply, Failure> {
        self.asker(call, Method::Scrub)?;
        self.scrub_all(request)
    }

    async fn damaged(
        &self,
        call: &mut Call,
        request: v1::DamagedRequest,
    ) -> Result<v1::DamagedReply, Failure> {
        self.asker(call, Method::Damaged)?;
        self.list_damaged(request)
    }

    async fn admit(
        &self,
        call: &mut Call,
        request: v1::AdmitRequest,
    ) -> Result<v1::Empty, Failure> {
        self.asker(call, Method::Admit)?;
        self.admit_members(request)
    }

    async fn peers(
        &self,
        call: &mut Call,
        request: v1::PeersRequest,
    ) -> Result<v1::Empty, Failure> {
        self.asker(call, Method::Peers)?;
        self.take_peers(request).await
    }
}
