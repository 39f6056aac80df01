//! Advisory locks of all three kinds, their conflicts, waiters and ends.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# flock: kinds and who excludes whom
file("x")
a, b = open("x", O_RDWR), open("x")
for first, second in product([fcntl.LOCK_SH, fcntl.LOCK_EX], [fcntl.LOCK_SH, fcntl.LOCK_EX]):
    flock(a, first); flock(b, second | fcntl.LOCK_NB); flock(a, fcntl.LOCK_UN); flock(b, second | fcntl.LOCK_NB)
    flock(b, fcntl.LOCK_UN)
flock(a, 0); flock(a, 99); flock(99, fcntl.LOCK_SH)
duplicate = Fd(os.dup(a)); flock(a, fcntl.LOCK_EX); close(duplicate); flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
def inherits():
    flock(a, fcntl.LOCK_EX | fcntl.LOCK_NB); os.close(a)
child(inherits); flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
child(lambda: flock(a, fcntl.LOCK_UN)); flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB); close(b)
flock(a, fcntl.LOCK_SH); flock(a, fcntl.LOCK_EX | fcntl.LOCK_NB); flock(a, fcntl.LOCK_SH)
close(a); c = open("x", O_RDWR); flock(c, fcntl.LOCK_EX)

# flock of every kind of file
for kind in ["file", "dir", "fifo"]:
    make(kind, kind); fd = open(kind, (O_RDWR if kind == "fifo" else O_RDONLY) | O_NONBLOCK)
    other = open(kind, (O_RDWR if kind == "fifo" else O_RDONLY) | O_NONBLOCK)
    flock(fd, fcntl.LOCK_EX); flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB); flock(fd, fcntl.LOCK_UN)
    flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB); close(other); close(fd)

# fcntl: ranges split, join and end at the end
file("x", b"x" * 100)
fd = open("x", O_RDWR)
def looks_at(*ranges, kind=fcntl.F_WRLCK):
    def look():
        mine = os.open("x", O_RDWR)
        for start, length in ranges: test_lock(mine, kind, start, length)
    child(look)
everywhere = [(at, 1) for at in (0, 5, 9, 10, 15, 19, 20, 29, 30, 100, 10 ** 12)] + [(0, 0), (20, 0)]
for steps in [[(fcntl.F_WRLCK, 0, 0)], [(fcntl.F_WRLCK, 10, 10)], [(fcntl.F_WRLCK, 0, 30), (fcntl.F_UNLCK, 10,
    10)], [(fcntl.F_WRLCK, 0, 10), (fcntl.F_WRLCK, 10, 10)], [(fcntl.F_WRLCK, 0, 30), (fcntl.F_RDLCK, 10, 10)],
    [(fcntl.F_RDLCK, 0, 0), (fcntl.F_WRLCK, 20, 0)], [(fcntl.F_WRLCK, 0, 0), (fcntl.F_UNLCK, 20, 0)],
              [(fcntl.F_RDLCK, 0, 10), (fcntl.F_RDLCK, 20, 10), (fcntl.F_RDLCK, 10, 10)], [(fcntl.F_WRLCK,
                  2 ** 62, 10)], [(fcntl.F_WRLCK, 2 ** 63 - 1, 1)], [(fcntl.F_WRLCK, 2 ** 63 - 1, 0)],
                  [(fcntl.F_WRLCK, 30, -10)], [(fcntl.F_WRLCK, 5, -10)], [(fcntl.F_WRLCK, -1, 10)],
                  [(fcntl.F_WRLCK, 2 ** 63 - 1, 2)], [(99, 0, 1)]]:
    say("--", steps)
    for kind, start, length in steps: lock(fd, kind, start, length)
    for kind in [fcntl.F_RDLCK, fcntl.F_WRLCK]: looks_at(*everywhere, kind=kind)
    test_lock(fd, fcntl.F_WRLCK); lock(fd, fcntl.F_UNLCK)

# fcntl: kinds of descriptors, and closing any of them
file("x"); directory("d")
ro, wo, rw, d = open("x"), open("x", O_WRONLY), open("x", O_RDWR), open("d")
for fd in [ro, wo, rw, d]:
    lock(fd, fcntl.F_RDLCK); lock(fd, fcntl.F_WRLCK); lock(fd, fcntl.F_UNLCK); test_lock(fd, fcntl.F_WRLCK)
def free():
    mine = os.open("x", O_RDWR); test_lock(mine, fcntl.F_WRLCK)
lock(rw, fcntl.F_WRLCK); child(free); close(ro); child(free)
lock(rw, fcntl.F_WRLCK); child(free); other = open("x"); child(free); close(other); child(free)
lock(rw, fcntl.F_WRLCK); child(lambda: test_lock(rw, fcntl.F_WRLCK)); child(lambda: lock(rw, fcntl.F_WRLCK))
child(lambda: os.close(rw)); child(free)

