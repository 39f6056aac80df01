//! What a number of seeds proves.
//!
//! `WOLFDISK_SEED` names the first seed, `WOLFDISK_SEEDS` says how many, `WOLFDISK_TRACE` prints what happens. Without them a
//! usual run takes those from 0 on for some seconds, so that it can be repeated, and a long one (`WOLFDISK_LONG=1`) a thousand
//! new ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use openraft::AsyncRuntime;
use openraft_rt::testing::Suite;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::clients::client;
use super::events::Events;
use super::faulty::Fault;
use super::runtime::{OUTSIDE, Sim, by_chance, spawn_on};
use super::sessions::{History, looker, session};
use super::world::World;

const SEED_VARIABLE: &str = "WOLFDISK_SEED";
const SEEDS_VARIABLE: &str = "WOLFDISK_SEEDS";
const LONG_VARIABLE: &str = "WOLFDISK_LONG";
/// Seeds of a long run.
const LONG_SEEDS: u64 = 1000;
/// As long as a usual run goes on, whatever the machine does in that time.
const BUDGET: Duration = Duration::from_secs(5);
/// A mistake must be found out within so many seeds.
const FOUND_WITHIN: u64 = 1000;
/// Events of a run.
const EVENTS: u32 = 60;
const CLIENTS: i64 = 3;

/// What a run came to.
struct Outcome {
    hash: u64,
    trace: String,
    /// How many writes were acknowledged and reads answered, or what was broken.
    done: Result<(usize, u64), String>,
}

/// Clients that ask Raft itself, or sessions that ask daemons.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Raft,
    Daemons,
}

async fn history(of: Of, fault: Option<Fault>) -> Result<(usize, u64), String> {
    let count = match by_chance(|random| random.random_ratio(1, 3)) {
        true => 5,
        false => 3,
    };
    let events = Events::drawn();
    let world = World::of(count, fault, of == Of::Daemons).await?;
    let told = History::new(world.record.clone());
    for number in 1..=CLIENTS {
        let (net, record, told) = (world.net.clone(), world.record.clone(), told.clone());
        match of {
            Of::Raft => drop(spawn_on(OUTSIDE, client(number, net, record, fault))),
            Of::Daemons => drop(spawn_on(OUTSIDE, session(number, net, told, fault))),
        }
    }
    if of == Of::Daemons {
        let net = world.net.clone();
        drop(spawn_on(OUTSIDE, looker(net, told.clone(), fault)));
    }
    for _ in 0..EVENTS {
        events.step(&world).await;
        world.check()?;
    }
    match of {
        Of::Raft => {
            world.settle().await?;
            let (_, writes) = world.record.acknowledged();
            Ok((writes, world.record.reads()))
        }
        Of::Daemons => {
            world.settle_daemons(|| told.done().0).await?;
            let (answers, looks) = told.done();
            Ok((answers, looks + told.held()))
        }
    }
}

fn run(of: Of, seed: u64, fault: Option<Fault>) -> Outcome {
    let mut sim = Sim::seeded(seed);
    let ran = catch_unwind(AssertUnwindSafe(|| sim.block_on(history(of, fault))));
    let done = ran.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        Err(what.unwrap_or_else(|| "a panic".to_owned()))
    });
    Outcome {
        hash: sim.trace_hash(),
        trace: sim.trace_end(),
        done,
    }
}

fn given(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn the_runtime_is_one() {
    Suite::<Sim>::test_all();
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for (of, seeds) in [(Of::Raft, 8), (Of::Daemons, 4)] {
        for seed in 0..seeds {
            let (one, two) = (run(of, seed, None), run(of, seed, None));
            assert_eq!(one.trace, two.trace, "seed {seed}");
            assert_eq!(one.hash, two.hash, "seed {seed}");
            assert_ne!(one.hash, run(of, seed + 1000, None).hash);
        }
    }
}

#[test]
fn what_was_acknowledged_stays_and_nodes_agree() {
    holds(Of::Raft);
}

#[test]
fn daemons_decide_once_and_hold_the_same() {
    holds(Of::Daemons);
}

/// For as many seeds as there is time for, or as is asked for.
fn holds(of: Of) {
    let long = given(LONG_VARIABLE) == Some(1);
    let new = || StdRng::from_os_rng().next_u64() >> 16;
    let first = given(SEED_VARIABLE).unwrap_or_else(|| if long { new() } else { 0 });
    let count = given(SEEDS_VARIABLE).or(long.then_some(LONG_SEEDS));
    let (began, mut done) = (Instant::now(), 0);
    let (mut writes, mut reads) = (0, 0);
    while count.map_or(began.elapsed() < BUDGET, |count| done < count) {
        let seed = first + done;
        let Outcome {
            done: outcome,
            trace,
            ..
        } = run(of, seed, None);
        match outcome {
            Ok(counts) => (writes, reads) = (writes + counts.0, reads + counts.1),
            Err(what) => panic!("{trace}{SEED_VARIABLE}={seed}: {what}"),
        }
        done += 1;
    }
    println!(
        "{done} seeds from {first} in {:?}: {writes} writes, {reads} reads",
        began.elapsed()
    );
    assert!(writes > 0 && reads > 0);
}

/// A mistake is found out, and nothing is wrong without it.
fn is_found(of: Of, fault: Fault) {
    let began = Instant::now();
    let found =
        (0..FOUND_WITHIN).find_map(|seed| Some((seed, run(of, seed, Some(fault)).done.err()?)));
    let (seed, what) = found.unwrap_or_else(|| panic!("{fault:?} goes unnoticed"));
    println!(
        "{fault:?} is found by seed {seed} in {:?}: {what}",
        began.elapsed()
    );
    run(of, seed, None)
        .done
        .expect("the mistake is what was found");
}

#[test]
fn a_store_that_reports_before_it_syncs_is_found_out() {
    is_found(Of::Raft, Fault::ReportsEarly);
}

#[test]
fn a_vote_that_is_not_synced_is_found_out() {
    is_found(Of::Raft, Fault::VoteUnsynced);
}

#[test]
fn a_store_that_keeps_the_first_vote_of_a_term_is_found_out() {
    is_found(Of::Raft, Fault::FirstVoteStays);
}

#[test]
fn a_store_that_cuts_too_much_is_found_out() {
    is_found(Of::Raft, Fault::CutsTooMuch);
}

#[test]
fn a_node_that_grants_every_vote_is_found_out() {
    is_found(Of::Raft, Fault::GrantsAll);
}

#[test]
fn a_leader_that_reads_alone_is_found_out() {
    is_found(Of::Raft, Fault::ReadsAlone);
}

#[test]
fn a_daemon_that_answers_although_it_is_not_sure_is_found_out() {
    is_found(Of::Daemons, Fault::AnswersUnsure);
}

#[test]
fn a_daemon_that_does_not_wait_for_leases_is_found_out() {
    is_found(Of::Daemons, Fault::SkipsLeases);
}

#[test]
fn a_daemon_that_decides_before_it_knows_all_is_found_out() {
    is_found(Of::Daemons, Fault::DecidesEarly);
}
