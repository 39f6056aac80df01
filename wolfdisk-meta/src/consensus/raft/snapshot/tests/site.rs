//! A node without Raft: an index over its checkpoint, a log, and what is there for snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage};
use parking_lot::Mutex;
use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::ids::{Ino, LogIndex, Term};
use wolfdisk_common::name::FileName;
use wolfdisk_common::time::Timestamp;

use super::super::install::Said;
use super::super::{
    Built, IndexOwner, Installing, Intake, Sending, Snapshot, SnapshotError, SnapshotParts, Switch,
};
use crate::consensus::raft::store::RaftStore;
use crate::consensus::raft::wire::{SnapshotSink, Taken};
use crate::consensus::raft::{Entry, Types, log_id};
use crate::index::checkpoint::RedbTable;
use crate::index::op::{Entry as Mutation, Kind, Op};
use crate::index::overlay::State;
use crate::index::table::{Applied, Table};
use crate::index::{Genesis, Index};
use crate::log::store::Log;
use crate::log::{LogOptions, Syncing};
use crate::manifest::Manifest;
use crate::storage::{Generations, StorageOptions, empty};

pub const DIRECTORY: &str = "/meta";
pub const VOLUME: Uuid = Uuid::from_u128(7);
pub const OPTIONS: StorageOptions = StorageOptions {
    log: LogOptions {
        segment_bytes: 16 * 1024,
        syncing: Syncing::Manual,
        first_segment: 0,
    },
    checkpoint_cache_bytes: 1 << 20,
};

pub type Failure = Box<dyn std::error::Error>;
pub type Store = Index<State<RedbTable>>;

pub fn genesis(volume: Uuid) -> Genesis {
    Genesis {
        volume_id: *volume.as_bytes(),
        created: Timestamp::default(),
        uid: 0,
        gid: 0,
    }
}

/// The index, and whoever replaces it.
pub struct Held {
    pub index: Mutex<Store>,
    pub files: Mutex<Generations>,
    pub wanted: AtomicBool,
    volume: Uuid,
}

impl IndexOwner for Held {
    fn checkpoint(&self) -> Arc<RedbTable> {
        self.index.lock().records().table().clone()
    }

    fn want_checkpoint(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    fn replace(&self, switch: Switch<'_>) -> Result<(), SnapshotError> {
        let mut files = self.files.lock();
        let mut index = self.index.lock();
        let installed = switch(&mut files)?;
        *index = Index::open(State::new(installed.table), &genesis(self.volume))?;
        Ok(())
    }
}

/// See the module.
pub struct Site {
    pub disk: Arc<dyn Disk>,
    directory: PathBuf,
    pub held: Arc<Held>,
    pub store: RaftStore,
    pub intake: Arc<Intake>,
    pub sending: Arc<Sending>,
    pub installing: Arc<Installing>,
}

/// The files of an index, opened or made.
pub fn files(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    volume: Uuid,
    options: &StorageOptions,
) -> Result<(Manifest, RedbTable, Log), Failure> {
    disk.create_dir_all(directory)?;
    let cache = options.checkpoint_cache_bytes;
    let (mut manifest, table) = match Manifest::load(&**disk, directory)? {
        Some(manifest) => {
            let files = Generations::new(
                disk.clone(),
                directory.to_owned(),
                manifest.clone(),
                options,
            );
            files.remove_old()?;
            let table = RedbTable::open(disk, &directory.join(&manifest.checkpoint), cache)?;
            (manifest, table)
        }
        None => {
            let manifest = empty(volume);
            let path = directory.join(&manifest.checkpoint);
            disk.remove(&path).ok();
            (manifest, RedbTable::create(disk, &path, cache)?)
        }
    };
    let log = LogOptions {
        first_segment: manifest.first_segment,
        ..options.log
    };
    let log = Log::open(disk.clone(), &directory.join("log"), &log)?;
    manifest.first_segment = log.first_segment();
    manifest.begin_incarnation(&**disk, directory)?;
    Ok((manifest, table, log))
}

impl Site {
    pub fn start(disk: &Arc<dyn Disk>) -> Result<Site, Failure> {
        Site::of(disk, VOLUME)
    }

    pub fn of(disk: &Arc<dyn Disk>, volume: Uuid) -> Result<Site, Failure> {
        Site::open(disk, Path::new(DIRECTORY), volume, &OPTIONS)
    }

    pub fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        volume: Uuid,
        options: &StorageOptions,
    ) -> Result<Site, Failure> {
        let (manifest, table, log) = files(disk, directory, volume, options)?;
        let applied = table.applied();
        let store = RaftStore::open(disk, directory, log, applied)?;
        let mut index = Index::open(State::new(Arc::new(table)), &genesis(volume))?;
        // Where Raft says what is committed it is applied later.
        let alone = options.log.syncing == Syncing::Manual;
        for next in applied.index.0 + 1..=store.written().0 {
            if alone {
                let (term, payload) = store.read_entry(LogIndex(next))?;
                apply(&mut index, LogIndex(next), term, payload)?;
            }
        }
        let generations = Generations::new(disk.clone(), directory.into(), manifest, options);
        let held = Arc::new(Held {
            index: Mutex::new(index),
            files: Mutex::new(generations),
            wanted: AtomicBool::new(false),
            volume,
        });
        let intake = Intake::open(disk.clone(), directory, volume, applied, options)?;
        let intake = Arc::new(intake);
        Ok(Site {
            sending: Arc::new(Sending::new(held.clone(), store.clone(), volume)),
            installing: Arc::new(Installing::new(
                disk.clone(),
                held.clone(),
                store.clone(),
                intake.clone(),
                options.checkpoint_cache_bytes,
            )),
            directory: directory.to_owned(),
            disk: disk.clone(),
            held,
            store,
            intake,
        })
    }

