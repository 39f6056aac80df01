//! What a mount tells: the kernel's requests, what waits, what is cached, and who has the address.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use wolfdisk_tests::{
    Daemon, Node, Numbers, Stopped, Trace, free_port, joined, signal, told, wait_until,
};

use crate::{equal, grown, grown_of, is_same, meta, mount, same};

const FILES: u32 = 100;
/// A write that is not saved yet, and a file that is kept in memory.
const WRITTEN: u32 = 100_000;
const SMALL: u32 = 1000;
const WAITERS: u32 = 3;

/// Where the kernel says how many requests wait.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// Who has the kernel say of each mount how many requests wait, and whether it said so before.
static LISTENERS: Mutex<(usize, bool)> = Mutex::new((0, false));

/// While it is there the kernel says of each mount how many requests wait, as on every system that boots with systemd.
pub struct KernelTells;

impl KernelTells {
    pub fn begin() -> KernelTells {
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, was_there) = &mut *listeners;
        if *count == 0 {
            let table = fs::read_to_string("/proc/mounts").expect("the table");
            *was_there = table.contains(CONNECTIONS);
            if !*was_there {
                let none = None::<&str>;
                let flags = nix::mount::MsFlags::empty();
                nix::mount::mount(none, CONNECTIONS, Some("fusectl"), flags, none)
                    .expect("root may");
            }
        }
        *count += 1;
        KernelTells
    }
}

impl Drop for KernelTells {
    fn drop(&mut self) {
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, was_there) = &mut *listeners;
        *count -= 1;
        // A daemon may be reading there.
        let lazily = nix::mount::MntFlags::MNT_DETACH;
        if *count == 0
            && !*was_there
            && let Err(error) = nix::mount::umount2(CONNECTIONS, lazily)
        {
            eprintln!("{CONNECTIONS} stays mounted: {error}");
        }
    }
}

/// What the kernel says of a mount. It is not asked while it cannot answer.
struct Waiting(PathBuf);

impl Waiting {
    fn of(path: &Path) -> Waiting {
        let device = fs::metadata(path).expect("there").dev();
        Waiting(
            Path::new(CONNECTIONS)
                .join(device.to_string())
                .join("waiting"),
        )
    }

    fn now(&self) -> f64 {
        let text = fs::read_to_string(&self.0).expect("the kernel says");
        text.trim().parse().expect("a number")
    }
}

/// Requests of an operation that ended so.
fn requests(operation: &str, outcome: &str) -> String {
    format!("wolfdisk_fuse_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}")
}

/// Requests that had an answer.
fn answered(numbers: &Numbers) -> f64 {
    numbers.sum("wolfdisk_fuse_requests_total")
}

/// Waits until everything that programs asked for is over, also what the kernel does behind their backs.
fn idle(node: &Node, closed: f64) -> Numbers {
    let mut numbers = mount(node);
    wait_until("all files are closed", || {
        numbers = mount(node);
        numbers.of(&requests("release", "ok")) >= closed
            && is_same(numbers.of("wolfdisk_fuse_requests_in_flight"), 0.0)
    });
    numbers
}

#[test]
fn requests_are_counted_as_programs_made_them_and_the_daemon_answered() {
    let node = Node::start();
    let trace = Trace::start(node.pid(Daemon::Fuse), "write,writev", node.scratch());
    let before = mount(&node);
    let closed = before.of(&requests("release", "ok")) + f64::from(FILES);
    let (indexed, begun) = (meta(&node), Instant::now());
    for number in 0..FILES {
        let mut file = File::create_new(node.path(number.to_string())).expect("created");
        file.write_all(b"text").expect("written");
        file.sync_all().expect("synced");
    }
    let took = begun.elapsed().as_secs_f64();
    fs::create_dir(node.path("directory")).expect("made");
    fs::rename(node.path("0"), node.path("directory/0")).expect("renamed");
    fs::remove_dir(node.path("directory")).expect_err("it is not empty");
    let after = idle(&node, closed);
    let made = |operation, outcome| grown_of(&before, &after, &requests(operation, outcome));
    for operation in ["create", "write", "fsync", "release"] {
        same(made(operation, "ok"), FILES, operation);
    }
    // A program that another test starts has the descriptor too for a moment, and closes it.
    let flushed = made("flush", "ok");
    assert!(flushed > f64::from(FILES) - 0.5, "flush: {flushed}");
    same(made("mkdir", "ok"), 1_u32, "mkdir");
    same(made("rename", "ok"), 1_u32, "rename");
    same(made("rmdir", "refused"), 1_u32, "rmdir");
    same(made("rmdir", "ok"), 0_u32, "rmdir");

    // An answer is one write to the device, and this mount is told nothing of others.
    let answers = trace.stop();
    let answers = answers.iter().filter(|line| line.contains("/dev/fuse"));
    same(
        answered(&after) - answered(&before),
        answers.count() as u32,
        "answers",
    );

    let timed = |operation: &str, what: &str| {
        let name = "wolfdisk_fuse_request_duration_seconds";
        grown_of(
            &before,
            &after,
            &format!("{name}_{what}{{operation=\"{operation}\"}}"),
        )
    };
    same(timed("create", "count"), FILES, "creates");
    // The index's part of it is within the mount's, and that within the program's.
    let name = "wolfdisk_meta_request_duration_seconds_sum{operation=\"mutate\"}";
    let mount = ["create", "write", "fsync", "flush"].map(|operation| timed(operation, "sum"));
    let mount: f64 = mount.iter().sum();
    let index = grown_of(&indexed, &meta(&node), name);
    assert!(
        index > 0.0 && mount > 0.0 && mount < took,
        "{index} {mount} {took}"
    );
    assert!(timed("create", "sum") > 0.0);
}

