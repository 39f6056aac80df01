//! Programs that work on two mounts and know what must be there afterwards. A call may fail with `EIO`: what
//! it was to change is then as before or as after, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wolfdisk_tests::{Random, wait_within};

/// Files that nobody changes.
const STATIC_FILES: usize = 5;
/// Records that are appended between two syncs.
const RECORDS_PER_SYNC: u64 = 8;
/// Bytes of a record, and of the shared counter.
const RECORD_BYTES: usize = 12;
/// Where all increment one number under a lock.
const COUNTER: &str = "counter";

/// Looks whether what a worker did is there, below the root of a mount.
type Check = Box<dyn Fn(&Path) + Send>;

/// A kind of worker, and what it does.
type Kind = (&'static str, fn(&Job) -> Check);

/// What all workers share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    errors: AtomicU64,
    counted: AtomicU64,
    maybe_counted: AtomicU64,
}

/// One worker.
#[derive(Clone)]
struct Job {
    root: PathBuf,
    name: String,
    shared: Arc<Shared>,
    steps: Arc<AtomicU64>,
}

/// All workers.
pub struct Work {
    shared: Arc<Shared>,
    jobs: Vec<(Job, JoinHandle<Check>)>,
}

/// What they leave.
pub struct Done {
    shared: Arc<Shared>,
    checks: Vec<Check>,
}

impl Work {
    /// One worker of each kind on each mount.
    pub fn start(mounts: &[&Path]) -> Work {
        let first = mounts.first().expect("a mount");
        for number in 0..STATIC_FILES {
            fs::write(first.join(static_name(number)), static_content(number)).expect("written");
        }
        fs::write(first.join(COUNTER), record(0)).expect("written");
        let kinds: [Kind; 5] = [
            ("replaces", replaces),
            ("appends", appends),
            ("counts", counts),
            ("names", names),
            ("reads", reads),
        ];
        let shared = Arc::new(Shared::default());
        let mut jobs = Vec::new();
        for (number, root) in mounts.iter().enumerate() {
            for (kind, work) in kinds {
                let job = Job {
                    root: root.to_path_buf(),
                    name: format!("{kind}-{number}"),
                    shared: shared.clone(),
                    steps: Arc::default(),
                };
                let own = job.clone();
                jobs.push((job, std::thread::spawn(move || work(&own))));
            }
        }
        Work { shared, jobs }
    }

    /// Steps of every worker, `more` than now.
    pub fn steps_ahead(&self, more: u64) -> Vec<u64> {
        let steps = self.jobs.iter().map(|(job, _)| &job.steps);
        steps
            .map(|steps| steps.load(Ordering::SeqCst) + more)
            .collect()
    }

    /// Whether every worker has come so far.
    ///
    /// # Panics
    /// One has failed.
    pub fn has_come_to(&self, target: &[u64]) -> bool {
        let mut all = self.jobs.iter().zip(target);
        all.all(|((job, thread), target)| {
            assert!(!thread.is_finished(), "{} failed", job.name);
            job.steps.load(Ordering::SeqCst) >= *target
        })
    }

    /// Ends it.
    pub fn stop(self, limit: Duration) -> Done {
        self.shared.stop.store(true, Ordering::SeqCst);
        wait_within(limit, "all workers end", || {
            self.jobs.iter().all(|(_, thread)| thread.is_finished())
        });
        let checks = self.jobs.into_iter().map(|(job, thread)| {
            thread
                .join()
                .unwrap_or_else(|_| panic!("{} failed", job.name))
        });
        Done {
            checks: checks.collect(),
            shared: self.shared,
        }
    }
}

impl Done {
    /// Calls that failed.
    pub fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::SeqCst)
    }

    /// Everything is there as it must be.
    pub fn check(&self, root: &Path) {
        self.checks.iter().for_each(|check| check(root));
        let number = number(&fs::read(root.join(COUNTER)).expect("readable"));
        let sure = self.shared.counted.load(Ordering::SeqCst);
        let most = sure + self.shared.maybe_counted.load(Ordering::SeqCst);
        assert!(
            (sure..=most).contains(&number),
            "{sure} <= {number} <= {most}"
        );
    }
}

impl Job {
    /// False once the work is to end.
    fn goes_on(&self) -> bool {
        self.steps.fetch_add(1, Ordering::SeqCst);
        !self.shared.stop.load(Ordering::SeqCst)
    }

    /// Makes calls of which none may fail but with `EIO`.
    fn attempt<T>(&self, what: &str, calls: impl FnOnce() -> io::Result<T>) -> Option<T> {
        match calls() {
            Ok(value) => Some(value),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                println!("{}: {what}: {error}", self.name);
                self.shared.errors.fetch_add(1, Ordering::SeqCst);
                None
            }
            Err(error) => panic!("{}: {what}: {error}", self.name),
        }
    }

    /// A directory of its own; made before anything stands still.
    fn directory(&self) -> PathBuf {
        let path = self.root.join(&self.name);
        fs::create_dir(&path).expect("made");
        path
    }
}

/// `close(2)` with its result, which says whether buffered bytes arrived.
fn close(file: File) -> io::Result<()> {
    nix::unistd::close(file).map_err(io::Error::from)
}

/// A number that takes [`RECORD_BYTES`].
fn record(number: u64) -> Vec<u8> {
    format!("{number:011}\n").into_bytes()
}

fn number(record: &[u8]) -> u64 {
    let text = std::str::from_utf8(record).expect("digits");
    text.trim_end().parse().expect("a number")
}

fn static_name(number: usize) -> String {
    format!("static-{number}")
}

fn static_content(number: usize) -> Vec<u8> {
    vec![number as u8; number * 200_000 + 5]
}

