//! Overlay, checkpoint, log and manifest together against a plain map, with the power cut at every
//! operation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::ids::{LogIndex, Version};

use super::{Generations, Storage, StorageError, StorageOptions, open};
use crate::consensus::Replication;
use crate::consensus::solo::SoloLog;
use crate::index::KeyBytes;
use crate::index::checkpoint::RedbTable;
use crate::index::overlay::State;
use crate::index::table::{Applied, Table};
use crate::log::{LogOptions, Syncing};
use crate::manifest::Manifest;

const DIRECTORY: &str = "/meta";
const VOLUME: Uuid = Uuid::from_u128(1);
const OPTIONS: StorageOptions = StorageOptions {
    log: LogOptions {
        segment_bytes: 4096,
        syncing: Syncing::Manual,
        first_segment: 0,
    },
    checkpoint_cache_bytes: 1 << 20,
};
/// More operations than any start, checkpoint or entry takes.
const OPERATIONS_MAX: u64 = 400;

type Failure = Box<dyn std::error::Error>;

/// A daemon in miniature: an entry sets or deletes one key.
struct Node {
    manifest: Manifest,
    table: Arc<RedbTable>,
    log: SoloLog,
    state: State<RedbTable>,
}

impl Node {
    fn start(disk: &CrashDisk) -> Result<Node, Failure> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let Storage {
            manifest,
            table,
            log,
        } = open(&disk, Path::new(DIRECTORY), VOLUME, &OPTIONS)?;
        let mut node = Node {
            manifest,
            log: SoloLog::over(log, table.applied().index),
            state: State::new(table.clone()),
            table,
        };
        node.apply()?;
        Ok(node)
    }

    fn propose(&mut self, key: u8, value: Option<&[u8]>) -> Result<(), Failure> {
        let mut entry = vec![key, u8::from(value.is_some())];
        entry.extend_from_slice(value.unwrap_or_default());
        self.log.propose(Bytes::from(entry))?;
        self.log.flush(false)?;
        self.apply()
    }

    fn apply(&mut self) -> Result<(), Failure> {
        loop {
            let accepted = self.log.take_accepted(3)?;
            if accepted.is_empty() {
                return Ok(());
            }
            for entry in accepted {
                let applied = self.state.applied();
                assert_eq!(entry.index.0, applied.index.0 + 1);
                let value = (entry.payload[1] != 0).then(|| entry.payload.slice(2..));
                self.state.set(KeyBytes::new(&entry.payload[..1]), value);
                self.state.set_applied(Applied {
                    index: entry.index,
                    term: entry.term,
                    version: Version(applied.version.0 + 1),
                });
            }
        }
    }

    fn checkpoint(&mut self) -> Result<(), Failure> {
        let Some(job) = self.state.freeze() else {
            return Ok(());
        };
        self.log.sync()?;
        let applied = job.run()?;
        self.state.thaw();
        self.log.truncate_before(LogIndex(applied.index.0 + 1))?;
        Ok(())
    }

    /// Moves the checkpoint to a new file.
    fn rewrite(&mut self, disk: &CrashDisk) -> Result<(), Failure> {
        let manifest = self.manifest.clone();
        let directory = Path::new(DIRECTORY).to_owned();
        let mut generations =
            Generations::new(Arc::new(disk.clone()), directory, manifest, &OPTIONS);
        let copy = Arc::new(generations.copy(&self.table)?);
        generations.switch()?;
        self.manifest = generations.manifest.clone();
        self.table = copy.clone();
        drop(self.state.replace_table(copy));
        generations.remove_old()?;
        Ok(())
    }

    fn content(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Failure> {
        let mut all = BTreeMap::new();
        self.state.scan(&[], &[0xff, 0xff], &mut |key, value| {
            all.insert(key.to_vec(), value.to_vec());
            true
        })?;
        for key in 0..=255u8 {
            let found = self
                .state
                .get(&KeyBytes::new(&[key]))?
                .map(|value| value.to_vec());
            assert_eq!(found.as_ref(), all.get(&vec![key]));
        }
        Ok(all)
    }
}

