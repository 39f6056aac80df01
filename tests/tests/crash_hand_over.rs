//! A mount outlives the process that serves it. A hand-over that was asked for is noticed by no program;
//! after `kill -9` open files, locks and working directories go on within moments, what was synced is
//! there, what is lost is told by one `EIO`, and nothing waits for ever.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use wolfdisk_tests::{
    Daemon, Node, Random, Stopped, is_alive, is_long_run, joined, kill_hard, signal, wait_until,
    where_it_waits,
};

const RECORD_BYTES: usize = 4096;
const RECORDS: usize = 300;
const SMALL_FILES: usize = 40;

fn ends() -> usize {
    if is_long_run() { 100 } else { 8 }
}

/// How a front-end is made to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    HandOver,
    Kill,
}

/// Whether a call that failed may have: the process that carried it out was killed.
fn is_told(error: &std::io::Error, end: End) -> bool {
    end == End::Kill && error.raw_os_error() == Some(libc::EIO)
}

fn record(number: usize, stamp: u64) -> Vec<u8> {
    let mut bytes = vec![number as u8; RECORD_BYTES];
    bytes[..8].copy_from_slice(&stamp.to_le_bytes());
    bytes[8..16].copy_from_slice(&(number as u64).to_le_bytes());
    bytes
}

/// Threads that work until told to stop. Each step is counted, so that a hang is seen.
struct Load {
    stop: Arc<AtomicBool>,
    steps: Vec<(&'static str, Arc<AtomicUsize>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Load {
        Load {
            stop: Arc::default(),
            steps: Vec::new(),
            threads: Vec::new(),
        }
    }

    fn add(&mut self, name: &'static str, mut step: impl FnMut() + Send + 'static) {
        let (stop, steps) = (Arc::clone(&self.stop), Arc::new(AtomicUsize::new(0)));
        self.steps.push((name, Arc::clone(&steps)));
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                step();
                steps.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }

    /// Waits until each thread has done `count` steps more.
    fn go_on(&self, count: usize) {
        for (name, steps) in &self.steps {
            let target = steps.load(Ordering::SeqCst) + count;
            wait_until(name, || {
                let failed = self.threads.iter().any(JoinHandle::is_finished);
                assert!(!failed, "a program noticed");
                steps.load(Ordering::SeqCst) >= target
            });
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            joined("a program ends and noticed nothing", thread);
        }
    }
}

/// Writes records to a file that stays open, and knows of each what must be in it.
struct Writer {
    file: File,
    path: PathBuf,
    random: Random,
    stamp: u64,
    /// Synced, by record.
    safe: Vec<u64>,
    /// Written since; if the sync fails, anything from the last synced one on may be there.
    since: Vec<Option<u64>>,
    told: usize,
}

impl Writer {
    fn new(path: PathBuf) -> Writer {
        let options = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        Writer {
            file: options.expect("made"),
            path,
            random: Random::new(),
            stamp: 0,
            safe: vec![0; RECORDS],
            since: vec![None; RECORDS],
            told: 0,
        }
    }

    fn step(&mut self, end: End) {
        for _ in 0..1 + self.random.below(12) {
            self.stamp += 1;
            let number = self.random.below(RECORDS as u64) as usize;
            self.since[number] = Some(self.stamp);
            self.put(number, end);
        }
        while let Err(error) = self.file.sync_all() {
            assert!(is_told(&error, end), "fsync: {error}");
            self.told += 1;
            // What of them is lost is not said: all of it is written once more.
            for number in 0..RECORDS {
                if self.since[number].is_some() {
                    self.put(number, end);
                }
            }
        }
        for (safe, since) in self.safe.iter_mut().zip(&mut self.since) {
            *safe = since.take().unwrap_or(*safe);
        }
    }

    fn put(&mut self, number: usize, end: End) {
        let bytes = record(number, self.since[number].expect("written"));
        let at = (number * RECORD_BYTES) as u64;
        let mut again = false;
        while let Err(error) = self.file.write_all_at(&bytes, at) {
            assert!(is_told(&error, end), "write: {error}");
            again = true;
        }
        if again {
            // The failure may have been that of earlier writes.
            self.told += 1;
            let others: Vec<usize> = (0..RECORDS)
                .filter(|other| *other != number && self.since[*other].is_some())
                .collect();
            others.into_iter().for_each(|other| self.put(other, end));
        }
    }

    fn check(&self) {
        let file = File::open(&self.path).expect("opened");
        for (number, stamp) in self
            .safe
            .iter()
            .enumerate()
            .filter(|(_, stamp)| **stamp > 0)
        {
            let mut found = vec![0; RECORD_BYTES];
            let at = (number * RECORD_BYTES) as u64;
            file.read_exact_at(&mut found, at).expect("readable");
            assert!(
                found == record(number, *stamp),
                "record {number} is as synced"
            );
        }
    }
}

