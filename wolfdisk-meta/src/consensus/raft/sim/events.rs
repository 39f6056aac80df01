//! What goes wrong, and what is set right again. Each run has a mix of its own, in which some things never happen and
//! others all the time: a mistake that needs two rare things at once would hardly be met by all runs alike.
//! (Groce et al., Swarm Testing, 2012.)

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::type_config::TypeConfigExt;
use rand::Rng;
use rand::seq::IndexedRandom;
use wolfdisk_common::disk::crash::Operation;

use super::SimTypes;
use super::network::Weather;
use super::runtime::{by_chance, note, spawn_on};
use super::world::{Host, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The power of a machine goes at one of the next operations of its disk.
    PowerSoon,
    PowerNow,
    /// Its daemon is killed.
    Kill,
    /// An operation of a disk fails, and what a failed sync covered is lost without a word.
    DiskFails,
    /// All machines lose their power.
    Blackout,
    Start,
    /// A machine loses its power and is there again at once.
    Restart,
    CutOneWay,
    CutBothWays,
    /// A machine hears and is heard by nobody.
    Isolate,
    Heal,
    Weather,
    Fair,
    /// Who leads is to hand over.
    Transfer,
    /// Somebody wants to lead, whoever does.
    Elect,
    Voters,
}

use Event::{
    Blackout, CutBothWays, CutOneWay, DiskFails, Elect, Fair, Heal, Isolate, Kill, PowerNow,
    PowerSoon, Restart, Start, Transfer, Voters,
};

/// How often an event happens in a run is drawn from these.
const WEIGHTS: [u32; 4] = [0, 0, 2, 8];
/// What sets things right happens at least so often.
const MENDING: [(Event, u32); 3] = [(Start, 4), (Heal, 2), (Fair, 1)];
const HARM: [Event; 13] = [
    PowerSoon,
    PowerNow,
    Kill,
    DiskFails,
    Blackout,
    Restart,
    CutOneWay,
    CutBothWays,
    Isolate,
    Event::Weather,
    Transfer,
    Elect,
    Voters,
];
/// What may fail. A directory's sync is not among it: a file system that cannot write its journal ends.
const FAILING: [Operation; 4] = [
    Operation::Create,
    Operation::Write,
    Operation::Sync,
    Operation::Rename,
];
/// The longest time between two events is one of these.
const PACES_MS: [u64; 3] = [30, 150, 600];

/// What happens in one run.
pub struct Events {
    mix: Vec<(Event, u32)>,
    pace_ms: u64,
}

impl Events {
    pub fn drawn() -> Events {
        by_chance(|random| {
            let weight = |event| (event, *WEIGHTS.choose(&mut *random).expect("one"));
            let mut mix: Vec<_> = HARM.into_iter().map(weight).collect();
            mix.extend(
                MENDING.map(|(event, least)| (event, random.random_range(least..4 * least))),
            );
            let pace_ms = *PACES_MS.choose(random).expect("one");
            Events { mix, pace_ms }
        })
    }

    /// Something happens after a while.
    pub async fn step(&self, world: &World) {
        let pause = by_chance(|random| random.random_range(1..=self.pace_ms));
        SimTypes::sleep(Duration::from_millis(pause)).await;
        let drawn = by_chance(|random| {
            let (event, _) = self
                .mix
                .choose_weighted(random, |(_, weight)| *weight)
                .ok()?;
            let mut hosts = world.hosts.choose_multiple(random, 2);
            Some((*event, hosts.next()?, hosts.next()?))
        });
        let (event, host, other) = drawn.expect("there is something to draw");
        match event {
            Start => {
                if let Some(host) = world.hosts.iter().find(|host| !world.runs(host)) {
                    world.start(host).await;
                }
            }
            Blackout => world.hosts.iter().for_each(|host| power_off(world, host)),
            PowerNow => power_off(world, host),
            Restart => {
                power_off(world, host);
                world.start(host).await;
            }
            Kill if world.runs(host) => world.end(host),
            PowerSoon if world.runs(host) => {
                let operations = by_chance(|random| random.random_range(1..20));
                host.disk.power_off_at(operations);
            }
            DiskFails => {
                let (kind, nth) = by_chance(|random| {
                    let kind = *FAILING.choose(&mut *random).expect("one");
                    (kind, random.random_range(1..4))
                });
                host.fail(kind, nth);
            }
            CutOneWay => world.net.cut(host.voter, other.voter),
            CutBothWays => {
                world.net.cut(host.voter, other.voter);
                world.net.cut(other.voter, host.voter);
            }
            Isolate => {
                for other in world.hosts.iter().filter(|other| other.voter != host.voter) {
                    world.net.cut(host.voter, other.voter);
                    world.net.cut(other.voter, host.voter);
                }
            }
            Heal => world.net.heal(),
            Event::Weather => world.net.set_weather(bad_weather()),
            Fair => world.net.set_weather(Weather::FAIR),
            Transfer | Elect | Voters => ask(world, event, host),
            Kill | PowerSoon => {}
        }
    }
}

fn power_off(world: &World, host: &Host) {
    if world.runs(host) {
        world.power_off(host);
    }
}

fn bad_weather() -> Weather {
    by_chance(|random| Weather {
        lost: random.random_range(0..200),
        doubled: random.random_range(0..300),
        late: random.random_range(0..50),
        delay_us: random.random_range(200..30_000),
    })
}

/// Asks the nodes for something that takes its time.
fn ask(world: &World, event: Event, host: &Host) {
    let voters: BTreeSet<_> = by_chance(|random| {
        let least = world.hosts.len().min(2);
        let count = random.random_range(least..=world.hosts.len());
        let chosen = world.hosts.choose_multiple(random, count);
        chosen.map(|host| host.voter).collect()
    });
    for asked in &world.hosts {
        let Some(peer) = world.net.peer(asked.voter) else {
            continue;
        };
        let (to, voters) = (host.voter, voters.clone());
        let leads = peer.node.is_leader();
        let task = async move {
            // All of this may be refused.
            match event {
                Transfer if leads => {
                    peer.node.trigger().transfer_leader(to).await.ok();
                }
                Voters if leads => {
                    peer.node.change_membership(voters, true).await.ok();
                }
                Elect if by_chance(|random| random.random_ratio(1, 2)) => {
                    peer.node.trigger().elect(false).await.ok();
                }
                _ => {}
            }
        };
        note(format_args!("{event:?} is asked of {}", asked.voter));
        drop(spawn_on(asked.machine(), task));
    }
}