type Entry = (u8, Option<Vec<u8>>);

fn model(entries: &[Entry]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        match value {
            Some(value) => map.insert(vec![*key], value.clone()),
            None => map.remove(&vec![*key]),
        };
    }
    map
}

#[derive(Clone, Debug)]
enum Step {
    Entry(Entry),
    Sync,
    Checkpoint,
    Rewrite,
    Restart,
    /// The power goes off at the n-th operation from here.
    CutAt(u64, u64),
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..700));
    prop_oneof![
        20 => (0..20u8, value).prop_map(Step::Entry),
        3 => Just(Step::Sync),
        4 => Just(Step::Checkpoint),
        2 => Just(Step::Rewrite),
        1 => Just(Step::Restart),
        2 => (1..60u64, any::<u64>()).prop_map(|(nth, seed)| Step::CutAt(nth, seed)),
        1 => any::<u64>().prop_map(Step::Crash),
    ]
}

/// Starts the node after a cut; the power may go off again on the way.
fn restart(disk: &CrashDisk, seed: u64) -> Result<Node, Failure> {
    disk.crash(seed);
    Node::start(disk)
}

fn check(node: &Node, entries: &mut Vec<Entry>, durable: u64) -> Result<(), Failure> {
    let found = node.state.applied().index.0;
    if found < durable || found > entries.len() as u64 {
        return Err(format!("{found} of {} entries, {durable} durable", entries.len()).into());
    }
    entries.truncate(found as usize);
    match node.content()? == model(entries) {
        true => Ok(()),
        false => Err("the content is not that of the entries".into()),
    }
}

