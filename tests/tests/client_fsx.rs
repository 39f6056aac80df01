//! fsx on one file from two members in turns: whenever it closes the file and opens it again it does so at the other one,
//! and goes on with what it knows must be there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use wolfdisk_tests::{Background, Cluster, Random, Scratch, fsx, is_long_run, wait_within};

/// Files at the same time, each with a seed of its own.
const SEEDS: usize = 3;
/// How often the file changes hands at least, of a hundred times that it is closed; a busy machine may miss some.
const TURNS_PERCENT: u32 = 20;

/// How often fsx closes the file, by its weights, and how many operations there are for one close by them.
const CLOSES: u32 = 3;
const OPERATIONS_PER_CLOSE: u32 = 23;

/// Operations on each file, and for how long they may go on.
fn plan() -> (u32, Duration) {
    if is_long_run() {
        (100_000, Duration::from_secs(3600))
    } else {
        (10_000, Duration::from_secs(200))
    }
}

/// The path that fsx knows: a link that leads to the file at one of the members.
struct Turns {
    link: PathBuf,
    places: [PathBuf; 2],
}

impl Turns {
    /// Leads to the other place from now on.
    fn lead_to(&self, place: &Path) {
        let next = self.link.with_extension("next");
        symlink(place, &next).expect("linked");
        fs::rename(next, &self.link).expect("renamed");
    }

    /// Where a process has the file open.
    fn open_at(&self, pid: u32) -> Option<usize> {
        // Between two opens, and at its end, it has nothing open.
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let mut targets = descriptors
            .flatten()
            .filter_map(|it| fs::read_link(it.path()).ok());
        targets.find_map(|target| self.places.iter().position(|place| *place == target))
    }

    /// Until it ends; how often the file has changed hands.
    fn alternate(&self, fsx: &mut Background, deadline: Duration) -> u32 {
        let (mut last, mut turns) = (None, 0);
        wait_within(deadline, "fsx ends", || {
            if let Some(at) = self.open_at(fsx.pid())
                && last != Some(at)
            {
                turns += u32::from(last.is_some());
                last = Some(at);
                self.lead_to(&self.places[1 - at]);
            }
            fsx.ended().is_some()
        });
        turns
    }
}

fn exercise(scratch: &Scratch, mounts: [&Path; 2], seed: u32) {
    let (operations, deadline) = plan();
    let name = format!("fsx-{seed}");
    let turns = Turns {
        link: scratch.path().join(&name),
        places: mounts.map(|mount| mount.join(&name)),
    };
    turns.lead_to(&turns.places[0]);
    let mut command = fsx(scratch, &turns.link, seed, operations, CLOSES);
    let mut running = Background::start(&mut command, &format!("said-{seed}"), scratch);
    let changed_hands = turns.alternate(&mut running, deadline);
    let said = running.succeed(Duration::ZERO);
    assert!(said.contains("A-OK"), "seed {seed}: {said}");
    let closed = operations / OPERATIONS_PER_CLOSE;
    println!("seed {seed}: {changed_hands} turns, closed about {closed} times");
    assert!(changed_hands >= closed * TURNS_PERCENT / 100);
    let [one, two] = turns.places.map(|place| fs::read(place).expect("read"));
    assert!(one == two, "seed {seed}: two contents at the end");
}

#[test]
fn a_file_holds_what_was_written_at_either_member() {
    let cluster = Cluster::start();
    let [one, two] =
        ["one", "two"].map(|name| cluster.up(cluster.joined(name, &["--no-squash-root"])));
    let scratch = Scratch::new();
    let mut random = Random::new();
    thread::scope(|scope| {
        for _ in 0..SEEDS {
            let (scratch, seed) = (&scratch, random.below(1 << 32) as u32);
            let mounts = [one.mount(), two.mount()];
            scope.spawn(move || exercise(scratch, mounts, seed));
        }
    });
}
