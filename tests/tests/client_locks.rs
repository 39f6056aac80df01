//! Advisory locks of programs on two machines: who excludes whom, how soon a waiter is woken, and what ends a lock.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wolfdisk_tests::{Cluster, Conversation, DEADLINE, Lan, Node, Wires, is_long_run, wait_until};

/// Carries out lines on one file that it has open, and answers each.
const PROGRAM: &str = "
import errno, fcntl, os, struct, sys
KINDS = {'read': fcntl.F_RDLCK, 'write': fcntl.F_WRLCK, 'unlock': fcntl.F_UNLCK}
FLOCKS = {'read': fcntl.LOCK_SH, 'write': fcntl.LOCK_EX, 'unlock': fcntl.LOCK_UN}
OFD_SETLK, OFD_SETLKW = 37, 38
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
def packed(kind, start, length):
    return struct.pack('hhqqi4x', KINDS[kind], 0, start, length, 0)
def lock(kind, start=0, length=0):
    fcntl.fcntl(fd, fcntl.F_SETLK, packed(kind, start, length))
def wait(kind, start=0, length=0):
    fcntl.fcntl(fd, fcntl.F_SETLKW, packed(kind, start, length))
def ofd(kind): fcntl.fcntl(fd, OFD_SETLK, packed(kind, 0, 0))
def ofd_wait(kind): fcntl.fcntl(fd, OFD_SETLKW, packed(kind, 0, 0))
def flock(kind): fcntl.flock(fd, FLOCKS[kind] | fcntl.LOCK_NB)
def flock_wait(kind): fcntl.flock(fd, FLOCKS[kind])
def read(): os.pread(fd, 1, 0)
def write(): os.pwrite(fd, b'x', 0)
def reopen():
    global fd
    os.close(fd)
    fd = os.open(sys.argv[1], os.O_RDWR)
