//! A store on a disk that can crash, beside a model of what must be in it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_chunkd::digest::Digest;
use wolfdisk_chunkd::store::{Admission, Options, Receipt, Store, StoreError};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_common::ids::ChunkId;

pub const DIR: &str = "/data/chunks";
pub const VOLUME: [u8; 16] = [7; 16];
/// Small, so that segments roll often.
pub const SEGMENT_BYTES: u64 = 96 * 1024;

/// The bytes of chunk number `n`: sizes around every boundary of the format.
pub fn content(n: u8) -> Vec<u8> {
    const SIZES: [usize; 12] = [
        1, 7, 512, 4095, 4096, 4097, 20_000, 65_535, 65_536, 65_537, 100_000, 131_073,
    ];
    let size = SIZES[usize::from(n) % SIZES.len()];
    (0..size)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(n) ^ (at >> 8) as u8)
        .collect()
}

pub fn id(n: u8) -> ChunkId {
    chunk_id(&content(n))
}

pub fn options(disk: Arc<dyn Disk>) -> Options {
    Options {
        disk,
        dir: PathBuf::from(DIR),
        volume: VOLUME,
        page_size: 4096,
        segment_bytes: Some(SEGMENT_BYTES),
    }
}

pub fn put(store: &Store, bytes: &[u8]) -> Result<Receipt, StoreError> {
    store.put(
        &Digest::of(bytes),
        &[Bytes::copy_from_slice(bytes)],
        Admission::Ordinary,
    )
}

/// What is known of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It must be there, stamped so; after a crash too if it was flushed.
    Live { stamp: u64, flushed: bool },
    /// It must not be there.
    Gone,
    /// A crash or a failed operation leaves both open; if it is there, it must be intact.
    Open,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Put(u8),
    Flush,
    Advance,
    Free(u8),
    Compact,
    Checkpoint,
    CleanRestart,
    /// The process dies; the page cache stays.
    Kill,
    Crash(u64),
    /// The power goes at the n-th operation from now; the crash follows when it is noticed.
    PowerOffAt(u64, u64),
}

/// See the module. Every method gives what promise was broken.
pub struct World {
    pub crash_disk: CrashDisk,
    pub disk: Arc<dyn Disk>,
    pub store: Option<Store>,
    pub chunks: BTreeMap<u8, Known>,
    pub ended: u64,
    pub epoch: u64,
    crash_seed: u64,
}

type Checked = Result<(), String>;

impl World {
    pub fn new() -> World {
        let disk = CrashDisk::new();
        World::on(disk.clone(), Arc::new(disk))
    }

    pub fn on(crash_disk: CrashDisk, disk: Arc<dyn Disk>) -> World {
        let mut world = World {
            crash_disk,
            disk,
            store: None,
            chunks: BTreeMap::new(),
            ended: 0,
            epoch: 0,
            crash_seed: 1,
        };
        world.open().expect("a new store");
        world
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("an open store")
    }

    fn open(&mut self) -> Checked {
        let store =
            Store::open(options(self.disk.clone())).map_err(|error| format!("open: {error}"))?;
        if store.epoch() <= self.epoch {
            return Err(format!("epoch {} after {}", store.epoch(), self.epoch));
        }
        self.epoch = store.epoch();
        self.ended = self.epoch - 1;
        self.store = Some(store);
        Ok(())
    }

    /// Runs a step. An operation that fails because the power is off becomes a crash.
    pub fn step(&mut self, step: Step) -> Checked {
        match self.attempt(step) {
            Err(_) if self.crash_disk.is_off() => self.crash(self.crash_seed),
            outcome => outcome,
        }
    }

    fn attempt(&mut self, step: Step) -> Checked {
        let failed = |error: StoreError| error.to_string();
        match step {
            Step::Put(n) => {
                let before = self.chunks.insert(n, Known::Open);
                let receipt = put(self.store(), &content(n)).map_err(failed)?;
                let known = matches!(before, Some(Known::Live { .. }));
                if known && !receipt.deduplicated {
                    return Err(format!("chunk {n} was stored twice"));
                }
                if receipt.id != id(n) || receipt.epoch != self.epoch {
                    return Err(format!("a wrong receipt for {n}: {receipt:?}"));
                }
                let flushed = self.store().watermark().durable().position >= receipt.position;
                self.chunks.insert(
                    n,
                    Known::Live {
                        stamp: receipt.epoch,
                        flushed,
                    },
                );
            }
            Step::Flush => {
                self.store().sync_to(self.store().end()).map_err(failed)?;
                self.all_flushed();
            }
            Step::Advance => {
                // If it fails it may or may not have taken place.
                self.ended = self.store().advance_epoch().map_err(failed)?;
                self.epoch = self.store().epoch();
                if self.epoch != self.ended + 1 {
                    return Err("an epoch was left out".to_owned());
                }
            }
            Step::Free(n) => self.free(n).map_err(failed)??,
            Step::Compact => {
                self.store().compact(&|_| ()).map_err(failed)?;
            }
            Step::Checkpoint => {
                self.store().checkpoint().map_err(failed)?;
                // What precedes it was synced for it.
                self.all_flushed();
            }
            Step::CleanRestart => {
                self.store().close().map_err(failed)?;
                self.all_flushed();
                self.reopen(false)?;
            }
            Step::Kill => self.reopen(true)?,
            Step::Crash(seed) => self.crash(seed)?,
            Step::PowerOffAt(nth, seed) => {
                self.crash_seed = seed;
                self.crash_disk.power_off_at(nth);
            }
        }
        Ok(())
    }