/// Reads small files, of which the content is known.
fn reader(directory: PathBuf) -> impl FnMut() + Send + 'static {
    fs::create_dir(&directory).expect("made");
    for number in 0..SMALL_FILES {
        fs::write(directory.join(number.to_string()), record(number, 7)).expect("written");
    }
    File::open(&directory)
        .expect("opened")
        .sync_all()
        .expect("synced");
    let mut random = Random::new();
    move || {
        let number = random.below(SMALL_FILES as u64) as usize;
        let found = fs::read(directory.join(number.to_string())).expect("readable");
        assert!(found == record(number, 7), "what was closed is there");
        let listed = fs::read_dir(&directory).expect("listed").count();
        assert_eq!(listed, SMALL_FILES);
    }
}

/// Makes, renames and removes names. After `EIO` either may be so; then, and only then, it looks.
fn names(directory: PathBuf, end: End) -> impl FnMut() + Send + 'static {
    fs::create_dir(&directory).expect("made");
    let mut number = 0;
    move || {
        number += 1;
        let (first, second) = (
            directory.join(format!("{number}")),
            directory.join(format!("{number}-renamed")),
        );
        if let Err(error) = File::create_new(&first) {
            assert!(is_told(&error, end), "create: {error}");
            drop(File::create(&first).expect("made now"));
        }
        if let Err(error) = fs::rename(&first, &second) {
            assert!(is_told(&error, end), "rename: {error}");
            if fs::exists(&first).expect("looked") {
                fs::rename(&first, &second).expect("renamed now");
            }
        }
        assert!(fs::exists(&second).expect("looked"), "renamed");
        if let Err(error) = fs::remove_file(&second) {
            assert!(is_told(&error, end), "remove: {error}");
            match fs::remove_file(&second) {
                Err(error) if error.kind() != ErrorKind::NotFound => panic!("remove: {error}"),
                Ok(()) | Err(_) => {}
            }
        }
        assert!(!fs::exists(&second).expect("looked"), "removed");
    }
}

/// Holds a lock which nobody else must get, and a file without a name.
fn holder(directory: &Path) -> impl FnMut() + Send + 'static {
    let path = directory.join("locked");
    let file = File::create_new(&path).expect("made");
    let held = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    let held = held.map_err(|(_, errno)| errno).expect("locked");
    let hidden = directory.join("hidden");
    let nameless = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&hidden)
        .expect("made");
    nameless.write_all_at(&record(1, 1), 0).expect("written");
    nameless.sync_all().expect("synced");
    fs::remove_file(&hidden).expect("removed");
    move || {
        assert!(held.metadata().expect("known").is_file());
        let other = File::open(&path).expect("opened");
        match Flock::lock(other, FlockArg::LockExclusiveNonblock) {
            Err((_, errno)) => assert_eq!(errno, nix::errno::Errno::EAGAIN),
            Ok(_) => panic!("a lock is held twice"),
        }
        let mut found = vec![0; RECORD_BYTES];
        nameless.read_exact_at(&mut found, 0).expect("readable");
        assert!(found == record(1, 1), "the file without a name");
        assert_eq!(nameless.metadata().expect("known").nlink(), 0);
    }
}

/// Maps a file, changes it there and syncs it, in a working directory on the mount.
struct Mapper(Child);

const MAPPER: &str = "
import errno, mmap, os, sys
told = int(sys.argv[1])
fd = os.open('mapped', os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 1 << 20)
os.fsync(fd)
area = mmap.mmap(fd, 1 << 20)
count = 0
while True:
    count += 1
    at = count % 256 * 4096
    area[at:at + 8] = count.to_bytes(8, 'little')
    try:
        area.flush()
    except OSError as error:
        assert told and error.errno == errno.EIO, error
        # The kernel takes the page for written: it is changed once more.
        count -= 1
        continue
    assert int.from_bytes(os.pread(fd, 8, at), 'little') == count, count
    os.stat('mapped')
    print(count, flush=True)
";

impl Mapper {
    fn start(
        directory: &Path,
        end: End,
    ) -> (
        Mapper,
        std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
    ) {
        use std::io::BufRead;
        let mut child = Command::new("python3")
            .args(["-c", MAPPER, if end == End::Kill { "1" } else { "0" }])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let lines = std::io::BufReader::new(child.stdout.take().expect("piped")).lines();
        (Mapper(child), lines)
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        kill_hard(self.0.id());
        self.0.wait().expect("it was killed");
    }
}

