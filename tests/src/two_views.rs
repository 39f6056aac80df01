//! Two views of one volume, through two mounts: what one did is seen by the other at once, with warm caches, name by
//! name and byte by byte. Each check repeats with the roles changed in turn. [`two_views!`](crate::two_views) makes tests of all
//! of them.

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::random::{Random, is_long_run};
use crate::tree::names;

const ROUNDS: usize = 100;
const LONG_ROUNDS: usize = 10_000;
/// Turns of a writer whose file is read under locks.
const LOCKED_TURNS: u64 = 500;
/// Names in a directory that is listed after every change.
const LISTED_MAX: usize = 500;
const PAGE: usize = 4096;
const DEADLINE: Duration = Duration::from_secs(60);

/// The roots of two mounts of one volume.
pub struct TwoViews {
    pub first: PathBuf,
    pub second: PathBuf,
}

impl TwoViews {
    /// Runs `body` many times with the roots of the acting and the watching mount.
    fn each_round(&self, mut body: impl FnMut(usize, &Path, &Path)) {
        let rounds = if is_long_run() { LONG_ROUNDS } else { ROUNDS };
        for round in 0..rounds {
            match round % 2 {
                0 => body(round, &self.first, &self.second),
                _ => body(round, &self.second, &self.first),
            }
        }
    }
}

/// Tests of everything here, on what the expression gives: a value that is kept, and its [`TwoViews`].
#[macro_export]
macro_rules! two_views {
    ($start:expr) => {
        $crate::two_views!(@ $start;
            a_file_renamed_over_an_opened_name
            a_name_found_missing_before
            growth_shrinkage_and_overwriting
            unlinking_and_removing
            modes_owners_times_and_attributes
            listings
            appends_of_both_interleave_without_loss
            a_lock_taken_here_is_held_there
            what_was_written_under_a_lock_is_there_for_the_next_holders
        );
    };
    (@ $start:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                let (_kept, views) = $start();
                $crate::two_views::$name(&views);
            }
        )+
    };
}

