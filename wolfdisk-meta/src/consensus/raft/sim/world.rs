//! The machines, and starting and stopping them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::impls::EmptyNode;
use openraft::storage::RaftLogReader;
use openraft::type_config::TypeConfigExt;
use openraft::{Config, SnapshotPolicy};
use rand::{Rng, RngCore};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::{CrashDisk, Operation};
use wolfdisk_common::ids::NodeNumber;

use super::super::Voter;
use super::super::store::RaftStore;
use super::daemon;
use super::faulty::{Fault, Store, Unsynced};
use super::machine::State;
use super::network::{Net, Peer, Weather, Wires};
use super::record::Record;
use super::runtime::{Machine, after_poll, by_chance, kill, note, set_rate, spawn_on};
use super::{Node, SimTypes};
use crate::index::table::Applied;
use crate::log::store::Log;
use crate::log::{LogOptions, Syncing};

const HEARTBEAT_MS: u64 = 50;
/// A node that hears of no leader for so long wants to be one.
pub const ELECTION_MS: u64 = 4 * HEARTBEAT_MS;
/// As long as a log waits with a sync that nobody asks for.
const SYNC_MS: u64 = 20;
/// Clocks are off by at most so many millionths.
const CLOCKS_OFF: u64 = 100_000;
/// The same where sessions have leases: those last by the clock of a session about as long as by that of a node.
const CLOCKS_OFF_SESSIONS: u64 = 2_000;
/// Whatever happened, everything is in order again by then.
const SETTLED: Duration = Duration::from_secs(30);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(20);

/// A machine, whether it has power or not. Copies are the same one.
#[derive(Clone)]
pub struct Host {
    pub voter: Voter,
    pub disk: CrashDisk,
    /// A vote that was not synced.
    unsynced: Unsynced,
    /// An operation of the disk was made to fail, so its daemon may end or not start.
    pub failing: Arc<AtomicBool>,
}

impl Host {
    pub fn machine(&self) -> Machine {
        Machine(self.voter.0.0)
    }

    /// One of the next operations of its disk fails.
    pub fn fail(&self, kind: Operation, nth: u64) {
        note(format_args!("{}: {kind:?} {nth} fails", self.voter));
        self.failing.store(true, Relaxed);
        self.disk.fail_at(Some(kind), nth, libc::EIO);
    }
}

/// See the module.
pub struct World {
    pub hosts: Vec<Host>,
    pub net: Net,
    pub record: Record,
    fault: Option<Fault>,
    /// Whether its nodes have an index.
    daemons: bool,
}

impl World {
    /// As many machines, that have all started and know of each other.
    ///
    /// # Errors
    /// One does not start.
    pub async fn of(count: u32, fault: Option<Fault>, daemons: bool) -> Result<World, String> {
        let host = |number| Host {
            voter: Voter(NodeNumber(number)),
            disk: CrashDisk::new(),
            unsynced: Unsynced::default(),
            failing: Arc::default(),
        };
        let record = Record::default();
        let world = World {
            hosts: (1..=count).map(host).collect(),
            net: Net::new(record.clone(), fault),
            record,
            fault,
            daemons,
        };
        world.watch_power();
        for host in &world.hosts {
            let most = match daemons {
                true => CLOCKS_OFF_SESSIONS,
                false => CLOCKS_OFF,
            };
            let off = by_chance(|random| random.random_range(0..=2 * most));
            set_rate(host.machine(), super::time::RIGHT_RATE - most + off);
            world.start(host).await;
        }
        world.check()?;
        let voters = world.hosts.iter().map(|host| (host.voter, EmptyNode {}));
        let voters: BTreeMap<_, _> = voters.collect();
        let first = world
            .hosts
            .first()
            .and_then(|host| world.net.peer(host.voter));
        let begun = first.expect("it runs").node.initialize(voters).await;
        begun.map_err(|error| error.to_string())?;
        Ok(world)
    }

    /// A machine whose disk has lost its power does nothing any more.
    fn watch_power(&self) {
        let (hosts, net) = (self.hosts.clone(), self.net.clone());
        after_poll(move |machine| {
            let host = hosts.iter().find(|host| host.machine() == machine);
            if let Some(host) = host.filter(|host| host.disk.is_off()) {
                note(format_args!("{} has lost its power", host.voter));
                net.leave(host.voter);
                kill(machine);
            }
        });
    }

    pub fn runs(&self, host: &Host) -> bool {
        self.net.peer(host.voter).is_some()
    }

    /// Turns a machine on. It may lose its power meanwhile.
    pub async fn start(&self, host: &Host) {
        if host.disk.is_off() {
            self.lose_unsynced(host);
        }
        note(format_args!("{} starts", host.voter));
        let (fault, daemons) = (self.fault, self.daemons);
        let (opening, net, record) = (host.clone(), self.net.clone(), self.record.clone());
        let opened = spawn_on(host.machine(), async move {
            let mut peer = open(opening.clone(), net, record.clone(), fault).await?;
            if daemons {
                peer.daemon = Some(daemon::start(&peer, opening, record, fault)?);
            }
            Ok::<_, String>(peer)
        });
        match opened.await {
            Ok(Ok(peer)) => self.net.join(host.voter, peer),
            Ok(Err(what)) if !host.disk.is_off() && !host.failing.load(Relaxed) => {
                self.record
                    .fail(format!("{} does not start: {what}", host.voter));
            }
            _ => {}
        }
    }

    /// Ends the daemon of a machine at once, which loses nothing that was written.
    pub fn end(&self, host: &Host) {
        note(format_args!("{} is killed", host.voter));
        self.net.leave(host.voter);
        kill(host.machine());
    }