fn outlives(end: End) {
    let mut node = Node::start();
    let mut random = Random::new();
    let mut load = Load::new();
    let mut writer = Writer::new(node.path("records"));
    load.add("the reader goes on", reader(node.path("small")));
    load.add("names come and go", names(node.path("names"), end));
    load.add("the lock is held", holder(node.mount()));
    let (mapper, mut lines) = Mapper::start(node.mount(), end);
    load.add("the mapping is written", move || {
        lines.next().expect("it goes on").expect("readable");
    });
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, steps) = (Arc::clone(&stop), Arc::new(AtomicUsize::new(0)));
    load.steps.push(("the writer goes on", Arc::clone(&steps)));
    let writing = std::thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            writer.step(end);
            steps.fetch_add(1, Ordering::SeqCst);
        }
        writer
    });
    for _ in 0..ends() {
        load.go_on(1 + random.below(10) as usize);
        let pid = node.pid(Daemon::Fuse);
        match end {
            End::HandOver => signal(pid, Signal::SIGUSR2),
            End::Kill => kill_hard(pid),
        }
        wait_until("a successor runs", || {
            !is_alive(pid) && node.pid(Daemon::Fuse) != pid
        });
    }
    load.go_on(20);
    stop.store(true, Ordering::SeqCst);
    let writer = joined("the writer ends and noticed nothing it must not", writing);
    load.stop();
    drop(mapper);
    writer.check();
    let log = node.log();
    assert!(!log.contains("session has expired"), "the session is one");
    node.restart();
    writer.check();
    assert!(end == End::Kill || writer.told == 0, "nothing was lost");
}

#[test]
fn a_hand_over_is_noticed_by_nobody() {
    outlives(End::HandOver);
}

#[test]
fn a_killed_front_end_is_replaced_under_its_users() {
    outlives(End::Kill);
}

#[test]
fn lost_bytes_are_told_of_once_and_synced_ones_are_there() {
    let node = Node::start();
    let open = |name: &str| {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true);
        options.open(node.path(name)).expect("opened")
    };
    let (lost, other, synced, closed) =
        (open("lost"), open("lost"), open("synced"), open("closed"));
    synced.write_all_at(b"synced", 0).expect("written");
    synced.sync_all().expect("synced");
    let mut copy = closed.try_clone().expect("a copy");
    copy.write_all(b"closed").expect("written");
    drop(copy);
    lost.write_all_at(b"lost", 0).expect("written");
    node.kill(Daemon::Fuse);
    // Each open file is told once, as by Linux of pages that could not be written.
    for file in [&lost, &other] {
        let told = file.sync_all().expect_err("told");
        assert_eq!(told.raw_os_error(), Some(libc::EIO));
        file.sync_all().expect("told once");
    }
    for (file, content) in [(&synced, b"synced"), (&closed, b"closed")] {
        file.sync_all().expect("nothing was lost");
        let mut found = [0; 6];
        file.read_exact_at(&mut found, 0).expect("readable");
        assert_eq!(&found, content);
    }
    lost.write_all_at(b"again", 0).expect("written");
    lost.sync_all().expect("synced");
    assert_eq!(fs::read(node.path("lost")).expect("read"), b"again");
}

/// What another mount does meanwhile is seen, and takes nothing away from who has it open here.
#[test]
fn open_files_stay_when_another_mount_removes_them_and_changes_are_seen() {
    let node = Node::start();
    let other = node.second_mount();
    fs::write(node.path("file"), b"content").expect("written");
    fs::write(node.path("changed"), b"before").expect("written");
    let (file, changed) = (
        File::open(node.path("file")).expect("opened"),
        File::open(node.path("changed")).expect("opened"),
    );
    let mut found = [0; 6];
    changed.read_exact_at(&mut found, 0).expect("readable");
    for end in [Signal::SIGUSR2, Signal::SIGKILL] {
        let pid = node.pid(Daemon::Fuse);
        signal(pid, end);
        wait_until("a successor runs", || {
            !is_alive(pid) && node.pid(Daemon::Fuse) != pid
        });
    }
    fs::remove_file(other.path("file")).expect("removed");
    fs::write(other.path("changed"), b"after!").expect("written");
    let mut content = [0; 7];
    file.read_exact_at(&mut content, 0).expect("readable");
    assert_eq!(&content, b"content");
    changed.read_exact_at(&mut found, 0).expect("readable");
    assert_eq!(&found, b"after!");
    assert!(!fs::exists(node.path("file")).expect("looked"));
}

/// So long a mount that stands still is waited for at the most, and some time to get there.
const CONFIRMATION: Duration = Duration::from_secs(4);
/// Tries to meet it there.
const ROUNDS_MAX: usize = 20;