#[test]
fn what_waits_is_told_and_a_mount_without_an_index_is_not_ready() {
    let _kernel = KernelTells::begin();
    let node = Node::start();
    let waiting = Waiting::of(node.mount());
    let told_waiting = || mount(&node).of("wolfdisk_fuse_kernel_requests_waiting");
    let state =
        |state: &str| mount(&node).of(&format!("wolfdisk_volume_session{{state=\"{state}\"}}"));
    let address = node.admin(Daemon::Fuse);
    equal(told_waiting(), waiting.now(), "nothing waits");
    same(state("live"), 1_u32, "live");
    assert_eq!(told(&address, "readyz").1, "200");

    let stopped = Stopped::stop(node.pid(Daemon::Meta));
    let missing = node.path("missing");
    let looks = std::thread::spawn(move || fs::metadata(missing).is_err());
    wait_until("a request waits", || is_same(waiting.now(), 1.0));
    same(told_waiting(), 1_u32, "what waits");
    same(
        mount(&node).of("wolfdisk_fuse_requests_in_flight"),
        1_u32,
        "in flight",
    );
    wait_until("the lease runs out", || is_same(state("lapsed"), 1.0));
    same(state("live"), 0_u32, "live");
    let (reason, status) = told(&address, "readyz");
    assert_eq!(
        (status.as_str(), reason.contains("wolfdisk-meta")),
        ("503", true),
        "{reason}"
    );
    assert_eq!(told(&address, "healthz").1, "200");

    drop(stopped);
    joined("the program is answered", looks);
    wait_until("it is ready again", || told(&address, "readyz").1 == "200");
    same(state("live"), 1_u32, "live");
    wait_until("nothing waits", || is_same(told_waiting(), 0.0));
    equal(waiting.now(), 0.0, "nothing waits");
    let limit = mount(&node).of("wolfdisk_fuse_requests_in_flight_limit");
    let threads = fs::read_dir(format!("/proc/{}/task", node.pid(Daemon::Fuse))).expect("it runs");
    let threads = threads.flatten().filter(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let number = name.trim_end().strip_prefix("fuser-");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    same(limit, threads.count() as u32, "threads that answer");
}

#[test]
fn open_files_locks_and_buffered_bytes_are_told() {
    let node = Node::start();
    let open = || mount(&node).of("wolfdisk_volume_open_files");
    let before = open();
    let files: Vec<File> = (0..FILES)
        .map(|number| File::create(node.path(number.to_string())).expect("created"))
        .collect();
    same(open() - before, FILES, "open files");

    let file = files.first().expect("one");
    let held = Flock::lock(
        file.try_clone().expect("a descriptor"),
        FlockArg::LockExclusive,
    );
    let held = held.map_err(|(_, error)| error).expect("locked");
    let numbers = (mount(&node), meta(&node));
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let file = File::open(node.path("0")).expect("opened");
            std::thread::spawn(move || Flock::lock(file, FlockArg::LockExclusive).is_ok())
        })
        .collect();
    wait_until("all wait", || {
        let waiting = mount(&node).of("wolfdisk_fuse_lock_waiters");
        is_same(waiting, f64::from(WAITERS))
    });
    wait_until("wolfdisk-meta knows", || {
        is_same(
            meta(&node).of("wolfdisk_meta_lock_waiters"),
            f64::from(WAITERS),
        )
    });
    let later = grown_of(&numbers.0, &mount(&node), &requests("setlk", "later"));
    same(later, WAITERS, "requests that wait for a lock");
    // Each asks again and again.
    let waits = grown(&numbers.1, &meta(&node), "wolfdisk_meta_lock_waits_total");
    assert!(waits > f64::from(WAITERS) - 0.5, "{waits}");
    drop(held);
    for waiter in waiters {
        joined("a lock is had", waiter);
    }
    same(
        mount(&node).of("wolfdisk_fuse_lock_waiters"),
        0_u32,
        "waiters",
    );
    drop(files);
    wait_until("all are closed", || is_same(open(), before));

    let mut file = File::create(node.path("buffered")).expect("created");
    let dirty = || mount(&node).of("wolfdisk_volume_dirty_bytes");
    wait_until("what is written is seen before it is saved", || {
        file.sync_all().expect("synced");
        let was_clean = is_same(dirty(), 0.0);
        file.write_all(&[7; WRITTEN as usize]).expect("written");
        was_clean && is_same(dirty(), f64::from(WRITTEN))
    });
    file.sync_all().expect("synced");
    same(dirty(), 0_u32, "what is not saved");
}

