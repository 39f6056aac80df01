//! The promise of the coherence machine, checked over every order of events.
//!
//! One session changes a file, also while its last change is still being told, another asks for the attributes and
//! caches them. Messages are delayed, reordered and lost, leases run out, the daemon restarts and forgets. Claim: what the reader would serve from its
//! cache is never older than the last change that was acknowledged. The machine is the real one; the
//! reader does what the protocol asks of a front-end. Each rule of either side that is left out must be
//! missed by the checker, or the model would prove nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stateright::{Checker, Model, Property};
use wolfdisk_common::ids::{Ino, SessionId, Version};

use super::barrier::{BarrierId, Wait};
use super::coherence::Coherence;
use super::feed_queue::Notice;
use super::rights::RightSet;
use crate::index::op::Effect;

const WRITER: SessionId = SessionId(1);
const READER: SessionId = SessionId(2);
const FILE: Ino = Ino(5);
/// Events in a row: the shortest way to any of the faults below takes 10.
const DEPTH: usize = 13;
const TICK: Duration = Duration::from_secs(1);

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Mutations are acknowledged without waiting.
    NoBarrier,
    /// The reader caches answers older than a notice it has had.
    NoVersions,
    /// The reader counts its lease from the arrival of the answer.
    LeaseFromArrival,
    /// After a restart nobody waits for rights given before.
    NoGrace,
    /// The reader caches answers to questions asked before it lost its rights.
    NoEpochs,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    GetAttr {
        epoch: u64,
    },
    Found {
        epoch: u64,
        version: u64,
        may_cache: bool,
    },
    Feed {
        sent: Duration,
        confirmed: u64,
    },
    Fed {
        sent: Duration,
        lease: Duration,
        items: Vec<(u64, u64)>,
        everything: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reader {
    cached: Option<u64>,
    epoch: u64,
    lease_until: Duration,
    confirmed: u64,
    /// The highest version of a notice on the file.
    dropped_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    now: Duration,
    daemon: Coherence,
    restarts: u64,
    version: u64,
    /// The changes that are applied and not acknowledged, with what they wait for.
    pending: BTreeMap<BarrierId, u64>,
    acknowledged: u64,
    network: BTreeSet<Message>,
    reader: Reader,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Tick,
    Change,
    AskFile,
    AskFeed,
    Deliver(Message),
    Lose(Message),
    Restart,
}

struct Session {
    broken: Broken,
    ticks: u32,
    changes: u64,
    restarts: u64,
}

impl Session {
    fn acknowledge_or_wait(&self, world: &mut World, version: u64, waits: &[Wait]) {
        let barrier = world.daemon.barrier(waits);
        match barrier.filter(|_| self.broken != Broken::NoBarrier) {
            Some(barrier) => drop(world.pending.insert(barrier, version)),
            None => world.acknowledged = world.acknowledged.max(version),
        }
    }

    fn fell(world: &mut World, barriers: &[BarrierId]) {
        for barrier in barriers {
            let version = world.pending.remove(barrier).unwrap_or(0);
            world.acknowledged = world.acknowledged.max(version);
        }
    }

    fn deliver(&self, world: &mut World, message: Message) {
        let now = world.now;
        match message {
            Message::GetAttr { epoch } => {
                let version = Version(world.version);
                let granted = world
                    .daemon
                    .grant(READER, FILE, RightSet::ATTR, version, now);
                let may_cache = granted.has(RightSet::ATTR);
                world.network.insert(Message::Found {
                    epoch,
                    version: version.0,
                    may_cache,
                });
            }
            Message::Found {
                epoch,
                version,
                may_cache,
            } => {
                let reader = &mut world.reader;
                let fresh = version >= reader.dropped_at || self.broken == Broken::NoVersions;
                let same = epoch == reader.epoch || self.broken == Broken::NoEpochs;
                // An older answer never replaces a newer one.
                let newer = reader.cached.is_none_or(|cached| version >= cached);
                if may_cache && fresh && same && newer {
                    reader.cached = Some(version);
                }
            }
            Message::Feed { sent, confirmed } => {
                let Some(beat) = world.daemon.heartbeat(READER, confirmed, 0, now) else {
                    return;
                };
                Session::fell(world, &beat.fallen);
                let items = world.daemon.outgoing(READER, 8, now);
                let everything = items.iter().any(|item| item.notice == Notice::Everything);
                let items = items
                    .iter()
                    .map(|item| (item.number, item.version.0))
                    .collect();
                world.network.insert(Message::Fed {
                    sent,
                    lease: beat.lease,
                    items,
                    everything,
                });
            }
            Message::Fed {
                sent,
                lease,
                items,
                everything,
            } => {
                let reader = &mut world.reader;
                let lapsed = now >= reader.lease_until;
                if everything || lapsed {
                    reader.epoch += 1;
                    reader.cached = None;
                }
                for (number, version) in items {
                    reader.confirmed = reader.confirmed.max(number);
                    if !everything {
                        reader.cached = reader.cached.filter(|cached| *cached >= version);
                        reader.dropped_at = reader.dropped_at.max(version);
                    }
                }
                let from = if self.broken == Broken::LeaseFromArrival {
                    now
                } else {
                    sent
                };
                reader.lease_until = from + lease;
            }
        }
    }
}

impl Model for Session {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut daemon = Coherence::new(0);
        let now = Duration::ZERO;
        daemon.open(WRITER, now);
        daemon.open(READER, now);
        let reader = Reader {
            cached: None,
            epoch: 0,
            lease_until: super::leases::LEASE,
            confirmed: 0,
            dropped_at: 0,
        };
        vec![World {
            now,
            daemon,
            restarts: 0,
            version: 1,
            pending: BTreeMap::new(),
            acknowledged: 1,
            network: BTreeSet::new(),
            reader,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let has = |kind: fn(&Message) -> bool| world.network.iter().any(kind);
        if world.now < TICK * self.ticks {
            steps.push(Step::Tick);
        }
        if world.version <= self.changes {
            steps.push(Step::Change);
        }
        if !has(|message| matches!(message, Message::GetAttr { .. } | Message::Found { .. })) {
            steps.push(Step::AskFile);
        }
        if !has(|message| matches!(message, Message::Feed { .. } | Message::Fed { .. })) {
            steps.push(Step::AskFeed);
        }
        if world.restarts < self.restarts {
            steps.push(Step::Restart);
        }
        steps.extend(world.network.iter().cloned().map(Step::Deliver));
        steps.extend(world.network.iter().cloned().map(Step::Lose));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        match step {
            Step::Tick => {
                world.now += TICK;
                let fallen = world.daemon.tick(world.now);
                Session::fell(&mut world, &fallen);
            }
            Step::Change => {
                world.version += 1;
                let effect = Effect::Attr { ino: FILE };
                let version = Version(world.version);
                let waits = world
                    .daemon
                    .changed(Some(WRITER), version, &[effect], world.now);
                self.acknowledge_or_wait(&mut world, version.0, &waits);
            }
            Step::AskFile => {
                world.network.insert(Message::GetAttr {
                    epoch: world.reader.epoch,
                });
            }
            Step::AskFeed => {
                let (sent, confirmed) = (world.now, world.reader.confirmed);
                world.network.insert(Message::Feed { sent, confirmed });
            }
            Step::Deliver(message) => {
                world.network.remove(&message);
                self.deliver(&mut world, message);
            }
            Step::Lose(message) => {
                world.network.remove(&message);
            }
            Step::Restart => {
                world.restarts += 1;
                world.daemon = Coherence::new(world.restarts << 40);
                let (version, now) = (Version(world.version), world.now);
                for session in [WRITER, READER] {
                    if self.broken == Broken::NoGrace {
                        world.daemon.open(session, now);
                    } else {
                        world.daemon.adopt(session, version, now);
                    }
                }
                // What was asked of the dead daemon is never answered; the writer asks again.
                world.network.retain(|message| {
                    matches!(message, Message::Found { .. } | Message::Fed { .. })
                });
                for (_, version) in std::mem::take(&mut world.pending) {
                    let waits = world.daemon.repeated(WRITER, Version(version), now);
                    self.acknowledge_or_wait(&mut world, version, &waits);
                }
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing stale is served", |_, world: &World| {
                let live = world.now < world.reader.lease_until;
                world
                    .reader
                    .cached
                    .is_none_or(|cached| !live || cached >= world.acknowledged)
            }),
            Property::sometimes("something is served", |_, world: &World| {
                world.now < world.reader.lease_until
                    && world.reader.cached.is_some_and(|cached| cached > 1)
            }),
        ]
    }
}

fn stale_is_found(broken: Broken, restarts: u64) -> bool {
    let model = Session {
        broken,
        ticks: 4,
        changes: 2,
        restarts,
    };
    let checker = model
        .checker()
        .threads(2)
        .target_max_depth(DEPTH)
        .spawn_bfs()
        .join();
    checker.discovery("nothing stale is served").is_some()
}

#[test]
fn nothing_stale_is_served_whatever_the_order() {
    let model = Session {
        broken: Broken::Nothing,
        ticks: 4,
        changes: 2,
        restarts: 1,
    };
    let checker = model
        .checker()
        .threads(2)
        .target_max_depth(DEPTH)
        .spawn_bfs()
        .join();
    checker.assert_no_discovery("nothing stale is served");
    checker.assert_any_discovery("something is served");
}

#[test]
fn a_missing_rule_is_caught() {
    assert!(stale_is_found(Broken::NoBarrier, 0));
    assert!(stale_is_found(Broken::NoVersions, 0));
    assert!(stale_is_found(Broken::LeaseFromArrival, 0));
    assert!(stale_is_found(Broken::NoGrace, 1));
    assert!(stale_is_found(Broken::NoEpochs, 1));
}
