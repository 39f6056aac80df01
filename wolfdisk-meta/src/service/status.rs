//! `Status`: everything a tool wants to know, asked once.

use std::collections::HashMap;

use bytes::Bytes;
use wolfdisk_common::ids::SessionId;
use wolfdisk_common::pulse::with_troubles;
use wolfdisk_common::release::release;
use wolfdisk_common::time::Timestamp;
use wolfdisk_discovery::View;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::noise::Guests;
use wolfdisk_proto::v1;

use super::core::Core;
use super::guard;
use super::members::key_note;
use super::rpc::Service;
use crate::index::table::{Table, TableError};
use crate::limits::STATUS_FILLER_BYTES;

impl Service {
    pub(super) fn status(
        &self,
        call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::MetaStatus, Failure> {
        let now = self.clock.monotonic();
        let mut core = self.core();
        let sessions = sessions(&core, now).map_err(|error| self.broken(error))?;
        let usage = core.index.usage(0).map_err(|error| self.broken(error))?;
        let version = core.index.version();
        let durable_version = core.durable_version().0;
        let chunkd = self.space.chunkd();
        let records = core.index.records();
        let options = self.options();
        let heard = self.heard.get();
        let key_note = key_note(&core).map_err(|error| self.broken(error))?;
        // Clients and gateways never hold the key.
        let key_note = key_note.filter(|_| !guard::is_judged(call));
        let mut counters = counters(&core, self.trust().guests());
        let named = heard.into_iter().flat_map(|view| view.counts().named());
        counters.extend(named.map(|(name, value)| (name.to_owned(), value)));
        Ok(v1::MetaStatus {
            node: options.node.clone(),
            role: options.role.clone(),
            state: "leader".into(),
            release: release().into(),
            volume_id: options.volume.as_bytes().to_vec().into(),
            generation: core.log.term().0,
            version: version.0,
            durable_version,
            checkpoint_version: records.table().applied().version.0,
            incarnation: options.incarnation.0,
            inodes: usage.inodes,
            bytes: usage.bytes,
            chunks: core.index.counters().chunks,
            undestaged_bytes: core.index.undestaged_bytes(),
            log_bytes: core.log.log_bytes(),
            overlay_bytes: records.overlay_bytes() + records.frozen_bytes(),
            sessions,
            counters,
            // Of other machines not all may know the names of files.
            reasons: self.reasons(!guard::is_judged(call), chunkd.as_ref()),
            mode: options.mode.clone(),
            uptime_ms: self.uptime().as_millis() as u64,
            chunkd,
            listens: self
                .trust()
                .addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            wall_ms: wall_ms(self.clock.now()),
            filler: match call.principal {
                Some(_) => Bytes::from_static(&[0; STATUS_FILLER_BYTES]),
                None => Bytes::new(),
            },
            notes: (heard.map(View::notes).unwrap_or_default().into_iter())
                .chain(key_note)
                .collect(),
        })
    }

    /// What it does, in a line for whoever looks at the machine: no names of files.
    pub fn doing(&self) -> String {
        let core = self.core();
        let (usage, sessions) = (core.index.usage(0), core.feeds.len());
        drop(core);
        let inodes = match usage {
            Ok(usage) => usage.inodes,
            Err(error) => return self.broken(error).to_string(),
        };
        let volume = self.options().volume;
        let doing = format!("leads cluster {volume}, {inodes} inodes, {sessions} sessions");
        with_troubles(doing, &self.reasons(false, self.space.chunkd().as_ref()))
    }

    /// What is wrong, with names of files or without.
    pub(super) fn reasons(&self, names: bool, chunkd: Option<&v1::ChunkStatus>) -> Vec<String> {
        let mut reasons = Vec::new();
        match chunkd {
            Some(status) => reasons.extend(status.reasons.iter().cloned()),
            None => reasons.push("wolfdisk-chunkd does not answer".into()),
        }
        if self.space.is_full() {
            reasons.push("the disk is full: only deleting is possible".into());
        }
        reasons.extend(self.trust().trouble());
        reasons.extend(self.heard.get().into_iter().flat_map(View::troubles));
        if names {
            reasons.extend(self.damaged_files());
        }
        if let Some(error) = &*self.failure.borrow() {
            reasons.push(error.to_string());
        }
        reasons
    }
}

fn wall_ms(now: Timestamp) -> u64 {
    let seconds = now.seconds.max(0) as u64;
    seconds.saturating_mul(1000) + u64::from(now.nanos / 1_000_000)
}

fn sessions(core: &Core, now: std::time::Duration) -> Result<Vec<v1::SessionStatus>, TableError> {
    let one = |(session, record): (SessionId, crate::index::record::Session)| {
        let heard = core.liveness.last_heard(session).unwrap_or(now);
        Ok(v1::SessionStatus {
            session: session.0,
            frontend: record.frontend,
            place: record.place,
            pid: record.pid,
            last_seen_ms: now.saturating_sub(heard).as_millis() as u64,
            rights: core.coherence.rights_held(session) as u64,
            locks: core.index.locked_by(session)?.len() as u64,
            orphans: core.index.orphans_of(session)?.len() as u64,
        })
    };
    core.index.sessions()?.into_iter().map(one).collect()
}

fn counters(core: &Core, guests: &Guests) -> HashMap<String, u64> {
    let counts = core.counters;
    let all = [
        ("mutations", counts.mutations),
        ("batches", counts.batches),
        ("barriers", counts.barriers),
        ("lock_waits", counts.lock_waits),
        ("repeated_mutations", counts.repeated),
        ("expired_sessions", counts.expired_sessions),
        ("garbage_chunks", core.index.counters().garbage),
        ("repacked_bytes", counts.repacked_bytes),
        ("calls_denied", counts.denied),
        ("queued_mutations", core.queue.len() as u64),
    ];
    all.into_iter()
        .chain(guests.counters())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
