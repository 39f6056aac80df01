//! Makes what was written durable: one sync at a time, shared by all that wait.
//!
//! A sync begins at the latest an interval after the first write that it covers, at once when somebody
//! waits, and never when nothing was written. A sync that fails is not repeated: the kernel may have
//! dropped the pages and would report success. The watch's sender is dropped and the daemon ends.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use wolfdisk_common::disk::{Disk, DiskFile};
use wolfdisk_common::ids::LogIndex;

use super::{LogCounts, Syncing};
use crate::consensus::ReplicationError;

/// A file with unsynced writes.
#[derive(Clone)]
pub(super) struct Dirty {
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
    /// Its name is not durable yet either.
    pub new: bool,
}

struct Shared {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    progress: Mutex<Progress>,
    /// There is something to sync, to wait for, or to stop for.
    wake: Condvar,
    /// A sync has ended.
    done: Condvar,
    durable_offset: AtomicU64,
    counts: Arc<LogCounts>,
    failure: OnceLock<(PathBuf, io::Error)>,
}

#[derive(Default)]
struct Progress {
    dirty: BTreeMap<PathBuf, Dirty>,
    since: Option<Instant>,
    written: LogIndex,
    written_offset: u64,
    durable: LogIndex,
    wanted: LogIndex,
    /// Tells what is durable, until a sync fails.
    sender: Option<watch::Sender<LogIndex>>,
    stop: bool,
}

