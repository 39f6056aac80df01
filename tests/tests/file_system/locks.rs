//! Advisory locks between mounts and processes. The other process is this program again, in
//! [`hold_a_lock`].

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::harness::{DEADLINE, Node, until};

const FILE: &str = "WOLFDISK_TEST_LOCK_FILE";
/// `start length`, several separated by `,`: taken in this order, waiting.
const RANGES: &str = "WOLFDISK_TEST_LOCK_RANGES";

fn lock(file: &File, kind: i32, start: i64, length: i64, wait: bool) -> nix::Result<()> {
    let range = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    let argument = if wait {
        FcntlArg::F_SETLKW(&range)
    } else {
        FcntlArg::F_SETLK(&range)
    };
    fcntl(file, argument).map(|_| ())
}

fn open(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .expect("a file")
}

/// Takes locks and holds them until it is killed; prints a line for each. A helper, not a test.
#[test]
#[ignore = "run by other tests, as a process of its own"]
fn hold_a_lock() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let file = open(Path::new(&path));
    for range in std::env::var(RANGES).expect("ranges").split(',') {
        let (start, length) = range.split_once(' ').expect("a range");
        let (start, length) = (
            start.parse().expect("start"),
            length.parse().expect("length"),
        );
        match lock(&file, libc::F_WRLCK, start, length, true) {
            Ok(()) => println!("\ngot {start}"),
            Err(errno) => {
                // Ends, and with it goes what it holds: others may wait for that.
                println!("\nfailed {errno:?}");
                return;
            }
        }
    }
    loop {
        std::thread::park();
    }
}

struct Holder(Child);

impl Holder {
    fn start(path: &Path, ranges: &str) -> Holder {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "locks::hold_a_lock", "--ignored", "--nocapture"])
            .env(FILE, path)
            .env(RANGES, ranges)
            .stdout(Stdio::piped())
            .spawn();
        Holder(child.expect("a process"))
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        let lines = BufReader::new(self.0.stdout.take().expect("a pipe")).lines();
        lines
            .map(|line| line.expect("a line"))
            .filter(|line| line.starts_with("got") || line.starts_with("failed"))
    }

    /// Kills it and says how long it took to be gone.
    fn kill(&mut self) -> Duration {
        let start = Instant::now();
        self.0.kill().expect("killed");
        until(DEADLINE, "the process is gone", || {
            self.0.try_wait().expect("a status").is_some()
        });
        start.elapsed()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_lock_excludes_another_mount_until_its_process_is_gone() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    drop(open(&a.at("f")));
    let mut holder = Holder::start(&a.at("f"), "0 100");
    let mut lines = holder.lines();
    assert_eq!(lines.next().as_deref(), Some("got 0"));
    for mount in [&a, &b] {
        let file = open(&mount.at("f"));
        assert_eq!(
            lock(&file, libc::F_WRLCK, 50, 10, false),
            Err(Errno::EAGAIN)
        );
        assert_eq!(lock(&file, libc::F_RDLCK, 0, 0, false), Err(Errno::EAGAIN));
        lock(&file, libc::F_WRLCK, 100, 0, false).expect("the rest is free");
        let mut probe = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 10,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_GETLK(&mut probe)).expect("a test");
        assert_eq!(
            (i32::from(probe.l_type), probe.l_start, probe.l_len),
            (libc::F_WRLCK, 0, 100)
        );
        lock(&file, libc::F_UNLCK, 0, 0, false).expect("released");
    }
    let file = open(&b.at("f"));
    let waiting = std::thread::spawn(move || lock(&file, libc::F_WRLCK, 0, 0, true));
    holder.kill();
    waiting.join().expect("the thread").expect("the lock");
}

#[test]
fn a_killed_waiter_is_gone_within_a_second_and_leaves_nothing() {
    let node = Node::start();
    let mount = node.mount();
    let mut holder = Holder::start(&mount.at("f"), "0 0");
    assert_eq!(holder.lines().next().as_deref(), Some("got 0"));
    let mut waiter = Holder::start(&mount.at("f"), "0 0");
    let pid = waiter.0.id();
    until(DEADLINE, "it waits", || waits_in_kernel(pid));
    let took = waiter.kill();
    assert!(took < Duration::from_secs(1), "{took:?}");
    holder.kill();
    lock(&open(&mount.at("f")), libc::F_WRLCK, 0, 0, false).expect("free");
}