/// A thread of `pid` waits in the kernel, whom it tells of a change, and cannot be interrupted.
fn tells_and_waits(pid: u32) -> bool {
    let threads = where_it_waits(&[pid]);
    threads
        .lines()
        .any(|line| line.contains("volume-") && line.contains("D (disk sleep)"))
}

/// Kills the mount's process where it tells the kernel of a change for which it needs a directory whose
/// holder waits for an answer: a file is being made there, which a mount that stands still has to confirm.
/// False: it was too quick.
fn dies_while_it_tells(node: &mut Node, round: usize, then: fn(&mut Node, u32)) -> bool {
    let (confirming, changing) = (node.second_mount(), node.second_mount());
    let (directory, pid) = (format!("round-{round}"), node.pid(Daemon::Fuse));
    let made = node.path(&directory).join("made");
    let [known, moved] = ["known", "moved"].map(|name| changing.path(&directory).join(name));
    fs::create_dir(node.path(&directory)).expect("made");
    fs::write(node.path(&directory).join("known"), b"content").expect("written");
    for mount in [node.mount(), confirming.mount()] {
        let names = ["known", "made"].map(|name| mount.join(&directory).join(name));
        assert_eq!(
            names.map(|name| fs::exists(name).expect("looked")),
            [true, false]
        );
    }
    let stopped = Stopped::stop(confirming.pid());
    let making = std::thread::spawn(move || File::create_new(made).map(drop));
    let moving = std::thread::spawn(move || fs::rename(known, moved));
    let start = Instant::now();
    while start.elapsed() < CONFIRMATION && !tells_and_waits(pid) {
        std::thread::yield_now();
    }
    let tells = tells_and_waits(pid);
    if tells {
        kill_hard(pid);
        then(node, pid);
    }
    drop(stopped);
    if let Err(error) = joined("a creation is answered", making) {
        assert!(error.kind() != ErrorKind::NotFound, "create: {error}");
    }
    joined("a rename is answered", moving).expect("moved");
    wait_until("the dead are gone", || !tells || !is_alive(pid));
    let directory = node.path(directory);
    fs::write(directory.join("after"), b"goes on").expect("written");
    let names = ["known", "moved"].map(|name| directory.join(name));
    assert_eq!(
        names.map(|name| fs::exists(name).expect("looked")),
        [false, true]
    );
    tells
}

/// Nobody but a successor can give the answer for which a thread of the dead process waits.
#[test]
fn one_that_died_while_it_told_the_kernel_is_replaced() {
    let mut node = Node::start();
    let replaced = |node: &mut Node, pid| {
        wait_until("a successor runs", || node.pid(Daemon::Fuse) != pid);
    };
    let done = (0..ROUNDS_MAX).any(|round| dies_while_it_tells(&mut node, round, replaced));
    assert!(done, "no thread was seen to wait for a directory");
    node.restart();
}

#[test]
fn a_node_ends_though_its_mount_died_while_it_told_the_kernel() {
    let mut node = Node::start();
    let ends = |node: &mut Node, _| node.restart();
    let done = (0..ROUNDS_MAX).any(|round| dies_while_it_tells(&mut node, round, ends));
    assert!(done, "no thread was seen to wait for a directory");
}

/// The successor takes over a session that the index itself has just found in its log.
#[test]
fn locks_and_nameless_files_outlive_the_mount_and_the_index_together() {
    let node = Node::start();
    let mut held = holder(node.mount());
    for daemons in [[Daemon::Meta, Daemon::Fuse], [Daemon::Fuse, Daemon::Meta]] {
        held();
        let pids = daemons.map(|daemon| node.pid(daemon));
        pids.into_iter().for_each(kill_hard);
        wait_until("both run again", || {
            let gone = pids.iter().all(|pid| !is_alive(*pid));
            gone && daemons.map(|daemon| node.pid(daemon)) != pids
        });
        held();
    }
}

/// A program that another one starts closes what it inherits, and does not look at the result.
#[test]
fn what_is_lost_is_not_told_to_a_program_that_is_only_started() {
    let node = Node::start();
    let file = File::create_new(node.path("lost")).expect("made");
    file.write_all_at(b"lost", 0).expect("written");
    node.kill(Daemon::Fuse);
    for _ in 0..3 {
        let started = Command::new("true").status().expect("started");
        assert!(started.success());
        let copy = file.try_clone().expect("a copy");
        let told = nix::unistd::close(copy).expect_err("told at every close");
        assert_eq!(told, nix::errno::Errno::EIO);
    }
    let told = file.sync_all().expect_err("told");
    assert_eq!(told.raw_os_error(), Some(libc::EIO));
    file.sync_all().expect("told once");
}