# open file description locks
file("x")
a, b = open("x", O_RDWR), open("x", O_RDWR)
lock(a, fcntl.F_WRLCK, 0, 10, ofd=True); lock(b, fcntl.F_WRLCK, 5, 10, ofd=True)
lock(b, fcntl.F_WRLCK, 10, 10, ofd=True); test_lock(b, fcntl.F_WRLCK, 0, 5, ofd=True)
test_lock(a, fcntl.F_WRLCK, 0, 5, ofd=True); test_lock(a, fcntl.F_RDLCK, 10, 5, ofd=True)
lock(b, fcntl.F_WRLCK, 0, 10); duplicate = Fd(os.dup(a)); close(duplicate)
lock(b, fcntl.F_RDLCK, 0, 10, ofd=True)
child(lambda: lock(a, fcntl.F_UNLCK, 0, 10, ofd=True)); lock(b, fcntl.F_RDLCK, 0, 10, ofd=True); close(b)
lock(a, fcntl.F_WRLCK, 0, 0, wait=True, ofd=True)

# the death of the holder
file("x")
import threading
for how in ["flock", "fcntl", "ofd"]:
    read_end, write_end = os.pipe()
    def holds():
        fd = os.open("x", O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX) if how == "flock" else lock(fd, fcntl.F_WRLCK, ofd=how == "ofd")
        os.write(write_end, b"1"); signal.pause()
    pid = children(holds); os.read(read_end, 1)
    fd = open("x", O_RDWR)
    flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB) if how == "flock" else lock(fd, fcntl.F_WRLCK, ofd=how == "ofd")
    os.kill(pid, signal.SIGKILL); say(ended(pid))
    flock(fd, fcntl.LOCK_EX) if how == "flock" else lock(fd, fcntl.F_WRLCK, wait=True, ofd=how == "ofd")
    close(fd)

# a waiter gets it when the holder lets go; a signal interrupts, a kill ends
file("x")
for how, end in product(["flock", "fcntl", "ofd"], ["unlock", "close", "SIGALRM", "SIGKILL", "SIGTERM",
    "restart"]):
    say("--", how, end)
    fd = os.open("x", O_RDWR)
    take = lambda fd, wait: flock.quiet(fd,
        fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)) if how == "flock" else lock.quiet(fd, fcntl.F_WRLCK,
        wait=wait, ofd=how == "ofd")
    take(fd, True)
    def wants():
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError(4,
            "")) if end == "SIGALRM" else None)
        os.close(fd)
        mine = os.open("x", O_RDWR)
        outcome = take(mine, True); os._exit(int(isinstance(outcome, Failed) and int(outcome)))
    pid = children(wants); waits(pid)
    if end == "unlock":
        fcntl.flock(fd, fcntl.LOCK_UN) if how == "flock" else lock.quiet(fd, fcntl.F_UNLCK, ofd=how == "ofd")
    elif end == "close": os.close(fd)
    elif end == "restart": os.kill(pid, signal.SIGALRM); fcntl.flock(fd,
        fcntl.LOCK_UN) if how == "flock" else lock.quiet(fd, fcntl.F_UNLCK, ofd=how == "ofd")
    else: os.kill(pid, getattr(signal, end))
    say(ended(pid))
    if end != "close": os.close(fd)
    fd = os.open("x", O_RDWR); say(take(fd, True)); os.close(fd)

# of two that wait for each other one is told
file("x")
read_end, write_end = os.pipe()
fd = open("x", O_RDWR); lock(fd, fcntl.F_WRLCK, 0, 1)
def other():
    mine = os.open("x", O_RDWR)
    lock.quiet(mine, fcntl.F_WRLCK, 1, 1); os.write(write_end, b"1")
    os._exit(isinstance(lock.quiet(mine, fcntl.F_WRLCK, 0, 1, wait=True), Failed))
pid = children(other); os.read(read_end, 1); waits(pid)
mine = isinstance(lock.quiet(fd, fcntl.F_WRLCK, 1, 1, wait=True), Failed)
lock(fd, fcntl.F_UNLCK); say("told:", mine + ended(pid))

# many locks, and many readers
file("x"); fd = open("x", O_RDWR)
for at in range(0, 400, 2): fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, at, 1, 0))
def between():
    mine = os.open("x", O_RDWR)
    say(sum(not isinstance(tried(lambda: fcntl.fcntl(mine, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK,
        0, at, 1, 0))), Failed) for at in range(400)))
child(between); lock(fd, fcntl.F_UNLCK); child(between)
"#;

#[test]
fn locks_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