    /// Cuts the power of a machine now.
    pub fn power_off(&self, host: &Host) {
        self.end(host);
        self.lose_unsynced(host);
    }

    fn lose_unsynced(&self, host: &Host) {
        host.disk.crash(by_chance(|random| random.next_u64()));
        *host.unsynced.lock() = None;
        host.failing.store(false, Relaxed);
    }

    /// No node may end by itself, unless its disk has failed it: then its daemon ends.
    pub fn check(&self) -> Result<(), String> {
        for host in &self.hosts {
            let Some(peer) = self.net.peer(host.voter) else {
                continue;
            };
            let metrics = peer.node.metrics();
            let state = metrics.borrow_watched().running_state.clone();
            match state {
                Ok(()) => {}
                Err(_) if host.failing.load(Relaxed) => self.end(host),
                Err(fatal) => {
                    self.record
                        .fail(format!("{} has ended: {fatal}", host.voter));
                }
            }
        }
        self.record.broken().map_or(Ok(()), Err)
    }

    fn heal(&self) {
        note(format_args!("everything works again"));
        self.net.heal();
        self.net.set_weather(Weather::FAIR);
    }

    /// Everything works again, and soon sessions are answered and all daemons hold the same. `answers` counts.
    pub async fn settle_daemons(&self, answers: impl Fn() -> usize + Sync) -> Result<(), String> {
        self.heal();
        let before = answers();
        let in_order = async {
            loop {
                for host in self.hosts.iter().filter(|host| !self.runs(host)) {
                    self.start(host).await;
                }
                self.check()?;
                let peers = self.net.peers();
                let daemons = peers.iter().filter_map(|(_, peer)| peer.daemon.as_ref());
                let states = daemons.map(|daemon| daemon.state());
                let states: Result<Vec<_>, _> = states.collect();
                let states = states.map_err(|error| error.to_string())?;
                let last = states.iter().map(|(last, _)| *last).max();
                let newest = states.iter().filter(|(at, _)| Some(*at) == last);
                let digests: BTreeSet<_> = newest.clone().map(|(_, digest)| *digest).collect();
                if digests.len() > 1 {
                    return Err("daemons hold different things after one entry".to_owned());
                }
                let together = newest.count() == self.hosts.len();
                if together && answers() > before {
                    return Ok(());
                }
                SimTypes::sleep(LOOK).await;
            }
        };
        let late = |_| "nobody is answered, or somebody lags behind for ever".to_owned();
        let settled = SimTypes::timeout(SETTLED, in_order).await;
        settled.map_err(late)?
    }

    /// Everything works again, and soon all is in order.
    pub async fn settle(&self) -> Result<(), String> {
        self.heal();
        let (_, before) = self.record.acknowledged();
        let in_order = async {
            let mut goal = None;
            loop {
                for host in self.hosts.iter().filter(|host| !self.runs(host)) {
                    self.start(host).await;
                }
                self.check()?;
                let (last, count) = self.record.acknowledged();
                if count > before && goal.is_none() {
                    goal = last;
                }
                let peers = self.net.peers();
                let done = |(_, peer): &(Voter, Peer)| peer.state.last() >= goal;
                if goal.is_some() && peers.len() == self.hosts.len() && peers.iter().all(done) {
                    return Ok::<_, String>(goal);
                }
                SimTypes::sleep(LOOK).await;
            }
        };
        let late = |_| "nobody leads, or somebody lags behind for ever".to_owned();
        let settled = SimTypes::timeout(SETTLED, in_order).await;
        let goal = settled.map_err(late)??;
        for (voter, peer) in self.net.peers() {
            if let Some(index) = self.record.lost(goal, &peer.state.entries()) {
                return Err(format!(
                    "entry {index} was acknowledged and is not on {voter}"
                ));
            }
        }
        self.check()
    }
}

/// What a daemon does when it starts.
async fn open(host: Host, net: Net, record: Record, fault: Option<Fault>) -> Result<Peer, String> {
    let disk: Arc<dyn Disk> = Arc::new(host.disk.clone());
    let options = LogOptions {
        segment_bytes: 1 << 14,
        syncing: Syncing::Manual,
        first_segment: 0,
    };
    let log = Log::open(disk.clone(), Path::new("/meta/log"), &options);
    let log = log.map_err(|error| error.to_string())?;
    let store = RaftStore::open(&disk, Path::new("/meta"), log, Applied::default());
    let store = store.map_err(|error| error.to_string())?;
    let mut store = Store::new(store, fault, host.unsynced.clone());
    let vote = store.read_vote().await.map_err(|error| error.to_string())?;
    record.started(host.voter, vote);
    let synced = store.clone();
    drop(SimTypes::spawn(async move {
        while synced.sync().is_ok() {
            SimTypes::sleep(Duration::from_millis(SYNC_MS)).await;
        }
    }));
    let config = Config {
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS,
        election_timeout_max: 6 * HEARTBEAT_MS,
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        quorum_loss_probe_interval: Some(14 * HEARTBEAT_MS),
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let config = config.validate().map_err(|error| error.to_string())?;
    let wires = Wires {
        from: host.voter,
        net,
    };
    let state = State::new(host.voter, record);
    let node = Node::new(
        host.voter,
        Arc::new(config),
        wires,
        store.clone(),
        state.clone(),
    );
    let node = node.await.map_err(|error| error.to_string())?;
    Ok(Peer {
        node,
        state,
        store,
        daemon: None,
    })
}