    /// The next entry of the log, in a term.
    pub fn log(&self, term: u64, op: Op) -> LogIndex {
        let index = LogIndex(self.store.written().0 + 1);
        let time = Timestamp {
            seconds: index.0 as i64,
            nanos: 0,
        };
        let origin = None;
        let payload = Mutation { time, origin, op }.encode();
        let entry = Entry {
            log_id: log_id(index, Term(term)).expect("not the place before the first"),
            payload: EntryPayload::Normal(payload.into()),
        };
        let mut store = self.store.clone();
        let appended = store.append([entry], IOFlushed::<Types>::noop());
        let appended = appended.now_or_never().expect("it waits for nobody");
        appended.expect("written");
        index
    }

    /// The same, and applies it.
    pub fn run(&self, op: Op) {
        self.run_in(1, op);
    }

    pub fn run_in(&self, term: u64, op: Op) {
        let index = self.log(term, op);
        let (term, payload) = self.store.read_entry(index).expect("it was written");
        apply(&mut self.held.index.lock(), index, term, payload).expect("applied");
    }

    /// Makes a file of `length` bytes which ride in the log.
    pub fn make(&self, name: &str, length: usize) {
        self.run(Op::Create {
            parent: Ino::ROOT,
            name: FileName::new(name.as_bytes()).expect("a name"),
            kind: Kind::File,
            permissions: 0o644,
            umask: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            symlink: Bytes::new(),
        });
        let found = self.held.index.lock().lookup(Ino::ROOT, name.as_bytes());
        let (ino, _) = found.expect("readable").expect("it was made");
        self.run(Op::Append {
            ino,
            data: vec![length as u8; length].into(),
            kill_suid: false,
        });
    }

    pub fn remove(&self, name: &str) {
        self.run(Op::Unlink {
            parent: Ino::ROOT,
            name: FileName::new(name.as_bytes()).expect("a name"),
            directory: false,
            keep_open: false,
            openers: Vec::new(),
        });
    }

    /// Gives back what the checkpoint and snapshots do not need of the log.
    pub fn cut(&self) {
        let applied = self.held.checkpoint().applied();
        let held = self.sending.held().expect("readable");
        self.store.truncate_before(held).expect("cut");
        let purged = log_id(applied.index, applied.term).expect("an entry");
        let mut store = self.store.clone();
        let purged = store.purge(purged).now_or_never();
        purged.expect("it waits for nobody").expect("purged");
    }

    pub fn checkpoint(&self) -> Result<(), Failure> {
        let mut index = self.held.index.lock();
        let Some(job) = index.records_mut().freeze() else {
            return Ok(());
        };
        self.store.sync()?;
        job.run()?;
        index.records_mut().thaw();
        Ok(())
    }

    pub fn applied(&self) -> Applied {
        self.held.index.lock().records().applied()
    }

    pub fn manifest(&self) -> Manifest {
        let found = Manifest::load(&*self.disk, &self.directory);
        found.expect("readable").expect("it is there")
    }

    /// Everything that the index holds.
    pub fn content(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let index = self.held.index.lock();
        let mut all = Vec::new();
        let scanned = index.records().scan(&[], &[u8::MAX], &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            true
        });
        scanned.expect("readable");
        all
    }

    /// Everything in the log that content rides in can be read.
    pub fn check_needed(&self) {
        let index = self.held.index.lock();
        let first = index.first_needed_log_index().expect("readable");
        drop(index);
        let Some(first) = first else { return };
        for index in first.0..=self.applied().index.0 {
            self.store.read_entry(LogIndex(index)).expect("it is there");
        }
    }

    /// Takes parts until all are there.
    pub fn take(&self, parts: &dyn SnapshotParts) -> Result<Box<Built>, Failure> {
        let id = parts.id();
        let mut number = self.intake.wanted(&id);
        loop {
            let part = parts.part(number)?.ok_or("there are no more parts")?;
            match self.intake.take(&id, number, &part)? {
                Taken::Next(next) => number = next,
                Taken::Whole(Snapshot::Come(built)) => return Ok(built),
                Taken::Whole(Snapshot::Own(_)) => return Err("one of its own".into()),
            }
        }
    }

    /// Takes the newest snapshot of another and puts it into its place.
    pub fn follow(&self, other: &Site) -> Result<(), Failure> {
        let sent = other.sending.snapshot()?.ok_or("nothing to send")?;
        let built = self.take(&*sent.parts)?;
        let said = Said::of(sent.applied, sent.voters.as_ref());
        self.installing.install(&said, &built)?;
        Ok(())
    }

    /// What is beside the index.
    pub fn left_over(&self) -> Vec<PathBuf> {
        let directory = self.directory.join(super::super::intake::DIRECTORY);
        let names = self.disk.list(&directory).unwrap_or_default();
        names.iter().map(|name| directory.join(name)).collect()
    }
}

pub fn apply(index: &mut Store, at: LogIndex, term: Term, payload: Bytes) -> Result<(), Failure> {
    index.apply(at, term, payload)?;
    let version = index.version();
    index.records_mut().set_applied(Applied {
        index: at,
        term,
        version,
    });
    Ok(())
}