/// See the module.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    receiver: watch::Receiver<LogIndex>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Begins where everything up to `index` and the global `offset` is durable.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        disk: Arc<dyn Disk>,
        directory: &Path,
        index: LogIndex,
        offset: u64,
        syncing: Syncing,
    ) -> io::Result<Syncer> {
        let (sender, receiver) = watch::channel(index);
        let progress = Progress {
            written: index,
            written_offset: offset,
            durable: index,
            sender: Some(sender),
            ..Progress::default()
        };
        let shared = Arc::new(Shared {
            disk,
            directory: directory.to_owned(),
            progress: Mutex::new(progress),
            wake: Condvar::new(),
            done: Condvar::new(),
            durable_offset: AtomicU64::new(offset),
            counts: Arc::default(),
            failure: OnceLock::new(),
        });
        let mut syncer = Syncer {
            shared,
            receiver,
            thread: None,
        };
        if let Syncing::Thread { interval } = syncing {
            let shared = syncer.shared.clone();
            let run = move || shared.run(interval);
            syncer.thread = Some(
                std::thread::Builder::new()
                    .name("log-sync".into())
                    .spawn(run)?,
            );
        }
        Ok(syncer)
    }

    /// Everything before this global offset is durable.
    pub fn durable_offset(&self) -> u64 {
        self.shared.durable_offset.load(Ordering::Acquire)
    }

    /// What is counted of the log.
    pub fn counts(&self) -> &Arc<LogCounts> {
        &self.shared.counts
    }

    /// Everything up to this index is durable.
    pub fn durable(&self) -> LogIndex {
        self.shared.progress.lock().durable
    }

    pub fn subscribe(&self) -> watch::Receiver<LogIndex> {
        self.receiver.clone()
    }

    /// Entries up to `index`, which end at the global `offset`, have been written to `dirty`.
    pub fn written(&mut self, index: LogIndex, offset: u64, dirty: Dirty) {
        let mut progress = self.shared.progress.lock();
        progress.written = index;
        progress.written_offset = offset;
        let known = progress
            .dirty
            .entry(dirty.path.clone())
            .or_insert_with(|| dirty.clone());
        known.new |= dirty.new;
        let first = progress.since.is_none();
        if first {
            progress.since = Some(Instant::now());
        }
        // While something is dirty the thread knows when to look; it is woken for the first write and
        // for one that somebody waits for.
        let awaited = progress.wanted > progress.durable;
        drop(progress);
        if first || awaited {
            self.shared.wake.notify_one();
        }
    }

    /// Somebody waits for `index`.
    pub fn want(&mut self, index: LogIndex) {
        let mut progress = self.shared.progress.lock();
        if index <= progress.wanted || index <= progress.durable {
            return;
        }
        progress.wanted = index;
        let written = progress.since.is_some();
        drop(progress);
        if written {
            self.shared.wake.notify_one();
        }
    }

    /// With `Syncing::Manual`: syncs if somebody waits for what is written.
    pub fn settle(&mut self) {
        let due = {
            let progress = self.shared.progress.lock();
            progress.since.is_some() && progress.wanted > progress.durable
        };
        if due {
            self.step();
        }
    }

    /// Returns when everything written is durable.
    ///
    /// # Errors
    /// `Io`: a sync has failed, now or before.
    pub fn sync(&mut self) -> Result<(), ReplicationError> {
        if self.thread.is_none() {
            self.step();
        } else {
            let mut progress = self.shared.progress.lock();
            let target = progress.written;
            progress.wanted = progress.wanted.max(target);
            self.shared.wake.notify_one();
            while progress.durable < target && self.shared.failure.get().is_none() {
                self.shared.done.wait(&mut progress);
            }
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// Why syncing has ended.
    pub fn failure(&self) -> Option<ReplicationError> {
        self.shared
            .failure
            .get()
            .map(|(path, error)| ReplicationError::Io {
                path: path.clone(),
                source: io::Error::new(error.kind(), format!("a sync failed: {error}")),
            })
    }

    /// Entries above `index`, which ends at the global `offset`, are no more. All is durable, and nothing is being
    /// synced.
    pub fn rewind(&mut self, index: LogIndex, offset: u64) {
        let mut progress = self.shared.progress.lock();
        progress.written = index;
        progress.written_offset = offset;
        progress.durable = index;
        progress.wanted = progress.wanted.min(index);
        self.shared.durable_offset.store(offset, Ordering::Release);
        if let Some(sender) = &progress.sender {
            sender.send_replace(index);
        }
    }

    /// With `Syncing::Manual`: one sync, unless nothing was written or one has failed.
    fn step(&mut self) {
        let progress = self.shared.progress.lock();
        if self.thread.is_none() && progress.since.is_some() && progress.sender.is_some() {
            self.shared.sync(progress);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.progress.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!(?panic, "the thread that syncs the log has panicked");
        }
    }
}

impl Shared {
    fn run(&self, interval: Duration) {
        let mut progress = self.progress.lock();
        while !progress.stop {
            match progress.since {
                None => self.wake.wait(&mut progress),
                Some(since) => {
                    let due = since + interval;
                    if progress.wanted <= progress.durable && Instant::now() < due {
                        self.wake.wait_until(&mut progress, due);
                        continue;
                    }
                    if !self.sync(progress) {
                        return;
                    }
                    progress = self.progress.lock();
                }
            }
        }
    }

    /// One sync of what is written now. False if it failed, for good.
    fn sync(&self, mut progress: parking_lot::MutexGuard<'_, Progress>) -> bool {
        let dirty = std::mem::take(&mut progress.dirty);
        progress.since = None;
        let (index, offset) = (progress.written, progress.written_offset);
        drop(progress);
        let began = Instant::now();
        let outcome = self.sync_files(&dirty);
        self.counts.syncs.add(began.elapsed());
        let mut progress = self.progress.lock();
        let ok = outcome.is_ok();
        match outcome {
            Ok(()) => {
                progress.durable = index;
                self.durable_offset.store(offset, Ordering::Release);
                if let Some(sender) = &progress.sender {
                    sender.send_replace(index);
                }
            }
            Err((path, error)) => {
                progress.sender = None;
                tracing::error!(path = %path.display(), %error, "syncing the log failed");
                // The first failure is the only one: nothing is synced after it.
                let _ = self.failure.set((path, error));
            }
        }
        drop(progress);
        self.done.notify_all();
        ok
    }

    fn sync_files(&self, dirty: &BTreeMap<PathBuf, Dirty>) -> Result<(), (PathBuf, io::Error)> {
        for file in dirty.values() {
            file.file
                .sync_data()
                .map_err(|error| (file.path.clone(), error))?;
        }
        if dirty.values().any(|file| file.new) {
            let synced = self.disk.sync_dir(&self.directory);
            synced.map_err(|error| (self.directory.clone(), error))?;
        }
        Ok(())
    }
}