fn run(steps: &[Step], lying: bool) -> Result<(), Failure> {
    let disk = CrashDisk::new();
    let mut node = Node::start(&disk)?;
    disk.lose_syncs(lying);
    let mut entries: Vec<Entry> = Vec::new();
    let (mut durable, mut cut) = (0, 0);
    for step in steps {
        let outcome = match step {
            Step::Entry((key, value)) => {
                entries.push((*key, value.clone()));
                node.propose(*key, value.as_deref())
            }
            Step::Sync => node.log.sync().map_err(Failure::from),
            Step::Checkpoint => node.checkpoint(),
            Step::Rewrite => node.rewrite(&disk),
            Step::CutAt(nth, seed) => {
                disk.power_off_at(*nth);
                cut = *seed;
                Ok(())
            }
            Step::Restart | Step::Crash(_) => Ok(()),
        };
        durable = durable.max(node.log.watermarks().durable.0.min(entries.len() as u64));
        let crash = match step {
            Step::Crash(seed) => Some(*seed),
            _ => disk.is_off().then_some(cut),
        };
        match (crash, step) {
            (Some(seed), _) => {
                drop(node);
                node = restart(&disk, seed)?;
            }
            (None, Step::Restart) => {
                drop(node);
                node = match Node::start(&disk) {
                    Err(_) if disk.is_off() => restart(&disk, cut)?,
                    started => started?,
                };
            }
            (None, _) => outcome?,
        }
        disk.lose_syncs(lying);
        if !disk.is_off() {
            check(&node, &mut entries, durable)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_state_is_that_of_a_prefix_with_everything_durable(
        steps in prop::collection::vec(step(), 1..50)
    ) {
        run(&steps, false).map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
}

#[test]
fn a_disk_that_loses_syncs_is_noticed() {
    let caught = (0..40).filter(|seed| {
        let entry = |key| Step::Entry((key, Some(vec![key; 600])));
        let steps = [
            entry(1),
            Step::Checkpoint,
            entry(2),
            Step::Sync,
            Step::Crash(*seed),
        ];
        std::panic::catch_unwind(|| run(&steps, true).is_err()).unwrap_or(true)
    });
    assert!(caught.count() > 10);
}

/// Runs `act` on a node with some history, cut at each of its operations in turn.
fn cut_everywhere(act: impl Fn(&CrashDisk, &mut Option<Node>) -> Result<(), Failure>) {
    for nth in 1..OPERATIONS_MAX {
        let mut finished = false;
        for seed in 0..6 {
            let disk = CrashDisk::new();
            let mut node = Some(Node::start(&disk).unwrap());
            let mut entries: Vec<Entry> = Vec::new();
            for number in 0..30u8 {
                let value = (number % 7 != 3).then(|| vec![number; usize::from(number) * 20]);
                entries.push((number % 11, value.clone()));
                node.as_mut()
                    .unwrap()
                    .propose(number % 11, value.as_deref())
                    .unwrap();
                if number == 12 {
                    node.as_mut().unwrap().checkpoint().unwrap();
                }
            }
            node.as_mut().unwrap().log.sync().unwrap();
            disk.power_off_at(nth);
            let outcome = act(&disk, &mut node);
            finished = outcome.is_ok() && !disk.is_off();
            drop(node);
            let node = restart(&disk, seed).unwrap_or_else(|error| panic!("{nth} {seed}: {error}"));
            check(&node, &mut entries, 30).unwrap_or_else(|error| panic!("{nth} {seed}: {error}"));
        }
        if finished {
            assert!(nth > 2, "the act does nothing");
            return;
        }
    }
    panic!("the act never finished");
}

#[test]
fn a_checkpoint_survives_a_cut_at_every_operation() {
    cut_everywhere(|_, node| node.as_mut().unwrap().checkpoint());
}

#[test]
fn a_new_generation_survives_a_cut_at_every_operation() {
    cut_everywhere(|disk, node| {
        let node = node.as_mut().unwrap();
        node.rewrite(disk)?;
        // What the overlay holds goes into the new file.
        node.checkpoint()
    });
}

#[test]
fn a_start_survives_a_cut_at_every_operation() {
    cut_everywhere(|disk, node| {
        node.take();
        Node::start(disk).map(drop)
    });
}

#[test]
fn the_first_start_survives_a_cut_at_every_operation() {
    for nth in 1..OPERATIONS_MAX {
        let mut finished = false;
        for seed in 0..8 {
            let disk = CrashDisk::new();
            disk.power_off_at(nth);
            finished = Node::start(&disk).is_ok() && !disk.is_off();
            let node = restart(&disk, seed).unwrap_or_else(|error| panic!("{nth} {seed}: {error}"));
            assert!(node.content().unwrap().is_empty());
        }
        if finished {
            return;
        }
    }
    panic!("the start never finished");
}

#[test]
fn each_start_has_a_greater_incarnation() {
    let disk = CrashDisk::new();
    for expected in 1..4 {
        let node = Node::start(&disk).unwrap();
        assert_eq!(node.manifest.incarnation.0, expected);
        drop(node);
        disk.crash(expected);
    }
}

#[test]
fn another_volume_a_lost_manifest_and_a_lost_log_are_refused() {
    let disk = CrashDisk::new();
    let mut node = Node::start(&disk).unwrap();
    node.propose(1, Some(b"value")).unwrap();
    node.checkpoint().unwrap();
    drop(node);
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let directory = Path::new(DIRECTORY);
    let other = open(&dynamic, directory, Uuid::from_u128(2), &OPTIONS)
        .err()
        .unwrap();
    assert!(other.to_string().contains("belongs to volume"), "{other}");

    let log = directory.join("log").join("0000000000000001.log");
    disk.rename(&log, &directory.join("aside")).unwrap();
    let lost = open(&dynamic, directory, VOLUME, &OPTIONS).err().unwrap();
    assert!(matches!(lost, StorageError::Log(_)), "{lost}");
    disk.rename(&directory.join("aside"), &log).unwrap();

    disk.remove(&directory.join("CURRENT")).unwrap();
    let lost = open(&dynamic, directory, VOLUME, &OPTIONS).err().unwrap();
    assert!(matches!(lost, StorageError::NoManifest { .. }), "{lost}");
    assert!(
        disk.files().contains(&directory.join("1.redb")),
        "nothing was removed"
    );
}
