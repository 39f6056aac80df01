//! Epochs, inventory, sweeps and hurried compaction, driven by wolfdisk-meta.

use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::ChunkServer;
use super::failure::{id_bytes, parse_id, parse_ids};
use crate::limits;

impl ChunkServer {
    pub(super) async fn next_epoch(&self) -> Result<v1::AdvanceEpochReply, Failure> {
        let swept = self.blocking(|store| store.advance_epoch()).await?;
        let incarnation = self.store.incarnation();
        Ok(v1::AdvanceEpochReply {
            swept,
            incarnation,
            node: self.node.0,
        })
    }

    pub(super) async fn list(
        &self,
        request: v1::InventoryRequest,
    ) -> Result<v1::InventoryReply, Failure> {
        let v1::InventoryRequest {
            after,
            max,
            stamp_at_most,
            stamp_above,
        } = request;
        let after = if after.is_empty() {
            None
        } else {
            Some(parse_id(&after)?)
        };
        let max = (max as usize).clamp(1, limits::RECLAIM_MAX_IDS);
        let (ids, end) = self
            .blocking(move |store| store.inventory(after, max, stamp_above, stamp_at_most))
            .await?;
        Ok(v1::InventoryReply {
            ids: ids.iter().map(|(id, _)| id_bytes(id)).collect(),
            lengths: ids.iter().map(|(_, length)| *length).collect(),
            end,
        })
    }

    pub(super) async fn free_swept(
        &self,
        request: v1::FreeRequest,
    ) -> Result<v1::FreeReply, Failure> {
        let v1::FreeRequest {
            swept,
            incarnation,
            ids,
        } = request;
        let ids = parse_ids(&ids, limits::RECLAIM_MAX_IDS)?;
        let freed = self
            .blocking(move |store| store.free(swept, incarnation, &ids))
            .await?;
        Ok(v1::FreeReply {
            freed: freed.iter().map(id_bytes).collect(),
        })
    }

    pub(super) async fn compact_now(&self) -> Result<v1::CompactReply, Failure> {
        let done = self
            .blocking(|store| store.compact_within(limits::COMPACT_NOW))
            .await?;
        Ok(v1::CompactReply {
            segments: done.segments,
            freed_bytes: done.freed_bytes,
            more: done.more,
        })
    }
}
