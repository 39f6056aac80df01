//! A worker that changes one directory, and every state in which a crash may leave that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::random::Random;
use crate::wait::wait_until;

/// Names that a worker uses.
const NAMES: u64 = 30;
/// Bytes that are written at most at once: often more than the log takes for itself, never more than one change of
/// the index takes.
const WRITE_BYTES_MAX: u64 = 150_000;

/// What is in a directory.
type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// A directory's past since the last sync. All changes have an order and a crash leaves a prefix of them: so it
/// leaves one of the states that are noted here, never another.
pub struct History {
    directory: PathBuf,
    /// In the order in which they came; the last is what is there now. The first is on the disk.
    states: Vec<Files>,
    random: Random,
}

impl History {
    /// Makes the directory, durably.
    pub fn new(directory: PathBuf) -> History {
        fs::create_dir(&directory).expect("made");
        sync(&directory).expect("synced");
        History {
            directory,
            states: vec![Files::new()],
            random: Random::new(),
        }
    }

    /// Makes one change and often waits until it is on the disk.
    ///
    /// # Errors
    /// A call failed. Then it may be done or not, and [`History::check`] tells which.
    pub fn step(&mut self) -> io::Result<()> {
        let name = self.name();
        let durable = match (self.random.below(6), self.now().contains_key(&name)) {
            (0, true) => {
                self.note(|files| drop(files.remove(&name)));
                fs::remove_file(self.path(&name))?;
                false
            }
            (1, true) => {
                let other = self.name();
                self.note(|files| {
                    if let Some(content) = files.remove(&name) {
                        files.insert(other.clone(), content);
                    }
                });
                fs::rename(self.path(&name), self.path(&other))?;
                false
            }
            (2, true) => {
                let more = self.content();
                self.note(|files| {
                    let content = files.entry(name.clone()).or_default();
                    Arc::make_mut(content).extend(&more);
                });
                self.write(File::options().append(true).open(self.path(&name))?, &more)?
            }
            (3, true) => self.replace(&name)?,
            (_, true) => {
                let content = fs::read(self.path(&name))?;
                assert!(content == *self.now()[&name], "{name} reads back");
                false
            }
            (_, false) => self.create(&name)?,
        };
        if durable || self.random.below(4) == 0 {
            if !durable {
                sync(&self.directory)?;
            }
            self.states.drain(..self.states.len() - 1);
        }
        Ok(())
    }

    /// Panics unless the directory is as a crash may have left it. From then on that is what is there.
    pub fn check(&mut self) {
        let found = self.found();
        let known = self.states.iter().rposition(|files| *files == found);
        let Some(known) = known else {
            panic!(
                "{} is none of the {} states that a crash may leave{}",
                self.directory.display(),
                self.states.len(),
                difference(&found, self.now())
            );
        };
        self.states = vec![self.states.swap_remove(known)];
    }

    fn create(&mut self, name: &str) -> io::Result<bool> {
        let content = self.content();
        self.note(|files| drop(files.insert(name.to_owned(), Arc::default())));
        let file = File::create_new(self.path(name))?;
        self.note(|files| drop(files.insert(name.to_owned(), Arc::new(content.clone()))));
        self.write(file, &content)
    }

    /// Writes a new file beside and gives it the name.
    fn replace(&mut self, name: &str) -> io::Result<bool> {
        let beside = format!("{name}.new");
        if self.now().contains_key(&beside) {
            self.note(|files| drop(files.remove(&beside)));
            fs::remove_file(self.path(&beside))?;
        }
        self.create(&beside)?;
        self.note(|files| {
            if let Some(content) = files.remove(&beside) {
                files.insert(name.to_owned(), content);
            }
        });
        fs::rename(self.path(&beside), self.path(name))?;
        Ok(false)
    }

    /// Writes and closes; whether it was synced.
    fn write(&mut self, mut file: File, content: &[u8]) -> io::Result<bool> {
        file.write_all(content)?;
        let durable = self.random.below(2) == 0;
        if durable {
            file.sync_all()?;
        }
        nix::unistd::close(file)?;
        Ok(durable)
    }

    fn note(&mut self, change: impl FnOnce(&mut Files)) {
        let mut files = self.now().clone();
        change(&mut files);
        self.states.push(files);
    }

    fn now(&self) -> &Files {
        self.states.last().expect("never empty")
    }

    fn found(&self) -> Files {
        let entries = fs::read_dir(&self.directory).expect("a directory");
        entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let content = fs::read(entry.path()).expect("readable");
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, Arc::new(content))
            })
            .collect()
    }

    fn name(&mut self) -> String {
        format!("file{}", self.random.below(NAMES))
    }

    fn content(&mut self) -> Vec<u8> {
        let length = 1 + self.random.below(WRITE_BYTES_MAX);
        self.random
            .bytes(usize::try_from(length).expect("it is small"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Names and lengths in which two states differ.
fn difference(found: &Files, now: &Files) -> String {
    let length = |files: &Files, name| files.get(name).map(|content| content.len());
    let mut names: Vec<&String> = found.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| found.get(*name) != now.get(*name))
        .map(|name| {
            format!(
                "\n  {name}: {:?} bytes, {:?} at the end",
                length(found, name),
                length(now, name)
            )
        })
        .collect()
}

/// Threads that work on a history each.
pub struct Workers {
    stop: Arc<AtomicBool>,
    steps: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<(History, Option<io::Error>)>>,
}

impl Workers {
    /// They work until they are stopped or a call fails.
    pub fn start(histories: Vec<History>) -> Workers {
        let stop = Arc::new(AtomicBool::new(false));
        let steps = Arc::new(AtomicUsize::new(0));
        let work = |mut history: History| {
            let (stop, steps) = (Arc::clone(&stop), Arc::clone(&steps));
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    if let Err(error) = history.step() {
                        return (history, Some(error));
                    }
                    steps.fetch_add(1, Ordering::SeqCst);
                }
                (history, None)
            })
        };
        let threads = histories.into_iter().map(work).collect();
        Workers {
            stop,
            steps,
            threads,
        }
    }

    /// Waits until they have made `count` more steps together, or one has failed.
    pub fn wait_for_steps(&self, count: usize) {
        let target = self.steps.load(Ordering::SeqCst) + count;
        wait_until("work goes on", || {
            self.steps.load(Ordering::SeqCst) >= target || self.has_failed()
        });
    }

    /// Whether a call of one of them failed.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends them and gives the histories, and the failures.
    pub fn stop(self) -> (Vec<History>, Vec<io::Error>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        let ended = self.threads.into_iter().map(JoinHandle::join);
        let histories = ended
            .map(|end| {
                let (history, failure) = end.expect("what was read is what was written");
                failures.extend(failure);
                history
            })
            .collect();
        (histories, failures)
    }
}
