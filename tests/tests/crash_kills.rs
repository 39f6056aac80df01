//! Daemons are killed with SIGKILL in the middle of work. `up` starts them again, calls wait and go on,
//! nothing that was acknowledged is lost and nothing is done twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use wolfdisk_tests::{Daemon, Node, Random, is_long_run, names, wait_until};

/// What must be in a directory.
type Files = BTreeMap<String, Vec<u8>>;

const WORKERS: usize = 4;

/// Kills of each of the five tests.
fn kills() -> usize {
    if is_long_run() { 200 } else { 6 }
}

/// Threads that create, write, rename and remove files, each in a directory of its own, and know what
/// must be there.
struct Work {
    stop: Arc<AtomicBool>,
    steps: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<(PathBuf, Files)>>,
}

impl Work {
    fn start(root: &Path) -> Work {
        let (stop, steps) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let threads = (0..WORKERS)
            .map(|number| {
                let directory = root.join(format!("worker{number}"));
                let (stop, steps) = (stop.clone(), steps.clone());
                std::thread::spawn(move || {
                    fs::create_dir(&directory).expect("made");
                    let (mut random, mut there) = (Random::new(), Files::new());
                    while !stop.load(Ordering::SeqCst) {
                        step(&directory, &mut random, &mut there);
                        steps.fetch_add(1, Ordering::SeqCst);
                    }
                    (directory, there)
                })
            })
            .collect();
        Work {
            stop,
            steps,
            threads,
        }
    }

    fn wait_for_steps(&self, count: usize) {
        let target = self.steps.load(Ordering::SeqCst) + count;
        wait_until("work goes on", || {
            assert!(
                !self.threads.iter().any(JoinHandle::is_finished),
                "a worker failed"
            );
            self.steps.load(Ordering::SeqCst) >= target
        });
    }

    /// Ends it and gives what must be there, by directory.
    fn stop(self) -> Vec<(PathBuf, Files)> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads
            .into_iter()
            .map(|thread| thread.join().expect("no call failed"))
            .collect()
    }
}

