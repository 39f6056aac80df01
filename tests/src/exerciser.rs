//! Random calls on a mount and on a real ext4 file system, by several processes: both must answer the
//! same, call by call, and hold the same tree in the end.
//!
//! The processes take turns in one tree, in an order that the seed gives; or each works in a tree of its
//! own while the others do and while all these trees are moved about, so that what happens is certain
//! though its order is not. A difference is shown with the fewest calls found that lead to it.

use std::fmt::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::actor::{Actor, Role};
use crate::command::sh;
use crate::random::{Random, is_long_run, seed};
use crate::small_disk::SmallDisk;
use crate::steps::{Steps, instead};

/// Size of the ext4 file system; sparse.
const EXT4_BYTES: u64 = 8 << 30;
/// Calls between two comparisons of everything.
const CALLS: usize = 1_000;
/// Calls of each process, and moves of their trees, when they work at once.
const CALLS_AT_ONCE: usize = 400;
const MOVES: usize = 60;
/// Calls that are shown before the one that differs.
const TAIL: usize = 20;
/// How long calls are left out of a script to find the ones that matter.
const SHRINKING: Duration = Duration::from_secs(60);

/// One call and the process that makes it.
#[derive(Clone, Debug)]
struct Turn {
    actor: usize,
    line: String,
}

/// A process here and its twin on ext4.
struct Pair {
    expected: Actor,
    found: Actor,
}

/// Where a script differed: the number of a call, or of all for the tree in the end.
struct Difference {
    at: usize,
    text: String,
}

/// See the module.
pub struct Exerciser {
    oracle: SmallDisk,
    mounts: Vec<PathBuf>,
    roles: Vec<Role>,
    seed: u64,
    end: Instant,
    exclusive: bool,
}

impl Exerciser {
    /// Processes are spread over the mounts, all of one node. Needs root.
    pub fn new(mounts: Vec<PathBuf>, roles: &[Role]) -> Exerciser {
        let seed = seed();
        println!("WOLFDISK_SEED={seed}");
        // The six forms of tests/random_tree.rs together take 2 minutes, the long ones 2 hours.
        let time = Duration::from_secs(if is_long_run() { 20 * 60 } else { 20 });
        let oracle = SmallDisk::new(EXT4_BYTES);
        // As WolfDisk mounts.
        sh(&oracle.root(), "mount -o remount,nosuid,nodev .");
        Exerciser {
            oracle,
            mounts,
            roles: roles.to_vec(),
            seed,
            end: Instant::now() + time,
            exclusive: false,
        }
    }

    /// The mount is exclusive.
    #[must_use]
    pub fn on_exclusive(mut self) -> Exerciser {
        self.exclusive = true;
        self
    }

    /// What two answers to a call differ in.
    fn differs(&self, line: &str, expected: &str, found: &str) -> Option<String> {
        // There the kernel itself moves ctime when an access list is set, also to what the mode says, which changes
        // nothing on ext4.
        if self.exclusive && line.starts_with("watched(\"set_acl(") {
            let without = |answer: &str| answer.replace("'c'", "''");
            return differs(&without(expected), &without(found));
        }
        differs(expected, found)
    }

    /// Rounds until the time is over; processes take turns. `upset` is called before a call now and then.
    pub fn in_turn(&mut self, mut upset: impl FnMut(&mut Random)) {
        while Instant::now() < self.end {
            let mut random = Random::from_seed(self.seed);
            let mut steps = Steps::new(&mut random);
            let script: Vec<Turn> = (0..CALLS)
                .map(|_| Turn {
                    actor: steps.below(self.roles.len() as u64) as usize,
                    line: steps.draw(),
                })
                .collect();
            let upset_at = random.below(CALLS as u64) as usize;
            let played = self.play(&script, |number| {
                if number == upset_at {
                    upset(&mut random);
                }
            });
            if let Err(difference) = played {
                self.fail(&script, &difference);
            }
            self.seed = self.seed.wrapping_add(1);
        }
    }