#[test]
fn what_is_cached_is_told_as_it_was_looked_at() {
    let node = Node::start();
    fs::create_dir(node.path("files")).expect("made");
    for number in 0..FILES {
        let path = node.path(format!("files/{number}"));
        fs::write(path, vec![number as u8; SMALL as usize]).expect("written");
    }
    let port = free_port();
    let place = format!("127.0.0.1:{port}");
    let second = node.second_mount_with(&format!("admin={place}"));
    // The mount is there a moment before it tells of itself.
    wait_until("the mount tells", || listens(&place));
    let look = || Numbers::at(&format!("http://{place}"));
    fs::metadata(second.path("files")).expect("there");
    let (before, rights) = (look(), meta(&node));
    for number in 0..FILES {
        fs::metadata(second.path(format!("files/{number}"))).expect("there");
    }
    let after = look();
    same(
        grown(&before, &after, "wolfdisk_volume_cached_inodes"),
        FILES,
        "inodes",
    );
    same(
        grown(&before, &after, "wolfdisk_volume_cached_names"),
        FILES,
        "names",
    );
    let inodes = grown(&before, &after, "wolfdisk_volume_cached_inodes");
    equal(
        grown(&rights, &meta(&node), "wolfdisk_meta_rights"),
        inodes,
        "rights",
    );
    let looked = "wolfdisk_volume_events_total{event=\"meta_lookup\"}";
    same(grown_of(&before, &after, looked), FILES, "lookups");

    for number in 0..FILES {
        let content = fs::read(second.path(format!("files/{number}"))).expect("read");
        assert_eq!(content.len(), SMALL as usize);
    }
    let read = look();
    let kept = grown(&after, &read, "wolfdisk_volume_cached_data_bytes");
    same(kept, FILES * SMALL, "content in memory");
    for name in ["inodes", "names", "data", "range"] {
        let of = |end: &str| read.of(&format!("wolfdisk_volume_cached_{name}{end}"));
        let is_bytes = ["data", "range"].contains(&name);
        let ends = if is_bytes {
            ["_bytes", "_limit_bytes"]
        } else {
            ["", "_limit"]
        };
        let [now, limit] = ends.map(of);
        assert!(now <= limit, "{name}: {now} of {limit}");
        // Chunks of other machines there are none of.
        assert_eq!(limit > 0.0, name != "range", "{name}");
    }
}

#[test]
fn a_successor_has_the_address_and_another_mount_leaves_it_alone() {
    let node = Node::start();
    let address = node.admin(Daemon::Fuse);
    let place = address.trim_start_matches("http://");
    let second = node.second_mount_with(&format!("admin={place}"));
    wait_until("it says that it leaves the address alone", || {
        second.log().contains("the port is in use")
    });
    fs::write(second.path("file"), "text").expect("it is a mount all the same");
    drop(second);
    // Held open: the mount must stay.
    let file = File::open(node.path("file")).expect("opened");
    for end in [Signal::SIGUSR2, Signal::SIGKILL] {
        let (pid, ended) = (node.pid(Daemon::Fuse), Instant::now());
        signal(pid, end);
        wait_until("a successor tells", || {
            node.pid(Daemon::Fuse) != pid && listens(place)
        });
        wait_until("it is ready", || told(&address, "readyz").1 == "200");
        let uptime = mount(&node).of("wolfdisk_fuse_uptime_seconds");
        assert!(uptime <= ended.elapsed().as_secs_f64(), "{uptime}");
        assert_eq!(file.metadata().expect("still open").len(), 4);
    }
}

/// Whether anybody answers there.
fn listens(place: &str) -> bool {
    std::net::TcpStream::connect(place).is_ok()
}