/// Whether some thread of the process is in `fcntl(2)` (number 72 on x86-64, 25 on arm64).
fn waits_in_kernel(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        let call = std::fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        call.split(' ')
            .next()
            .and_then(|number| number.parse::<i64>().ok())
            == Some(libc::SYS_fcntl)
    })
}

#[test]
fn two_that_wait_for_each_other_are_told() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    drop(open(&a.at("f")));
    let here = open(&b.at("f"));
    lock(&here, libc::F_WRLCK, 0, 1, false).expect("the first");
    let mut other = Holder::start(&a.at("f"), "1 1,0 1");
    let mut lines = other.lines();
    assert_eq!(lines.next().as_deref(), Some("got 1"));
    let pid = other.0.id();
    until(DEADLINE, "it waits", || waits_in_kernel(pid));
    // Its request must have reached the leader before ours; if ours is first, it is told instead.
    let ours = std::thread::spawn({
        let here = here.try_clone().expect("a file");
        move || lock(&here, libc::F_WRLCK, 1, 1, true)
    });
    let result = ours.join().expect("the thread");
    match result {
        Err(errno) => assert_eq!(errno, Errno::EDEADLK),
        Ok(()) => assert_eq!(lines.next().as_deref(), Some("failed EDEADLK")),
    }
}

#[test]
fn a_flock_survives_the_close_of_a_duplicate() {
    use nix::fcntl::{Flock, FlockArg};
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    let first = open(&a.at("f"));
    let duplicate = first.try_clone().expect("a duplicate");
    let held = Flock::lock(first, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| errno)
        .expect("held");
    drop(duplicate);
    let try_other = || {
        Flock::lock(open(&b.at("f")), FlockArg::LockExclusiveNonblock)
            .map(drop)
            .map_err(|(_, errno)| errno)
    };
    assert_eq!(try_other(), Err(Errno::EWOULDBLOCK));
    drop(held);
    try_other().expect("free");
}

/// A lock that belongs to an open file, not to the process.
fn lock_open_file(file: &File, kind: i32, wait: bool) -> nix::Result<()> {
    let range = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let argument = if wait {
        FcntlArg::F_OFD_SETLKW(&range)
    } else {
        FcntlArg::F_OFD_SETLK(&range)
    };
    fcntl(file, argument).map(|_| ())
}

#[test]
fn a_lock_of_an_open_file_goes_with_its_last_descriptor() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    let (first, here, there) = (open(&a.at("f")), open(&a.at("f")), open(&b.at("f")));
    let duplicate = first.try_clone().expect("a duplicate");
    lock_open_file(&first, libc::F_WRLCK, false).expect("free");
    drop(first);
    for other in [&here, &there] {
        let refused = lock_open_file(other, libc::F_RDLCK, false);
        assert_eq!(refused, Err(Errno::EAGAIN), "the duplicate holds it");
    }
    drop(duplicate);
    lock_open_file(&here, libc::F_WRLCK, false).expect("nobody holds it");
    drop(here);
    lock_open_file(&there, libc::F_WRLCK, true).expect("soon free on another mount too");
}

/// The kernel does not wait for the release that takes the lock away.
#[test]
fn a_lock_whose_holder_has_closed_the_file_is_free_at_once() {
    const THREADS: u32 = 4;
    const TIMES: u32 = 150;
    let node = Node::start();
    let mount = node.mount();
    let take = |path: &Path, by_flock: bool| {
        let file = open(path);
        match by_flock {
            true => file.try_lock().expect("the holder before has closed it"),
            false => lock_open_file(&file, libc::F_WRLCK, false).expect("likewise"),
        }
        file
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let path = mount.at(format!("f{thread}"));
            scope.spawn(move || {
                for time in 0..TIMES {
                    // Open beside it, so that the kernel does not take the same number again.
                    let beside = open(&path);
                    let held = take(&path, time % 2 == 0);
                    drop(held);
                    match time % 3 {
                        0 => lock_open_file(&beside, libc::F_RDLCK, false).expect("free at once"),
                        _ => beside.try_lock().expect("free at once"),
                    }
                }
            });
        }
    });
}
