//! Raft's own suite over our store, and what is left of it after power cuts.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder,
    RaftStateMachine,
};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, StorageError};
use proptest::prelude::*;
use tempfile::TempDir;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::time::Timestamp;

use super::store::RaftStore;
use super::*;
use crate::consensus::ReplicationError;
use crate::index;
use crate::index::op::Op;
use crate::index::table::Applied;
use crate::limits::REPLICATED_AT_ONCE_BYTES;
use crate::log::store::Log;
use crate::log::{LogOptions, Syncing};

impl From<u64> for Voter {
    fn from(number: u64) -> Voter {
        Voter(NodeNumber(number as u32))
    }
}

/// As much of a state as the suite asks for: what was applied last, and who votes.
#[derive(Clone, Default)]
struct Machine(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    applied: Option<LogId>,
    membership: StoredMembershipOf<Types>,
    snapshot: Option<SnapshotMetaOf<Types>>,
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, ()>> {
        let mut state = self.0.lock().expect("nobody panicked");
        let meta = SnapshotMetaOf::<Types> {
            last_log_id: state.applied,
            last_membership: state.membership.clone(),
        };
        state.snapshot = Some(meta.clone());
        let snapshot = ();
        Ok(SnapshotOf::<Types, ()> { meta, snapshot })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembershipOf<Types>)> {
        let state = self.0.lock().expect("nobody panicked");
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some(entry) = entries.next().await {
            let (entry, _) = entry?;
            let mut state = self.0.lock().expect("nobody panicked");
            state.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                state.membership = StoredMembershipOf::<Types>::new(Some(entry.log_id), membership);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<Types>, (): ()) -> io::Result<()> {
        let mut state = self.0.lock().expect("nobody panicked");
        state.applied = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        state.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, ()>>> {
        let state = self.0.lock().expect("nobody panicked");
        let snapshot = state.snapshot.clone();
        let with = |meta| SnapshotOf::<Types, ()> { meta, snapshot: () };
        Ok(snapshot.map(with))
    }
}

/// The suite begins some logs in the middle and purges what was never there, as after a snapshot. Our log begins anew then
/// as a snapshot would have it.
#[derive(Clone)]
struct Lenient(RaftStore);

impl RaftLogReader<Types> for Lenient {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry>> {
        self.0.try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.0.read_vote().await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.0.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<Types> for Lenient {
    type LogReader = Lenient;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Lenient {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.0.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.0.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.0.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let first = entries.first().map(|entry| place_of(entry.log_id.index));
        self.0.begin_at(first.unwrap_or_default());
        self.0.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.0.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.0.begin_at(LogIndex(place_of(upto.index).0 + 1));
        self.0.purge(upto).await
    }
}

struct Builder;

impl StoreBuilder<Types, Lenient, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Lenient, Machine), StorageError<Types>> {
        let directory = TempDir::new().expect("room");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let options = LogOptions {
            segment_bytes: 1 << 16,
            ..LogOptions::default()
        };
        let log = Log::open(disk.clone(), &directory.path().join("log"), &options).expect("a log");
        let store = RaftStore::open(&disk, directory.path(), log, Applied::default());
        let store = Lenient(store.expect("a store"));
        Ok((directory, store, Machine::default()))
    }
}

#[tokio::test]
async fn the_suite_of_raft_is_passed() {
    Suite::test_all(Builder).await.expect("it is passed");
}

/// A store over a disk that may lose its power, and what is to be found in it.
struct World {
    disk: CrashDisk,
    store: RaftStore,
    /// The entries, and which of them were reported as durable.
    entries: Vec<Entry>,
    durable: usize,
    vote: Option<Vote>,
    committed: Vec<LogId>,
    term: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize, bool),
    Want,
    Vote,
    TakeBack(usize),
    Commit(usize),
    Kill,
    Crash(u64),
    CutAt(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..4usize, any::<bool>()).prop_map(|(count, decides)| Step::Append(count, decides)),
        4 => Just(Step::Want),
        2 => Just(Step::Vote),
        2 => any::<usize>().prop_map(Step::TakeBack),
        3 => any::<usize>().prop_map(Step::Commit),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Crash),
        2 => (1..15u64, any::<u64>()).prop_map(|(nth, seed)| Step::CutAt(nth, seed)),
    ]
}

