//! Passes that tools ask for, and what is known to be damaged.

use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::ChunkServer;
use super::failure::{id_bytes, parse_id};
use crate::limits;
use crate::store::damage::Damage;
use crate::store::progress::{Progress, Scrubbed};

impl ChunkServer {
    pub(super) fn scrub_all(&self, request: v1::ScrubRequest) -> Result<v1::ScrubReply, Failure> {
        let run = match request.run {
            0 => self.scrubber.begin(&self.store, request.bytes_per_second),
            number => self
                .scrubber
                .follow(number)
                // It ended and another began, or the daemon was started anew.
                .ok_or(Failure::Errno(libc::ESTALE))?,
        };
        Ok(v1::ScrubReply {
            run: run.number,
            done_bytes: run.pass.bytes,
            total_bytes: run.total_bytes,
            chunks: run.pass.chunks,
            damaged: run.pass.damaged,
            healed: run.pass.healed,
            ended: run.ended,
            failed: run.failed.unwrap_or_default(),
        })
    }

    pub(super) fn list_damaged(
        &self,
        request: v1::DamagedRequest,
    ) -> Result<v1::DamagedReply, Failure> {
        let after = match request.after.is_empty() {
            true => None,
            false => Some(parse_id(&request.after)?),
        };
        let max = (request.max as usize).clamp(1, limits::DAMAGED_MAX);
        let revision = self.store.damage_revision();
        let (chunks, end) = self.store.damaged(after, max);
        Ok(v1::DamagedReply {
            chunks: chunks.into_iter().map(damaged).collect(),
            end,
            revision,
        })
    }

    pub(super) fn scrub_status(&self) -> v1::ScrubStatus {
        let plan = self.scrubber.plan();
        let Progress {
            since_s,
            running,
            last,
        } = self.scrubber.progress();
        let last = last.unwrap_or_default();
        let Scrubbed { began_s, pass, .. } = running.unwrap_or_default();
        v1::ScrubStatus {
            enabled: plan.interval.is_some(),
            bytes_per_second: plan.bytes_per_second,
            interval_s: plan.interval.unwrap_or_default().as_secs(),
            due_s: since_s + plan.interval.unwrap_or_default().as_secs(),
            running: running.is_some(),
            began_s,
            position: pass.next.0,
            done_bytes: pass.bytes,
            last_began_s: last.began_s,
            last_ended_s: last.ended_s,
            last_bytes: last.pass.bytes,
            last_chunks: last.pass.chunks,
            last_damaged: last.pass.damaged,
            last_healed: last.pass.healed,
        }
    }
}

fn damaged(damage: Damage) -> v1::DamagedChunk {
    let range = |range: std::ops::Range<u32>| v1::ByteRange {
        from: range.start.into(),
        to: range.end.into(),
    };
    v1::DamagedChunk {
        id: id_bytes(&damage.id),
        length: damage.length,
        ranges: damage.ranges.into_iter().map(range).collect(),
    }
}