/// Writes a new file and renames it over the old one: others see the one or the other, whole.
fn replaces(job: &Job) -> Check {
    let directory = job.directory();
    let (new, path) = (directory.join("new"), directory.join("file"));
    fs::write(&path, "").expect("written");
    let mut allowed = vec![Vec::new()];
    let mut round = 0;
    while job.goes_on() {
        round += 1;
        let repeats = [1, 100, 5_000, 40_000][round as usize % 4];
        let content = record(round).repeat(repeats);
        let written = job.attempt("write a file", || {
            let mut file = File::create(&new)?;
            file.write_all(&content)?;
            if round % 3 == 0 {
                file.sync_all()?;
            }
            close(file)
        });
        if written.is_some() {
            match job.attempt("rename", || fs::rename(&new, &path)) {
                Some(()) => allowed = vec![content],
                None => allowed.push(content),
            }
        }
        if let Some(found) = job.attempt("read a file", || fs::read(&path)) {
            assert!(allowed.contains(&found), "{}: other content", job.name);
        }
    }
    let name = job.name.clone();
    Box::new(move |root| {
        let found = fs::read(root.join(&name).join("file")).expect("readable");
        assert!(allowed.contains(&found), "{name}: other content");
    })
}

/// Appends records and syncs now and then: none that was synced is lost, none comes twice.
fn appends(job: &Job) -> Check {
    let path = job.root.join(&job.name);
    let (mut sure, mut maybe, mut unsynced) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut file, mut next) = (None, 0);
    while job.goes_on() {
        let result = job.attempt("append", || {
            let mut open = match file.take() {
                Some(open) => open,
                None => File::options().append(true).create(true).open(&path)?,
            };
            for _ in 0..RECORDS_PER_SYNC {
                next += 1;
                unsynced.insert(next);
                open.write_all(&record(next))?;
            }
            open.sync_all()?;
            Ok(open)
        });
        match &result {
            Some(_) => sure.append(&mut unsynced),
            None => maybe.append(&mut unsynced),
        }
        file = result;
    }
    let name = job.name.clone();
    Box::new(move |root| {
        let bytes = fs::read(root.join(&name)).expect("readable");
        assert_eq!(bytes.len() % RECORD_BYTES, 0, "{name}: a torn record");
        let found: Vec<u64> = bytes.chunks(RECORD_BYTES).map(number).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{name}: out of order");
        let found = BTreeSet::from_iter(found);
        let lost: Vec<_> = sure.difference(&found).collect();
        assert!(lost.is_empty(), "{name}: lost {lost:?}");
        let more: Vec<_> = found.difference(&sure).collect();
        let known = more.iter().all(|number| maybe.contains(number));
        assert!(known, "{name}: {more:?} were not appended");
    })
}

/// Increments a number in a file that all share, under a lock.
fn counts(job: &Job) -> Check {
    let path = job.root.join(COUNTER);
    while job.goes_on() {
        let mut changed = false;
        let result = job.attempt("count", || {
            let file = File::options().read(true).write(true).open(&path)?;
            file.lock()?;
            let mut bytes = vec![0; RECORD_BYTES];
            file.read_exact_at(&mut bytes, 0)?;
            changed = true;
            file.write_all_at(&record(number(&bytes) + 1), 0)?;
            file.unlock()?;
            close(file)
        });
        let counter = match result {
            Some(()) => &job.shared.counted,
            None => &job.shared.maybe_counted,
        };
        counter.fetch_add(u64::from(changed), Ordering::SeqCst);
    }
    // All of them count together; see `Done::check`.
    Box::new(|_| ())
}

/// Makes and removes names.
fn names(job: &Job) -> Check {
    let directory = job.directory();
    let mut random = Random::new();
    // Whether a name is there; none where it is not known.
    let mut there: BTreeMap<String, Option<bool>> = BTreeMap::new();
    while job.goes_on() {
        let name = format!("name-{}", random.below(50));
        let path = directory.join(&name);
        let state = there.entry(name).or_insert(Some(false));
        *state = match *state {
            Some(true) => {
                let removed = job.attempt("unlink", || fs::remove_file(&path));
                removed.map(|()| false)
            }
            Some(false) => job
                .attempt("symlink", || symlink("t", &path))
                .map(|()| true),
            None => {
                let removed = job.attempt("unlink what may be there", || {
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                        other => other,
                    }
                });
                removed.map(|()| false)
            }
        };
    }
    let own = job.name.clone();
    Box::new(move |root| {
        for (name, state) in &there {
            let found = fs::symlink_metadata(root.join(&own).join(name)).is_ok();
            assert!(state.is_none_or(|there| there == found), "{own}: {name}");
        }
    })
}

/// Reads what nobody changes.
fn reads(job: &Job) -> Check {
    let root = job.root.clone();
    let look = |number: usize| {
        let content = fs::read(root.join(static_name(number)))?;
        let size = fs::metadata(root.join(static_name(number)))?.len();
        let listed = fs::read_dir(&root)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<BTreeSet<_>>>()?;
        Ok((content, size, listed))
    };
    let mut number = 0;
    while job.goes_on() {
        number = (number + 1) % STATIC_FILES;
        if let Some((content, size, listed)) = job.attempt("read", || look(number)) {
            let expected = static_content(number);
            assert!(content == expected, "{}: other content", job.name);
            assert_eq!(size, expected.len() as u64, "{}", job.name);
            let all = (0..STATIC_FILES)
                .all(|n| listed.contains(static_name(n).as_ref() as &std::ffi::OsStr));
            assert!(all, "{}: {listed:?}", job.name);
        }
    }
    Box::new(|root| {
        for number in 0..STATIC_FILES {
            let content = fs::read(root.join(static_name(number))).expect("readable");
            assert!(content == static_content(number), "other content");
        }
    })
}
