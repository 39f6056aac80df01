//! Appends of several processes, threads and mounts; and what another mount does to files that are open.

use wolfdisk_tests::Twins;

const ROWS: &str = r##"
# appends of several processes on two mounts: all whole, each one's in order
for sync in [0, O_SYNC]:
    os.close(os.open("log", O_CREAT | O_TRUNC | O_WRONLY))
    def appends(who):
        fd = os.open("log" if who % 2 else elsewhere("log"), O_WRONLY | O_APPEND | sync)
        for number in range(60 if sync else 200):
            size = 20 + number * 37 % 3000
            record = b"%d %d %d " % (who, number, size)
            assert os.write(fd, record + b"x" * (size - len(record) - 1) + b"\n") == size
    for pid in [children(lambda: appends(who)) for who in range(4)]: say(ended(pid))
    for place in ["log", elsewhere("log")]:
        records = __builtins__.open(place, "rb").read().split(b"\n")[:-1]
        told = [[int(word) for word in record.split()[:3]] for record in records]
        say(len(records), all(len(record) + 1 == size for record, (_, _, size) in zip(records, told)))
        say([[number for one, number, _ in told if one == who] == list(range(60 if sync else 200)) for who in range(4)])

# appends and writes elsewhere: no append is lost
os.close(os.open("log", O_CREAT | O_WRONLY)); os.truncate("log", 4096)
def writes():
    fd = os.open(elsewhere("log"), O_WRONLY)
    for number in range(100): os.pwrite(fd, b"%04d" % number, number * 40)
def appends():
    fd = os.open("log", O_WRONLY | O_APPEND)
    for number in range(100): os.write(fd, b"a%04d\n" % number)
for pid in [children(writes), children(appends)]: say(ended(pid))
for place in ["log", elsewhere("log")]:
    told = __builtins__.open(place, "rb").read()
    say(told[4096:] == b"".join(b"a%04d\n" % number for number in range(100)), all(told[number * 40:number * 40 + 4] == b"%04d" % number for number in range(100)))

# appends through a descriptor that was inherited, and by several threads
import threading
fd = os.open("log", O_CREAT | O_WRONLY | O_APPEND)
def work(who):
    for number in range(100): os.write(fd, b"%d %04d\n" % (who, number))
threads = [threading.Thread(target=work, args=(who,)) for who in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
pids = [children(lambda: work(who)) for who in range(3, 6)]
for pid in pids: say(ended(pid))
lines = __builtins__.open("log").read().split("\n")[:-1]
say(len(lines), [[line for line in lines if line[0] == str(who)] == [f"{who} {number:04}" for number in range(100)] for who in range(6)])

# what another mount removes and changes is still there for who has it open
file("x", b"content"); directory("d"); fd = open("x", O_RDWR); d = open("d")
os.unlink(elsewhere("x")); os.rmdir(elsewhere("d"))
fst(fd); pread(fd, 7, 0); pwrite(fd, b"C", 0); ftruncate(fd, 3); fchmod(fd, 0o600); setxattr(fd, "user.a", b"1"); fst(fd); st("x")
fst(d); fchmod(d, 0o700); fst(d); open("new", O_CREAT | O_WRONLY, dir_fd=d); st("d")
file("y", b"one"); fd = open("y"); os.rename(elsewhere("y"), elsewhere("z")); fst(fd); pread(fd, 3, 0); st("y"); st("z"); file("new", b"two"); os.rename(elsewhere("new"), elsewhere("z")); pread(fd, 3, 0); fst(fd); content("z")
"##;

#[test]
fn appends_as_on_ext4() {
    Twins::start("nodev,nosuid").same_on_two_mounts(ROWS);
}