    /// Carries out a script in new directories.
    fn play(&self, script: &[Turn], mut before: impl FnMut(usize)) -> Result<(), Difference> {
        let place = Place::new(self, "tree");
        let mut pairs: Vec<Pair> = (0..self.roles.len())
            .map(|number| place.pair(number, ""))
            .collect();
        for (at, turn) in script.iter().enumerate() {
            before(at);
            let Pair { expected, found } = &mut pairs[turn.actor];
            found.tell(&turn.line);
            if let Some(answers) = instead(&turn.line) {
                let found = found.hear();
                if !answers.contains(&found.as_str()) {
                    let text = format!("not passed on, but {found}");
                    return Err(Difference { at, text });
                }
                continue;
            }
            expected.tell(&turn.line);
            if let Some(text) = self.differs(&turn.line, &expected.hear(), &found.hear()) {
                return Err(Difference { at, text });
            }
        }
        let at = script.len();
        place.compare().map_err(|text| Difference { at, text })
    }

    /// Rounds until the time is over; processes work at once, each in a tree of its own. `upset` is
    /// called while they do.
    pub fn at_once(&mut self, mut upset: impl FnMut(&mut Random)) {
        while Instant::now() < self.end {
            if let Err(text) = self.work_at_once(&mut upset) {
                panic!("WOLFDISK_SEED={}: {text}", self.seed);
            }
            self.seed = self.seed.wrapping_add(1);
        }
    }

    fn work_at_once(&self, upset: &mut impl FnMut(&mut Random)) -> Result<(), String> {
        let mut random = Random::from_seed(self.seed);
        let place = Place::new(self, "trees");
        let mut working = Vec::new();
        for (number, role) in self.roles.iter().enumerate() {
            place.make(&format!("{number}"), 0);
            place.make(&format!("{number}/tree"), role.user);
            let mut steps = Steps::new(&mut random);
            let script: Vec<String> = (0..CALLS_AT_ONCE)
                .map(|_| steps.draw())
                .filter(|line| instead(line).is_none())
                .collect();
            working.push((place.pair(number, &format!("{number}/tree")), script));
        }
        for (pair, script) in &mut working {
            pair.found.tell(&script.join("\n"));
            pair.expected.tell(&script.join("\n"));
        }
        for _ in 0..MOVES {
            place.exchange(&mut random, self.roles.len() as u64);
        }
        upset(&mut random);
        for (number, (pair, script)) in working.iter().enumerate() {
            for (at, line) in script.iter().enumerate() {
                if let Some(text) = self.differs(line, &pair.expected.hear(), &pair.found.hear()) {
                    let tail = script[at.saturating_sub(TAIL)..at].join("\n");
                    return Err(format!("process {number} after\n{tail}\n{line}\n{text}"));
                }
            }
        }
        place.compare()
    }

    /// Shows a difference: the calls before it, and the fewest that are found to lead to one.
    fn fail(&self, script: &[Turn], difference: &Difference) -> ! {
        let end = script.len().min(difference.at + 1);
        let mut said = format!("WOLFDISK_SEED={}: {}\n", self.seed, difference.text);
        self.show(
            &mut said,
            "the last calls",
            &script[end.saturating_sub(TAIL)..end],
        );
        match self.shrink(&script[..end]) {
            Some((script, difference)) => {
                self.show(&mut said, "enough is", &script);
                said += &difference.text;
            }
            None => said += "it does not come again in new directories",
        }
        panic!("{said}");
    }

    fn show(&self, said: &mut String, title: &str, script: &[Turn]) {
        writeln!(said, "{title}:").expect("memory");
        for Turn { actor, line } in script {
            let (user, mount) = (self.roles[*actor].user, actor % self.mounts.len());
            writeln!(
                said,
                "  process {actor}, user {user}, mount {mount}: {line}"
            )
            .expect("memory");
        }
    }