fn opened(disk: &CrashDisk) -> Result<RaftStore, ReplicationError> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = LogOptions {
        segment_bytes: 4096,
        syncing: Syncing::Manual,
        first_segment: 0,
    };
    let log = Log::open(shared.clone(), Path::new("/meta/log"), &options)?;
    RaftStore::open(&shared, Path::new("/meta"), log, Applied::default())
}

impl World {
    fn new() -> World {
        let disk = CrashDisk::new();
        World {
            store: opened(&disk).expect("a new one"),
            disk,
            entries: Vec::new(),
            durable: 0,
            vote: None,
            committed: Vec::new(),
            term: 1,
        }
    }

    fn log_id(&self, index: usize) -> LogId {
        let node_id = Voter(NodeNumber(2));
        let leader_id = Leader {
            term: self.term,
            node_id,
        };
        let index = index as u64;
        LogId { leader_id, index }
    }

    fn mutation(&self, index: usize) -> Bytes {
        let seconds = (self.term * 1000) as i64 + index as i64;
        let entry = index::op::Entry {
            time: Timestamp { seconds, nanos: 0 },
            origin: None,
            op: Op::MakeSystemRoot,
        };
        entry.encode()
    }

    async fn append(&mut self, count: usize, decides: bool) -> io::Result<()> {
        let first = self.entries.len();
        let new: Vec<Entry> = (first..first + count)
            .map(|index| Entry {
                log_id: self.log_id(index),
                payload: match decides {
                    true => EntryPayload::Blank,
                    false => EntryPayload::Normal(self.mutation(index).into()),
                },
            })
            .collect();
        self.entries.extend(new.iter().cloned());
        let (sender, mut receiver) = Types::oneshot();
        let done = self.store.append(new, IOFlushed::signal(sender)).await;
        if let Ok(Ok(())) = receiver.try_recv() {
            self.durable = self.entries.len();
        } else if decides && done.is_ok() && !self.disk.is_off() {
            panic!("what leaders begin with is durable at once");
        }
        done
    }

    async fn vote(&mut self) -> (Vote, io::Result<()>) {
        self.term += 1;
        let vote = Vote {
            leader_id: self.log_id(0).leader_id,
            committed: self.term.is_multiple_of(2),
        };
        let kept = self.store.save_vote(&vote).await;
        if kept.is_ok() {
            self.vote = Some(vote);
            self.durable = self.entries.len();
        }
        (vote, kept)
    }

    /// Everything that is found after a start is what was there, and nothing that was promised lacks.
    async fn check(&mut self, instead: Vec<Entry>, vote: Option<Vote>) -> Result<(), String> {
        let found = self.store.try_get_log_entries(..).await;
        let found = found.map_err(|error| error.to_string())?;
        if found.len() > self.entries.len() {
            self.entries = instead;
        }
        if found.len() < self.durable {
            return Err(format!("{} of {} are there", found.len(), self.durable));
        }
        if self.entries.get(..found.len()) != Some(&found[..]) {
            return Err("other entries are there".to_owned());
        }
        self.entries = found;
        let kept = self.store.read_vote().await.expect("it is in memory");
        if kept != self.vote && kept != vote {
            return Err(format!("{kept:?} and not {:?}", self.vote));
        }
        self.vote = kept;
        let state = self.store.get_log_state().await.expect("a state");
        assert_eq!(
            state.last_log_id,
            self.entries.last().map(|entry| entry.log_id)
        );
        let committed = self.store.read_committed().await.expect("read");
        match committed {
            Some(found) if found > self.entries.last().expect("one").log_id => {
                Err(format!("{found} is committed and not there"))
            }
            Some(found) if !self.committed.contains(&found) && state.last_log_id != committed => {
                Err(format!("{found} was never committed"))
            }
            _ => Ok(()),
        }
    }