fn is_missing(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// See the module.
pub fn a_file_renamed_over_an_opened_name(two: &TwoViews) {
    fs::write(two.first.join("name"), "before").expect("written");
    two.each_round(|round, here, there| {
        let mut old = fs::File::open(there.join("name")).expect("opened");
        let mut before = String::new();
        old.read_to_string(&mut before).expect("readable");
        let now = format!("round {round}");
        fs::write(here.join("new"), &now).expect("written");
        fs::rename(here.join("new"), here.join("name")).expect("renamed");
        assert_eq!(text(&there.join("name")), now);
        assert!(is_missing(&there.join("new")));
        // Who opened the old file still has it.
        old.seek(SeekFrom::Start(0)).expect("seekable");
        let mut still = String::new();
        old.read_to_string(&mut still).expect("readable");
        assert_eq!(still, before);
    });
}

/// See the module.
pub fn a_name_found_missing_before(two: &TwoViews) {
    two.each_round(|round, here, there| {
        let name = format!("file{round}");
        assert!(is_missing(&there.join(&name)) && is_missing(&there.join(&name)));
        fs::write(here.join(&name), "x").expect("written");
        assert_eq!(text(&there.join(&name)), "x");
        let directory = format!("directory{round}");
        assert!(is_missing(&there.join(&directory)));
        fs::create_dir(here.join(&directory)).expect("made");
        assert!(there.join(&directory).is_dir());
        let link = format!("link{round}");
        assert!(is_missing(&there.join(&link)));
        std::os::unix::fs::symlink("target", here.join(&link)).expect("made");
        assert_eq!(
            fs::read_link(there.join(&link)).expect("a link"),
            PathBuf::from("target")
        );
    });
}

/// See the module.
pub fn growth_shrinkage_and_overwriting(two: &TwoViews) {
    let mut random = Random::new();
    let mut expected = random.bytes(10_000);
    fs::write(two.first.join("file"), &expected).expect("written");
    two.each_round(|_, here, there| {
        assert_eq!(fs::read(there.join("file")).expect("readable"), expected);
        let mut open = fs::File::open(there.join("file")).expect("opened");
        let file = fs::File::options()
            .write(true)
            .open(here.join("file"))
            .expect("opened");
        match random.below(3) {
            0 => {
                let more = 1 + random.below(200_000) as usize;
                let more = random.bytes(more);
                file.write_all_at(&more, expected.len() as u64)
                    .expect("written");
                expected.extend_from_slice(&more);
            }
            1 => {
                let length = random.below(expected.len() as u64 + 1);
                file.set_len(length).expect("truncated");
                expected.truncate(length as usize);
            }
            _ => {
                let at = random.below(expected.len() as u64 + 1) as usize;
                let length = (expected.len() - at).min(random.below(9_000) as usize);
                let bytes = random.bytes(length);
                file.write_all_at(&bytes, at as u64).expect("written");
                expected[at..at + length].copy_from_slice(&bytes);
            }
        }
        drop(file);
        let seen = fs::metadata(there.join("file")).expect("there").len();
        assert_eq!(seen, expected.len() as u64);
        assert!(
            fs::read(there.join("file")).expect("readable") == expected,
            "content differs"
        );
        // A descriptor that was open before sees it too.
        let mut again = Vec::new();
        open.read_to_end(&mut again).expect("readable");
        assert!(again == expected, "an old descriptor reads old content");
    });
}

/// See the module.
pub fn unlinking_and_removing(two: &TwoViews) {
    two.each_round(|_, here, there| {
        fs::create_dir(here.join("directory")).expect("made");
        fs::write(here.join("directory/file"), "content").expect("written");
        assert_eq!(text(&there.join("directory/file")), "content");
        let mut open = fs::File::open(there.join("directory/file")).expect("opened");
        fs::remove_file(here.join("directory/file")).expect("removed");
        assert!(is_missing(&there.join("directory/file")));
        assert!(names(&there.join("directory")).is_empty());
        let mut still = String::new();
        open.read_to_string(&mut still).expect("an open file stays");
        assert_eq!(still, "content");
        fs::remove_dir(here.join("directory")).expect("removed");
        assert!(is_missing(&there.join("directory")));
    });
}

/// See the module.
pub fn modes_owners_times_and_attributes(two: &TwoViews) {
    fs::write(two.first.join("file"), "x").expect("written");
    two.each_round(|round, here, there| {
        fs::metadata(there.join("file")).expect("there");
        let mode = [0o600, 0o644, 0o4755, 0o000][round % 4];
        fs::set_permissions(here.join("file"), fs::Permissions::from_mode(mode)).expect("set");
        let seen = fs::metadata(there.join("file")).expect("there");
        assert_eq!(seen.permissions().mode() & 0o7777, mode);
        let owner = round as u32 + 1;
        std::os::unix::fs::chown(here.join("file"), Some(owner), Some(owner)).expect("set");
        let seen = fs::metadata(there.join("file")).expect("there");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&seen), owner);
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000 + round as u64, 5);
        let file = fs::File::options()
            .write(true)
            .open(here.join("file"))
            .expect("opened");
        file.set_modified(time).expect("set");
        let seen = fs::metadata(there.join("file"))
            .expect("there")
            .modified()
            .expect("a time");
        assert_eq!(seen, time);
        drop(file);
    });
}

/// See the module.
pub fn listings(two: &TwoViews) {
    let mut expected: Vec<String> = Vec::new();
    two.each_round(|round, here, there| {
        assert_eq!(names(there), expected);
        let name = format!("entry{round:05}");
        match round % 5 {
            turn if turn == 4 || expected.len() == LISTED_MAX => {
                let gone = expected.remove(0);
                fs::remove_file(here.join(gone)).expect("removed");
            }
            3 => {
                fs::rename(here.join(&expected[0]), here.join(&name)).expect("renamed");
                expected.remove(0);
                expected.push(name);
            }
            _ => {
                fs::write(here.join(&name), "x").expect("written");
                expected.push(name);
            }
        }
        assert_eq!(names(there), expected);
        assert_eq!(names(here), expected);
    });
}