    /// Leaves out calls, ever smaller groups of them, as long as a difference remains.
    fn shrink(&self, script: &[Turn]) -> Option<(Vec<Turn>, Difference)> {
        let begun = Instant::now();
        let mut script = script.to_vec();
        let mut difference = self.play(&script, |_| ()).err()?;
        let mut size = script.len() / 2;
        while size > 0 {
            let mut from = 0;
            while from < script.len() && begun.elapsed() < SHRINKING {
                let mut fewer = script.clone();
                fewer.drain(from..(from + size).min(script.len()));
                match self.play(&fewer, |_| ()) {
                    Ok(()) => from += size,
                    Err(found) => {
                        fewer.truncate(found.at + 1);
                        (script, difference) = (fewer, found);
                    }
                }
            }
            size /= 2;
        }
        Some((script, difference))
    }
}

/// The same new directory on both sides, removed when dropped.
struct Place<'a> {
    exerciser: &'a Exerciser,
    name: &'static str,
}

impl<'a> Place<'a> {
    fn new(exerciser: &'a Exerciser, name: &'static str) -> Place<'a> {
        let place = Place { exerciser, name };
        place.make("", 0);
        place
    }

    fn sides(&self) -> [PathBuf; 2] {
        [&self.exerciser.oracle.root(), &self.exerciser.mounts[0]].map(|root| root.join(self.name))
    }

    /// A directory that everybody may change.
    fn make(&self, name: &str, user: u32) {
        for directory in self.sides().map(|side| side.join(name)) {
            std::fs::create_dir(&directory).expect("a new directory");
            chown(&directory, Some(user), Some(user)).expect("root gives it away");
            let open = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(&directory, open).expect("permissions");
        }
    }

    fn pair(&self, number: usize, directory: &str) -> Pair {
        let (role, mounts) = (self.exerciser.roles[number], &self.exerciser.mounts);
        let settled = mounts.len() > 1;
        let start =
            |root: &Path| Actor::start(&root.join(self.name).join(directory), role, settled);
        let mut pair = Pair {
            expected: start(&self.exerciser.oracle.root()),
            found: start(&mounts[number % mounts.len()]),
        };
        // Both have arrived before anything is moved.
        for actor in [&mut pair.expected, &mut pair.found] {
            actor.tell("None");
            actor.hear();
        }
        pair
    }

    /// Two of the trees change places.
    fn exchange(&self, random: &mut Random, trees: u64) {
        let [one, other] = [0; 2].map(|_| random.below(trees).to_string());
        for side in self.sides() {
            let (one, other) = (side.join(&one), side.join(&other));
            renameat2(
                AT_FDCWD,
                &one,
                AT_FDCWD,
                &other,
                RenameFlags::RENAME_EXCHANGE,
            )
            .expect("both are there");
        }
    }

    /// Everything below it, through every mount.
    fn compare(&self) -> Result<(), String> {
        let everything = |root: &Path| {
            let root_user = Role {
                user: 0,
                groups: &[],
            };
            let mut actor = Actor::start(&root.join(self.name), root_user, false);
            actor.tell("everything()");
            actor.hear()
        };
        let expected = everything(&self.exerciser.oracle.root());
        for mount in &self.exerciser.mounts {
            let found = everything(mount);
            let nodes = |text: &str| text.split("\\x01").map(str::to_owned).collect::<Vec<_>>();
            let (expected, found) = (nodes(&expected), nodes(&found));
            for (expected, found) in expected.iter().zip(&found) {
                if let Some(text) = differs(expected, found) {
                    return Err(text);
                }
            }
            if expected.len() != found.len() {
                return Err(format!(
                    "{} nodes, expected {}",
                    found.len(),
                    expected.len()
                ));
            }
        }
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        for side in self.sides() {
            if let Err(error) = std::fs::remove_dir_all(&side) {
                eprintln!("{} cannot be removed: {error}", side.display());
                assert!(std::thread::panicking(), "a tree can be removed");
            }
        }
    }
}

/// What two answers differ in.
fn differs(expected: &str, found: &str) -> Option<String> {
    (expected != found).then(|| format!("  ext4: {expected:.800}\n  here: {found:.800}\n"))
}