    fn free(&mut self, n: u8) -> Result<Checked, StoreError> {
        let known = self.chunks.insert(n, Known::Open).unwrap_or(Known::Gone);
        let store = self.store();
        let gone = store.free(self.ended, store.incarnation(), &[id(n)])?;
        let freed = gone == [id(n)];
        let right = match known {
            Known::Live { stamp, .. } => freed == (stamp <= self.ended),
            Known::Gone => freed,
            Known::Open => true,
        };
        let now = match (freed, known) {
            (true, _) => Known::Gone,
            (false, Known::Live { stamp, flushed }) => Known::Live { stamp, flushed },
            (false, _) => Known::Live {
                stamp: self.epoch,
                flushed: false,
            },
        };
        self.chunks.insert(n, now);
        Ok(if right {
            Ok(())
        } else {
            Err(format!("free of {n}: {freed}, but it was {known:?}"))
        })
    }

    fn all_flushed(&mut self) {
        for known in self.chunks.values_mut() {
            if let Known::Live { flushed, .. } = known {
                *flushed = true;
            }
        }
    }

    /// Ends the store as it is and opens it again. Without a checkpoint at the end, what was freed may
    /// come back.
    fn reopen(&mut self, abrupt: bool) -> Checked {
        self.store = None;
        self.open()?;
        for known in self.chunks.values_mut() {
            match known {
                Known::Live { stamp, flushed } => (*stamp, *flushed) = (self.epoch, true),
                Known::Gone if abrupt => *known = Known::Open,
                Known::Gone | Known::Open => {}
            }
        }
        self.check()
    }

    pub fn crash(&mut self, seed: u64) -> Checked {
        self.store = None;
        self.crash_disk.crash(seed);
        self.open()?;
        for known in self.chunks.values_mut() {
            *known = match known {
                Known::Live { flushed: true, .. } => Known::Live {
                    stamp: self.epoch,
                    flushed: true,
                },
                _ => Known::Open,
            };
        }
        self.check()
    }

    /// Checks every chunk, and settles what was open.
    pub fn check(&mut self) -> Checked {
        let epoch = self.epoch;
        let store = self.store.as_ref().expect("an open store");
        let mut live = 0;
        for (n, known) in &mut self.chunks {
            let expected = content(*n);
            let found = match store.read(&id(*n), 0, expected.len() as u32) {
                Ok(bytes) if bytes == expected => true,
                Ok(_) => return Err(format!("chunk {n} has wrong bytes")),
                Err(StoreError::NotFound(_)) => false,
                Err(error) => return Err(format!("chunk {n}: {error}")),
            };
            live += u64::from(found);
            match (*known, found) {
                (Known::Live { .. }, false) => return Err(format!("chunk {n} is lost: {known:?}")),
                (Known::Gone, true) => return Err(format!("chunk {n} was freed and is there")),
                (Known::Open, true) => {
                    *known = Known::Live {
                        stamp: epoch,
                        flushed: true,
                    }
                }
                (Known::Open, false) => *known = Known::Gone,
                _ => {}
            }
        }
        let summary = store.summary();
        if summary.chunks != live {
            return Err(format!(
                "{} chunks in the catalog, {live} are known",
                summary.chunks
            ));
        }
        if !summary.reasons.is_empty() {
            return Err(format!(
                "damage where there was none: {:?}",
                summary.reasons
            ));
        }
        self.check_inventory(live)
    }

    fn check_inventory(&self, live: u64) -> Checked {
        let mut after = None;
        let mut count = 0;
        loop {
            let listed = self.store().inventory(after, 3, 0, u64::MAX);
            let (listed, end) = listed.map_err(|error| error.to_string())?;
            let ids: Vec<ChunkId> = listed.into_iter().map(|(id, _)| id).collect();
            if !ids.is_sorted()
                || ids
                    .first()
                    .copied()
                    .is_some_and(|first| Some(first) <= after)
            {
                return Err("the inventory is not in order".to_owned());
            }
            count += ids.len() as u64;
            after = ids.last().copied().or(after);
            if end {
                break;
            }
        }
        if count == live {
            Ok(())
        } else {
            Err(format!("{count} of {live} chunks are listed"))
        }
    }
}

pub fn run(steps: &[Step]) -> Result<World, String> {
    run_on(World::new(), steps)
}

pub fn run_on(mut world: World, steps: &[Step]) -> Result<World, String> {
    for (number, step) in steps.iter().enumerate() {
        world
            .step(*step)
            .map_err(|broken| format!("step {number}, {step:?}: {broken}"))?;
    }
    match world.check() {
        Err(_) if world.crash_disk.is_off() => world.crash(world.crash_seed)?,
        outcome => outcome?,
    }
    Ok(world)
}

/// Puts, rolls, dedup hits, frees, compaction and checkpoints, so that every kind of write happens.
pub fn script() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..14).map(Step::Put).collect();
    steps.extend([
        Step::Flush,
        Step::Put(3),
        Step::Checkpoint,
        Step::Put(20),
        Step::Put(21),
        Step::Advance,
    ]);
    steps.extend([Step::Put(5), Step::Flush]);
    steps.extend([0, 1, 2, 4, 5, 6, 7, 9, 10, 11].map(Step::Free));
    steps.extend([
        Step::Compact,
        Step::Compact,
        Step::Compact,
        Step::Put(10),
        Step::Put(30),
        Step::Flush,
    ]);
    steps.extend([
        Step::Compact,
        Step::Checkpoint,
        Step::Put(31),
        Step::CleanRestart,
    ]);
    steps.extend([
        Step::Put(32),
        Step::Put(1),
        Step::Flush,
        Step::Advance,
        Step::Free(8),
        Step::Put(8),
    ]);
    steps
}

pub fn dir() -> &'static Path {
    Path::new(DIR)
}