/// See the module.
pub fn appends_of_both_interleave_without_loss(two: &TwoViews) {
    fs::write(two.first.join("log"), "").expect("written");
    let writers: Vec<_> = [&two.first, &two.second]
        .into_iter()
        .enumerate()
        .map(|(who, root)| {
            let path = root.join("log");
            std::thread::spawn(move || {
                for line in 0..200 {
                    let mut file = fs::File::options()
                        .append(true)
                        .open(&path)
                        .expect("opened");
                    file.write_all(format!("{who} {line}\n").as_bytes())
                        .expect("written");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no failure");
    }
    for root in [&two.first, &two.second] {
        let all = text(&root.join("log"));
        for who in 0..2 {
            let mine: Vec<String> = all
                .lines()
                .filter_map(|line| line.strip_prefix(&format!("{who} ")).map(str::to_owned))
                .collect();
            let expected: Vec<String> = (0..200).map(|line| line.to_string()).collect();
            assert_eq!(mine, expected, "lines of writer {who}");
        }
    }
}

/// See the module.
pub fn a_lock_taken_here_is_held_there(two: &TwoViews) {
    fs::write(two.first.join("lock"), "0").expect("written");
    // Each increments a counter under flock; a lost update means that both held it.
    let workers: Vec<_> = [&two.first, &two.second]
        .into_iter()
        .map(|root| {
            let path = root.join("lock");
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let mut file = fs::File::options()
                        .read(true)
                        .write(true)
                        .open(&path)
                        .expect("opened");
                    file.lock().expect("locked");
                    let mut number = String::new();
                    file.read_to_string(&mut number).expect("readable");
                    let next = number.parse::<u32>().expect("a number") + 1;
                    file.write_all_at(next.to_string().as_bytes(), 0)
                        .expect("written");
                    file.unlock().expect("unlocked");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no failure");
    }
    assert_eq!(text(&two.first.join("lock")), "200");
}

/// What a writer wrote last, and up to which turn each of its readers has looked.
struct Turns {
    state: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Turn {
    number: u64,
    length: usize,
    seen: [u64; 2],
}

impl Turns {
    fn change(&self, change: impl FnOnce(&mut Turn)) {
        change(&mut self.state.lock().expect("nobody failed"));
        self.changed.notify_all();
    }

    fn wait(&self, is_so: impl Fn(&Turn) -> bool) -> Turn {
        let state = self.state.lock().expect("nobody failed");
        let waited = self
            .changed
            .wait_timeout_while(state, DEADLINE, |turn| !is_so(turn));
        let (turn, late) = waited.expect("nobody failed");
        assert!(!late.timed_out(), "the other one does not go on");
        *turn
    }
}

fn opened(path: &Path) -> fs::File {
    let file = fs::File::options().read(true).write(true).open(path);
    file.expect("opened")
}

/// Under an exclusive lock it fills the file with the number of the turn, at a length of its own.
fn rewrite_in_turns(path: &Path, turns: &Turns) {
    let mut random = Random::new();
    let file = opened(path);
    for number in 1..=LOCKED_TURNS {
        file.lock().expect("locked");
        let length = 1 + random.below(40 * PAGE as u64) as usize;
        let bytes = number.to_le_bytes().repeat(length.div_ceil(8));
        for (page, bytes) in bytes[..length].chunks(PAGE).enumerate() {
            file.write_all_at(bytes, (page * PAGE) as u64)
                .expect("written");
        }
        file.set_len(length as u64).expect("cut");
        turns.change(|turn| (turn.number, turn.length) = (number, length));
        file.unlock().expect("unlocked");
        turns.wait(|turn| turn.seen == [number; 2]);
    }
}

/// Under a shared lock it reads from some page on to the end, without asking where that is.
fn read_in_turns(path: &Path, turns: &Turns, me: usize) {
    let mut random = Random::new();
    let (file, mut page) = (opened(path), [0; PAGE]);
    for number in 1..=LOCKED_TURNS {
        turns.wait(|turn| turn.number == number);
        file.lock_shared().expect("locked");
        let length = turns.wait(|_| true).length as u64;
        let mut at = random.below(length) / PAGE as u64 * PAGE as u64;
        loop {
            let read = file.read_at(&mut page, at).expect("readable");
            let mut words = page[..read].chunks_exact(8);
            let same = words.all(|word| word == number.to_le_bytes());
            assert!(
                same,
                "turn {number}, {length} bytes: other bytes behind {at}"
            );
            at += read as u64;
            if read == 0 {
                break;
            }
        }
        assert_eq!(at, length, "turn {number}: the end");
        file.unlock().expect("unlocked");
        turns.change(|turn| turn.seen[me] = number);
    }
}

/// See the module.
pub fn what_was_written_under_a_lock_is_there_for_the_next_holders(two: &TwoViews) {
    fs::write(two.first.join("file"), "").expect("written");
    let turns = Turns {
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    let (here, there) = (two.first.join("file"), two.second.join("file"));
    std::thread::scope(|scope| {
        scope.spawn(|| rewrite_in_turns(&here, &turns));
        for me in 0..2 {
            let (there, turns) = (&there, &turns);
            scope.spawn(move || read_in_turns(there, turns, me));
        }
    });
}
