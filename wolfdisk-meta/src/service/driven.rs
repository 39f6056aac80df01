//! A core without a service around it: what a daemon does with it, for simulations, step by step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, oneshot};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::ids::{Incarnation, Ino, LogIndex, SessionId, Version};
use wolfdisk_common::limits::FEED_MAX_ITEMS;
use wolfdisk_common::time::Timestamp;

use super::batch::{Done, Pending};
use super::core::Core;
use super::error::ServiceError;
use crate::consensus::Replication;
use crate::index::checkpoint::RedbTable;
use crate::index::key::everything;
use crate::index::op::{Answer, Op, Origin};
use crate::index::overlay::State;
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::index::{Genesis, Index};
use crate::machine::feed_queue::Numbered;
use crate::machine::leases::LEASE;
use crate::machine::rights::RightSet;

const GENESIS: Genesis = Genesis {
    volume_id: [1; 16],
    created: Timestamp {
        seconds: 1,
        nanos: 0,
    },
    uid: 0,
    gid: 0,
};

/// See the module.
pub(crate) struct Driven {
    core: Mutex<Core>,
    work: Notify,
}

impl Driven {
    /// Over an empty index, which gets all that `log` holds.
    pub(crate) fn new(log: Box<dyn Replication>, now: Duration) -> Result<Driven, ServiceError> {
        let disk: Arc<dyn Disk> = Arc::new(CrashDisk::new());
        disk.create_dir_all(Path::new("/index"))
            .expect("a directory in memory");
        let table = RedbTable::create(&disk, Path::new("/index/1.redb"), 1 << 20)?;
        let index = Index::open(State::new(Arc::new(table)), &GENESIS)?;
        Ok(Driven {
            core: Mutex::new(Core::new(index, log, Incarnation(1), now)?),
            work: Notify::new(),
        })
    }

    /// Waits until there may be something to do.
    pub(crate) async fn wait(&self) {
        let news = self.core.lock().log.news();
        let news = async {
            match news {
                Some(news) => news.notified().await,
                None => std::future::pending().await,
            }
        };
        // In this order, so that a run can be repeated.
        tokio::select! {
            biased;
            () = self.work.notified() => {}
            () = news => {}
        }
    }

    /// Does what there is to do.
    pub(crate) fn turn(&self, wall: Timestamp, now: Duration) -> Result<(), ServiceError> {
        let mut core = self.core.lock();
        core.tick(now);
        while core.run_batch(wall, now)? {}
        Ok(())
    }

    /// Whether it decides, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        self.core.lock().leads.is_some()
    }

    /// Asks for a mutation; none: it is not for this node to decide.
    pub(crate) fn ask(&self, op: Op, origin: Option<Origin>) -> Option<Asked> {
        let (answer, receiver) = oneshot::channel();
        let mut core = self.core.lock();
        core.leads?;
        core.queue.push_back(Pending {
            op,
            origin,
            durable: true,
            lock_until: None,
            asker: None,
            answer,
        });
        drop(core);
        self.work.notify_one();
        Some(Asked(receiver))
    }

    /// What a name in the root means; none: it may not answer. Not `sure`: it answers although another node may have decided
    /// something since.
    pub(crate) fn lookup(
        &self,
        session: SessionId,
        name: &[u8],
        now: Duration,
        sure: bool,
    ) -> Result<Option<Seen>, TableError> {
        let mut core = self.core.lock();
        if core.leads.is_none() || (sure && !core.may_answer()) {
            return Ok(None);
        }
        let found = core.index.lookup(Ino::ROOT, name)?;
        let version = core.index.version();
        let wanted = RightSet::NAMES;
        let granted = core
            .coherence
            .grant(session, Ino::ROOT, wanted, version, now);
        Ok(Some(Seen {
            version,
            found: found.map(|(ino, _)| ino),
            may_be_kept: granted.has(wanted),
        }))
    }

    /// A heartbeat of a session, which has done what it was told up to `confirmed`: how long its rights last from when it
    /// was sent, and what it is told. None: it is not for this node to answer.
    pub(crate) fn heartbeat(
        &self,
        session: SessionId,
        confirmed: u64,
        now: Duration,
    ) -> Option<(Duration, Vec<Numbered>)> {
        let mut core = self.core.lock();
        if !core.may_answer() {
            return None;
        }
        let beat = core
            .coherence
            .heartbeat(session, confirmed, confirmed, now)?;
        core.barriers_fell(beat.fallen);
        let told = core.coherence.outgoing(session, FEED_MAX_ITEMS, now);
        Some((beat.lease, told))
    }

    /// Takes all leases for run out.
    pub(crate) fn skip_leases(&self, now: Duration) {
        self.core.lock().tick(now + 2 * LEASE);
    }

    /// Its last entry, and a digest of all there is.
    pub(crate) fn state(&self) -> Result<(LogIndex, [u8; 32]), TableError> {
        let core = self.core.lock();
        let mut digest = Sha256::new();
        core.index
            .records()
            .range(&everything(), &mut |key, value| {
                for part in [key, value] {
                    digest.update((part.len() as u64).to_le_bytes());
                    digest.update(part);
                }
                true
            })?;
        let last = core.index.records().applied().index;
        Ok((last, digest.finalize().into()))
    }
}

/// What a name means.
pub(crate) struct Seen {
    /// At this version.
    pub version: Version,
    pub found: Option<Ino>,
    /// Until it is told otherwise or its lease has run out the session may go by it.
    pub may_be_kept: bool,
}

/// A mutation that was asked for.
pub(crate) struct Asked(oneshot::Receiver<Done>);

impl Asked {
    /// Its answer, once others have dropped what it changed; none: it is to be asked again, of whoever decides then.
    pub(crate) async fn answer(self) -> Option<Answer> {
        let done = self.0.await.ok()?;
        match done.barrier {
            Some(barrier) => barrier.await.ok().map(|()| done.answer),
            None => Some(done.answer),
        }
    }
}