/// One change, of which every call must succeed exactly once.
fn step(directory: &Path, random: &mut Random, there: &mut Files) {
    let name = format!("file{}", random.below(40));
    let path = directory.join(&name);
    match (random.below(6), there.contains_key(&name)) {
        (0, true) => {
            fs::remove_file(&path).expect("removed once");
            there.remove(&name);
        }
        (1, true) => {
            let other = format!("file{}", random.below(40));
            fs::rename(&path, directory.join(&other)).expect("renamed once");
            let content = there.remove(&name).expect("known");
            there.insert(other, content);
        }
        (2, true) => {
            let length = 1 + random.below(3_000) as usize;
            let more = random.bytes(length);
            let mut file = fs::File::options()
                .append(true)
                .open(&path)
                .expect("opened");
            file.write_all(&more).expect("written");
            file.sync_all().expect("synced");
            there.get_mut(&name).expect("known").extend(more);
        }
        (3, true) => {
            let content = there.get_mut(&name).expect("known");
            let at = random.below(content.len() as u64 + 1) as usize;
            let length = 1 + random.below(30_000) as usize;
            let bytes = random.bytes(length);
            let file = fs::File::options().write(true).open(&path).expect("opened");
            file.write_all_at(&bytes, at as u64).expect("written");
            content.resize(content.len().max(at + bytes.len()), 0);
            content[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        (4, true) => {
            assert!(
                fs::read(&path).expect("readable") == there[&name],
                "{name} reads back"
            );
        }
        (_, true) => {
            let refused = fs::File::options().write(true).create_new(true).open(&path);
            assert!(refused.is_err(), "{name} is there already");
        }
        (_, false) => {
            let length = random.below(150_000) as usize;
            let content = random.bytes(length);
            let mut file = fs::File::create_new(&path).expect("created once");
            file.write_all(&content).expect("written");
            drop(file);
            there.insert(name, content);
        }
    }
}

fn check(expected: &[(PathBuf, Files)]) {
    for (directory, files) in expected {
        let found = names(directory);
        assert_eq!(
            found,
            files.keys().cloned().collect::<Vec<_>>(),
            "{}",
            directory.display()
        );
        for (name, content) in files {
            let found = fs::read(directory.join(name)).expect("readable");
            assert_eq!(found.len(), content.len(), "length of {name}");
            assert!(found == *content, "content of {name}");
        }
    }
}

/// Of files that were synced.
fn all_there(expected: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, content) in expected {
        let found = fs::read(path).expect("readable");
        assert!(found == *content, "{}", path.display());
    }
}

fn survives(pick: impl Fn(&mut Random) -> Vec<Daemon>) {
    let mut node = Node::start();
    let mut random = Random::new();
    let work = Work::start(node.mount());
    for _ in 0..kills() {
        work.wait_for_steps(10 + random.below(100) as usize);
        for daemon in pick(&mut random) {
            node.kill(daemon);
        }
    }
    work.wait_for_steps(50);
    let expected = work.stop();
    check(&expected);
    node.must_be_whole();
    node.restart();
    check(&expected);
}

#[test]
fn of_the_index_daemon() {
    survives(|_| vec![Daemon::Meta]);
}

#[test]
fn of_the_chunk_daemon() {
    survives(|_| vec![Daemon::Chunkd]);
}

#[test]
fn of_both() {
    survives(|random| match random.below(3) {
        0 => vec![Daemon::Meta],
        1 => vec![Daemon::Chunkd],
        _ => vec![Daemon::Meta, Daemon::Chunkd],
    });
}

/// A killed front-end is a crash of its client: what was synced is there, the mount comes back.
#[test]
fn of_the_front_end() {
    let node = Node::start();
    let mut random = Random::new();
    let mut expected = BTreeMap::new();
    for round in 0..kills() {
        for file in 0..20 {
            let path = node.path(format!("{round}-{file}"));
            let length = random.below(100_000) as usize;
            let content = random.bytes(length);
            let mut file = fs::File::create_new(&path).expect("created");
            file.write_all(&content).expect("written");
            file.sync_all().expect("synced");
            expected.insert(path, content);
        }
        let all_or_nothing = fs::File::create(node.path("unsynced")).expect("created");
        all_or_nothing
            .write_all_at(&random.bytes(50_000), 0)
            .expect("written");
        node.kill(Daemon::Fuse);
        drop(all_or_nothing);
        wait_until("the mount is back", || {
            fs::read_dir(node.mount()).is_ok_and(|mut entries| entries.next().is_some())
        });
        all_there(&expected);
    }
    node.must_be_whole();
}

#[test]
fn of_all_at_once() {
    let mut node = Node::start();
    let mut random = Random::new();
    let mut expected = BTreeMap::new();
    for round in 0..kills() {
        for number in 0..20 {
            let path = node.path(format!("{round}-{number}"));
            let length = random.below(200_000) as usize;
            let content = random.bytes(length);
            let mut file = fs::File::create_new(&path).expect("created");
            file.write_all(&content).expect("written");
            file.sync_all().expect("synced");
            expected.insert(path, content);
        }
        let pids: Vec<u32> = Daemon::ALL.map(|daemon| node.pid(daemon)).to_vec();
        pids.iter().for_each(|pid| wolfdisk_tests::kill_hard(*pid));
        wait_until("all are started again", || {
            pids.iter().all(|pid| !wolfdisk_tests::is_alive(*pid))
                && Daemon::ALL
                    .iter()
                    .all(|daemon| !pids.contains(&node.pid(*daemon)))
        });
        wait_until("the mount is back", || {
            fs::read_dir(node.mount()).is_ok_and(|mut entries| entries.next().is_some())
        });
        all_there(&expected);
    }
    node.must_be_whole();
    node.restart();
    all_there(&expected);
}