print('open', flush=True)
for line in sys.stdin:
    try:
        eval(line)
        print('done', flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
";

const DONE: &str = "done";
const REFUSED: &str = "EAGAIN";
/// A waiter is woken by an event; what asks again in intervals, or waits for a lease of 2 s, takes longer.
const AT_ONCE: Duration = Duration::from_millis(250);
const ROUNDS: usize = 21;
/// The node ends the session of a mount of which it has not heard for so long, and some more on a busy machine.
const SESSION_ENDS_WITHIN: Duration = Duration::from_secs(120 + 60);

/// A process that has a file open and locks it. Killed when dropped.
struct Locker(Conversation);

impl Locker {
    fn of(file: &Path) -> Locker {
        let mut command = Command::new("python3");
        let locker = Locker(Conversation::begin(command.args(["-c", PROGRAM]).arg(file)));
        assert_eq!(locker.hear(), "open");
        locker
    }

    fn tell(&mut self, line: &str) {
        self.0.tell(line);
    }

    fn hear(&self) -> String {
        self.0.hear(DEADLINE)
    }

    fn does(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Tells it, and returns when it is in the call.
    fn waits(&mut self, line: &str) {
        self.tell(line);
        let path = format!("/proc/{}/syscall", self.0.pid());
        wait_until("it waits for the lock", || {
            let call = std::fs::read_to_string(&path).unwrap_or_default();
            let number = call.split(' ').next().and_then(|it| it.parse().ok());
            number.is_some_and(|it: i64| it == libc::SYS_fcntl || it == libc::SYS_flock)
        });
        assert!(self.0.is_silent(), "it got what others hold");
    }

    fn kill(&mut self) {
        self.0.kill();
    }
}

/// Two members and the node that they joined, over loopback; it must outlive them.
fn two_members() -> (Cluster, Node, Node) {
    let cluster = Cluster::start();
    let member = |name| cluster.up(cluster.joined(name, &["--no-squash-root"]));
    let (one, two) = (member("one"), member("two"));
    (cluster, one, two)
}

/// One line each: who, what, and what comes of it.
fn play(one: &mut Locker, two: &mut Locker, lines: &[(u8, &str, &str)]) {
    for (at, (who, what, expected)) in lines.iter().enumerate() {
        let answer = match who {
            1 => one.does(what),
            _ => two.does(what),
        };
        assert_eq!(&answer, expected, "line {at}: {who} {what}");
    }
}

#[test]
fn locks_of_two_machines_exclude_each_other_where_they_overlap() {
    let (_cluster, one, two) = two_members();
    let (mut a, mut b) = (Locker::of(&one.path("f")), Locker::of(&two.path("f")));
    play(
        &mut a,
        &mut b,
        &[
            // Ranges that overlap and that do not.
            (1, "lock('write', 0, 100)", DONE),
            (2, "lock('write', 50, 10)", REFUSED),
            (2, "lock('read', 0, 0)", REFUSED),
            (2, "lock('write', 99, 1)", REFUSED),
            (2, "lock('write', 100, 50)", DONE),
            (1, "lock('read', 149, 10)", REFUSED),
            (1, "lock('read', 150, 10)", DONE),
            (2, "lock('read', 155, 10)", DONE),
            (2, "lock('unlock', 100, 10)", DONE),
            (1, "lock('write', 100, 10)", DONE),
            (1, "lock('write', 105, 10)", REFUSED),
            // A hole in the midst of one.
            (1, "lock('unlock', 20, 10)", DONE),
            (2, "lock('write', 20, 11)", REFUSED),
            (2, "lock('write', 19, 11)", REFUSED),
            (2, "lock('write', 20, 10)", DONE),
            (1, "lock('unlock')", DONE),
            (2, "lock('unlock')", DONE),
            // Up and down.
            (1, "lock('read')", DONE),
            (2, "lock('read')", DONE),
            (1, "lock('write')", REFUSED),
            (2, "lock('unlock')", DONE),
            (1, "lock('write')", DONE),
            (2, "lock('read')", REFUSED),
            (1, "lock('read')", DONE),
            (2, "lock('write')", REFUSED),
            (2, "lock('read')", DONE),
            (1, "lock('unlock')", DONE),
            (2, "lock('write')", DONE),
            (2, "lock('unlock')", DONE),
            // The other kinds.
            (1, "flock('read')", DONE),
            (2, "flock('read')", DONE),
            (2, "flock('unlock')", DONE),
            (1, "flock('write')", DONE),
            (2, "flock('read')", REFUSED),
            (1, "flock('unlock')", DONE),
            (2, "flock('write')", DONE),
            (2, "flock('unlock')", DONE),
            (1, "ofd('write')", DONE),
            (2, "ofd('read')", REFUSED),
            (2, "lock('read')", REFUSED),
            (1, "ofd('unlock')", DONE),
            (2, "ofd('write')", DONE),
        ],
    );
}

#[test]
fn a_waiter_is_woken_at_once_on_the_other_machine() {
    let (_cluster, one, two) = two_members();
    let (mut a, mut b) = (Locker::of(&one.path("f")), Locker::of(&two.path("f")));
    for (lock, wait) in [
        ("lock('write', 5, 5)", "wait('write', 0, 10)"),
        ("flock('write')", "flock_wait('read')"),
        ("ofd('read')", "ofd_wait('write')"),
    ] {
        let name = lock.split('(').next().expect("a name");
        let unlock = format!("{name}('unlock')");
        let mut took: Vec<Duration> = Vec::new();
        for _ in 0..ROUNDS {
            assert_eq!(a.does(lock), DONE);
            b.waits(wait);
            let start = Instant::now();
            a.tell(&unlock);
            assert_eq!(b.hear(), DONE);
            took.push(start.elapsed());
            assert_eq!(a.hear(), DONE);
            assert_eq!(b.does(&unlock), DONE);
            std::mem::swap(&mut a, &mut b);
        }
        took.sort_unstable();
        let median = took[ROUNDS / 2];
        println!(
            "{name}: woken after {median:?}, at most {:?}",
            took[ROUNDS - 1]
        );
        assert!(median < AT_ONCE, "{name}: {took:?}");
    }
}

#[test]
fn a_lock_goes_with_its_file_and_with_its_process() {
    let (_cluster, one, two) = two_members();
    let mut b = Locker::of(&two.path("f"));
    for (lock, wait) in [
        ("lock('write')", "wait('write')"),
        ("flock('write')", "flock_wait('write')"),
        ("ofd('write')", "ofd_wait('write')"),
    ] {
        let mut a = Locker::of(&one.path("f"));
        for end in ["close", "death"] {
            assert_eq!(a.does(lock), DONE);
            b.waits(wait);
            match end {
                "close" => assert_eq!(a.does("reopen()"), DONE),
                _ => a.kill(),
            }
            assert_eq!(b.hear(), DONE, "{end} of one with {lock}");
            assert_eq!(b.does("reopen()"), DONE);
            if end == "close" {
                // The end of the other's lock by its close is not waited for.
                assert_eq!(a.does(wait), DONE);
                assert_eq!(a.does("reopen()"), DONE);
            }
        }
    }
}

/// A machine that is cut off keeps its locks while the node may hear of it again, and no longer.
#[test]
fn a_lock_outlives_a_cut_and_ends_with_the_session() {
    let lan = Lan::of(4, Wires::default());
    let cluster = Cluster::start_on(&lan.hosts()[0]);
    let on = |host: usize, name| {
        let host = &lan.hosts()[host];
        cluster.up_on(host, cluster.joined_on(host, name, &["--no-squash-root"]))
    };
    let (cut, mut killed, other) = (on(1, "cut"), on(2, "killed"), on(3, "other"));
    let cable = &lan.hosts()[1];
    let mut holder = Locker::of(&cut.path("f"));
    assert_eq!(holder.does("lock('write')"), DONE);
    let mut waiter = Locker::of(&other.path("f"));
    cable.unplug();
    assert_eq!(waiter.does("lock('write')"), REFUSED, "it may come again");
    cable.plug();
    waiter.waits("wait('write')");
    assert_eq!(holder.does("lock('unlock')"), DONE, "it came again");
    assert_eq!(waiter.hear(), DONE);
    assert_eq!(waiter.does("lock('unlock')"), DONE);

    if is_long_run() {
        assert_eq!(holder.does("lock('write')"), DONE);
        // Of an empty file the kernel reads nothing by itself.
        assert_eq!(holder.does("write()"), DONE);
        let mut lost = Locker::of(&killed.path("g"));
        assert_eq!(lost.does("lock('write')"), DONE);
        let mut second = Locker::of(&other.path("g"));
        cable.unplug();
        killed.crash();
        let start = Instant::now();
        waiter.waits("wait('write')");
        second.waits("wait('write')");
        for (name, waits) in [("cut off", &waiter), ("killed", &second)] {
            let left = SESSION_ENDS_WITHIN.saturating_sub(start.elapsed());
            assert_eq!(waits.0.hear(left), DONE, "{name}");
            println!(
                "the lock of the one {name} ended after {:?}",
                start.elapsed()
            );
        }
        cable.plug();
        // It hears that it has lost its lock, however late.
        wait_until("the machine is back", || cut.path("f").exists());
        assert_eq!(holder.does("read()"), "EIO");
        assert_eq!(holder.does("write()"), "EIO");
    }
}
