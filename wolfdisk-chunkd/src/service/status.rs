//! What the daemon says of itself.

use wolfdisk_common::pulse::with_troubles;
use wolfdisk_common::release::release;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::ChunkServer;
use super::network::Asker;

/// What people count room in.
const GIB: f64 = (1_u64 << 30) as f64;

impl ChunkServer {
    /// What it does, in a line for whoever looks at the machine, said by a thread that reads and writes.
    pub async fn doing(&self) -> String {
        let store = self.store.clone();
        let asked = self.pool.run(move || (store.summary(), store.room()));
        let (summary, room) = match asked.await {
            Ok(answer) => answer,
            Err(ending) => return ending.to_string(),
        };
        let chunks = summary.chunks;
        let doing = match room {
            Ok(room) => {
                let free = room.available_bytes as f64 / GIB;
                format!("{chunks} chunks, {free:.1} GiB free")
            }
            Err(error) => format!("{chunks} chunks, {error}"),
        };
        let network = self.network.as_ref();
        let trouble = network.and_then(|network| network.trouble().map(str::to_owned));
        let mut reasons = summary.reasons;
        reasons.extend(trouble);
        with_troubles(doing, &reasons)
    }

    pub(super) fn say_hello(&self, asker: &Asker) -> Result<v1::ChunkHello, Failure> {
        let room = self.store.room()?;
        let free_bytes = match asker {
            Asker::Local | Asker::Node => room.available_bytes.saturating_sub(room.reserve_bytes),
            // It would show whether what was put had been there.
            Asker::Member(..) => 0,
        };
        Ok(v1::ChunkHello {
            node: self.node.0,
            incarnation: self.store.incarnation(),
            epoch: self.store.epoch(),
            page_size: self.page_size,
            volume_id: bytes::Bytes::copy_from_slice(&self.volume),
            free_bytes,
            full: room.is_full(),
            port: self
                .network
                .as_ref()
                .map_or(0, |network| network.port().into()),
        })
    }

    pub(super) fn tell_status(&self) -> Result<v1::ChunkStatus, Failure> {
        let room = self.store.room()?;
        let summary = self.store.summary();
        let mut counters = self.store.counters().all();
        let mut reasons = summary.reasons;
        if let Some(network) = &self.network {
            counters.extend(network.guests().counters());
            counters.push(("calls_denied", network.denied()));
            reasons.extend(network.trouble().map(str::to_owned));
        }
        let relay = self.relay.as_ref();
        if let Some(relay) = relay.filter(|relay| relay.is_among_others()) {
            counters.extend(relay.counts().all());
        }
        Ok(v1::ChunkStatus {
            node: self.node.0,
            incarnation: self.store.incarnation(),
            epoch: summary.epoch,
            chunks: summary.chunks,
            live_bytes: summary.live_bytes,
            segment_bytes: summary.segment_bytes,
            segments: summary.segments,
            disk_total_bytes: room.total_bytes,
            disk_free_bytes: room.available_bytes,
            reserve_bytes: room.reserve_bytes,
            full: room.is_full(),
            durable_place: summary.durable.0,
            counters: counters
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            reasons,
            scrub: Some(self.scrub_status()),
            damaged_chunks: summary.damaged_chunks,
            damage_revision: self.store.damage_revision(),
            release: release().to_owned(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}