    async fn run(&mut self, steps: &[Step]) -> Result<(), String> {
        let mut cut_seed = 0;
        for step in steps {
            let (mut instead, mut vote) = (self.entries.clone(), self.vote);
            let committed = self
                .committed
                .last()
                .map_or(0, |last| last.index as usize + 1);
            let outcome = match step {
                Step::Append(count, decides) => {
                    let done = self.append(*count, *decides).await;
                    instead = self.entries.clone();
                    done
                }
                Step::Want => {
                    self.store.want_durable(LogIndex(self.entries.len() as u64));
                    if !self.disk.is_off() {
                        self.durable = self.entries.len();
                    }
                    Ok(())
                }
                Step::Vote => {
                    let (asked, done) = self.vote().await;
                    vote = Some(asked);
                    done
                }
                Step::TakeBack(at) => {
                    let to = committed + at % (self.entries.len() + 1 - committed);
                    self.entries.truncate(to);
                    self.durable = self.durable.min(to);
                    let last = self.entries.last().map(|entry| entry.log_id);
                    self.term += 1;
                    self.store.truncate_after(last).await
                }
                Step::Commit(at) if self.durable > committed => {
                    let index = committed + at % (self.durable - committed);
                    let entry = self.entries[index].log_id;
                    self.committed.push(entry);
                    self.store.save_committed(Some(entry)).await
                }
                Step::CutAt(nth, seed) => {
                    self.disk.power_off_at(*nth);
                    cut_seed = *seed;
                    Ok(())
                }
                Step::Commit(_) | Step::Kill | Step::Crash(_) => Ok(()),
            };
            let crash = match step {
                Step::Crash(seed) => Some(*seed),
                _ => self.disk.is_off().then_some(cut_seed),
            };
            match crash {
                Some(seed) => self.disk.crash(seed),
                None => outcome.map_err(|error| error.to_string())?,
            }
            if crash.is_some() || matches!(step, Step::Kill) {
                self.store = match opened(&self.disk) {
                    Ok(store) => store,
                    Err(_) if self.disk.is_off() => {
                        self.disk.crash(cut_seed);
                        opened(&self.disk).map_err(|error| error.to_string())?
                    }
                    Err(error) => return Err(error.to_string()),
                };
                self.check(instead, vote).await?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_was_promised_survives(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a reactor");
        runtime.block_on(async { World::new().run(&steps).await }).map_err(TestCaseError::fail)?;
    }
}

#[tokio::test]
async fn what_is_committed_is_never_taken_back() {
    let mut world = World::new();
    world.append(5, true).await.expect("kept");
    let third = world.entries[2].log_id;
    world.store.save_committed(Some(third)).await.expect("kept");
    let second = world.entries[1].log_id;
    let refused = world.store.truncate_after(Some(second)).await;
    let refused = refused.expect_err("it is committed").to_string();
    assert!(refused.contains("let it join anew"), "{refused}");
    world
        .store
        .truncate_after(Some(third))
        .await
        .expect("taken back");
    let left = world.store.try_get_log_entries(..).await.expect("read");
    assert_eq!(left, world.entries[..3]);
}

#[tokio::test]
async fn entries_come_in_batches_that_fit_in_a_message() {
    let mut world = World::new();
    let long = Bytes::from(vec![7; REPLICATED_AT_ONCE_BYTES / 3]);
    let write = |world: &World, index| {
        let entry = index::op::Entry {
            time: Timestamp::default(),
            origin: None,
            op: Op::Append {
                ino: Ino(5),
                data: long.clone(),
                kill_suid: false,
            },
        };
        Entry {
            log_id: world.log_id(index),
            payload: EntryPayload::Normal(entry.encode().into()),
        }
    };
    let entries: Vec<_> = (0..7).map(|index| write(&world, index)).collect();
    world
        .store
        .append(entries.clone(), IOFlushed::noop())
        .await
        .expect("written");
    let (mut next, mut batches) = (0, 0);
    while next < 7 {
        let batch = world
            .store
            .limited_get_log_entries(next, 7)
            .await
            .expect("read");
        assert!(!batch.is_empty() && batch.len() < 3, "{}", batch.len());
        let from = next as usize;
        assert_eq!(batch, entries[from..from + batch.len()]);
        next += batch.len() as u64;
        batches += 1;
    }
    assert_eq!(batches, 4);
}
