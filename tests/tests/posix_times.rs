//! Which times of which nodes change with every operation, and what utimensat(2) takes.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# of parent and child after every operation
rows = [
    ("touch", lambda: open("d/new", O_CREAT | O_WRONLY)),
    ("open existing with O_CREAT", lambda: open("d/f", O_CREAT | O_WRONLY)),
    ("open for reading", lambda: open("d/f")),
    ("open with O_TRUNC", lambda: open("d/f", O_WRONLY | O_TRUNC)),
    ("open an empty one with O_TRUNC", lambda: open("d/empty", O_WRONLY | O_TRUNC)),
    ("mkdir", lambda: mkdir("d/new")),
    ("mkfifo", lambda: mkfifo("d/new")),
    ("mknod", lambda: mknod("d/new", stat.S_IFCHR | 0o600, os.makedev(1, 3))),
    ("symlink", lambda: symlink("t", "d/new")),
    ("link", lambda: link("d/f", "d/new")),
    ("link from elsewhere", lambda: link("d/f", "new")),
    ("mkdir that fails", lambda: mkdir("d/f")),
    ("link that fails", lambda: link("d/f", "d/empty")),
    ("unlink", lambda: unlink("d/f")),
    ("unlink of one of two", lambda: unlink("other")),
    ("unlink that fails", lambda: unlink("d/sub")),
    ("rmdir", lambda: rmdir("d/sub")),
    ("rmdir that fails", lambda: rmdir("d/full")),
    ("rename", lambda: rename("d/f", "d/new")),
    ("rename over", lambda: rename("d/f", "d/empty")),
    ("rename over itself", lambda: rename("d/f", "d/f")),
    ("rename over the same inode", lambda: rename("d/f", "other")),
    ("chmod", lambda: chmod("d/f", 0o600)),
    ("chmod to the same", lambda: chmod("d/f", 0o644)),
    ("chmod of a directory", lambda: chmod("d", 0o700)),
    ("chown", lambda: chown("d/f", 5, 6)),
    ("chown to the same", lambda: chown("d/f", 0, 0)),
    ("chown of nothing", lambda: chown("d/f", -1, -1)),
    ("lchown", lambda: lchown("d/l", 5, 6)),
    ("chmod that fails", lambda: as_ann(lambda: chmod("d/f", 0o600))),
    ("truncate", lambda: truncate("d/f", 3)),
    ("truncate to the same", lambda: truncate("d/f", 7)),
    ("truncate of an empty one", lambda: truncate("d/empty", 0)),
    ("truncate to more", lambda: truncate("d/f", 100)),
    ("ftruncate", lambda: ftruncate(fd, 3)),
    ("ftruncate to the same", lambda: ftruncate(fd, 7)),
    ("write", lambda: pwrite(fd, b"x", 0)),
    ("write of nothing", lambda: pwrite(fd, b"", 0)),
    ("append", lambda: pwrite(fd, b"x", 100)),
    ("write that fails", lambda: pwrite(ro, b"x", 0)),
    ("read", lambda: pread(ro, 5, 0)),
    ("read of nothing", lambda: pread(ro, 0, 0)),
    ("read with O_NOATIME", lambda: pread(os.open("d/f", O_RDONLY | O_NOATIME), 5, 0)),
    ("readlink", lambda: readlink("d/l")),
    ("through a symlink", lambda: os.stat("d/l")),
    ("listing", lambda: listdir("d/full")),
    ("listing an empty directory", lambda: listdir("d/sub")),
    ("stat", lambda: os.stat("d/f")),
    ("setxattr", lambda: setxattr("d/f", "user.a", b"1")),
    ("setxattr of a directory", lambda: setxattr("d", "user.a", b"1")),
    ("setxattr that fails", lambda: setxattr("d/f", "user.b", b"1", XATTR_REPLACE)),
    ("removexattr", lambda: removexattr("d/f", "user.had")),
    ("removexattr that fails", lambda: removexattr("d/f", "user.none")),
    ("getxattr", lambda: getxattr("d/f", "user.had")),
    ("listxattr", lambda: listxattr("d/f")),
    ("an access list", lambda: setxattr("d/f", ACCESS_ACL, acl("user:rw", "user:1001:r", "group:r", "mask:r",
        "other:-"))),
    ("a default access list", lambda: setxattr("d", DEFAULT_ACL, acl("user:rwx", "user:1001:r", "group:rx",
        "mask:rwx", "other:rx"))),
    ("no access list", lambda: removexattr("d/f", ACCESS_ACL)),
    ("fallocate", lambda: fallocate(fd, 0, 0, 100)),
    ("fallocate that keeps the size", lambda: fallocate(fd, KEEP_SIZE, 0, 100000)),
    ("fallocate of what is there", lambda: fallocate(fd, 0, 0, 3)),
    ("punch", lambda: fallocate(fd, KEEP_SIZE | PUNCH_HOLE, 0, 3)),
    ("punch beyond the end", lambda: fallocate(fd, KEEP_SIZE | PUNCH_HOLE, 10000, 3)),
    ("zero", lambda: fallocate(fd, ZERO_RANGE, 0, 3)),
    ("copy", lambda: copy_file_range(ro2, fd, 3, 0, 0)),
    ("copy of nothing", lambda: copy_file_range(ro2, fd, 0, 0, 0)),
    ("sendfile", lambda: (os.lseek(fd, 0, 0), sendfile(fd, ro2, 0, 3))),
    ("seek", lambda: lseek(fd, 0, SEEK_HOLE)),
    ("fsync", lambda: fsync(fd)),
    ("lock", lambda: (flock(fd, fcntl.LOCK_EX), flock(fd, fcntl.LOCK_UN))),
    ("close of a written file", lambda: os.close(os.open("d/f", O_RDWR))),
    ("utime to now", lambda: utimensat("d/f", NOW, NOW)),
    ("utime of atime", lambda: utimensat("d/f", (5, 5), OMIT)),
    ("utime of mtime", lambda: utimensat("d/f", OMIT, (5, 5))),
    ("utime of nothing", lambda: utimensat("d/f", OMIT, OMIT)),
    ("utime to the same", lambda: utimensat("d/f", (10 ** 9, 0), (10 ** 9, 0))),
    ("mmap read", lambda: mapped(lambda m: m[0])),
    ("mmap write", lambda: mapped(lambda m: m.__setitem__(0, 65), True)),
]
def as_ann(work):
    with user(ANN):
        work()
def mapped(work, write=False):
    with mmap.mmap(fd, 7, mmap.MAP_SHARED, mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)) as m:
        work(m)
        if write: m.flush()
    os.fsync(fd)
for name, work in rows:
    with case(name):
        directory("d"); file("d/f"); file("d/empty", b""); make("dir", "d/sub"); make("full", "d/full")
        os.symlink("f", "d/l")
        os.link("d/f", "other"); os.setxattr("d/f", "user.had", b"1"); file("source")
        fd = os.open("d/f", O_RDWR)
        ro, ro2 = os.open("d/f", O_RDONLY), os.open("source", O_RDONLY)
        with moved("d", "d/f", "d/empty", "d/sub", "d/full", "d/l", "other"):
            work()
        for each in (fd, ro, ro2): os.close(each)

# a size that is set after a write is the later change, also once the write is synced
file("x"); fd = open("x", O_RDWR)
for size in [3, 7, 100]:
    pwrite(fd, b"written", 0)
    with moved("x", fresh=False): truncate("x", size)
    told = os.stat("x").st_mtime_ns; fsync(fd); say(os.stat("x").st_mtime_ns == told)
    pwrite(fd, b"written", 0)
    with moved("x", fresh=False): ftruncate(fd, size)

# new nodes get one and the same time as their parent's change
for kind in ["file", "dir", "symlink", "fifo", "char"]:
    with case(kind):
        directory("d")
        later("d")
        make("dir", "t") if kind == "symlink" else None
        {"file": lambda: os.close(os.open("d/x", O_CREAT | O_WRONLY)), "dir": lambda: os.mkdir("d/x"),
            "symlink": lambda: os.symlink("t", "d/x"), "fifo": lambda: os.mkfifo("d/x"),
            "char": lambda: os.mknod("d/x", stat.S_IFCHR)}[kind]()
        new, parent = os.lstat("d/x"), os.lstat("d")
        say(new.st_atime_ns == new.st_mtime_ns == new.st_ctime_ns, parent.st_mtime_ns == parent.st_ctime_ns)

# special values
os.chmod(".", 0o777)
file("x"); file("y"); os.symlink("x", "l")
values = [(0, 0), (1, 999999999), (0, 999999999), (-1, 0), (-1, 5), (-2 ** 31, 0), (2 ** 31 - 1, 1), (2 ** 31,
    1), (2 ** 32, 7), (2 ** 33, 123456789), OMIT]
for atime, mtime in product(values, values):
    utimensat("x", atime, mtime); stamps("x")
for atime, mtime in [((0, 10 ** 9), (0, 0)), ((0, 0), (0, 10 ** 9)), ((0, -1), (0, 0)), (OMIT, (0, 10 ** 9)),
    ((5, OMIT[1]), (0, 1))]:
    utimensat("x", atime, mtime)
utimensat("l", (7, 7), (8, 8), AT_SYMLINK_NOFOLLOW); stamps("l"); stamps("x")
utimensat("l", (9, 7), (9, 8)); stamps("x")
fd = open("x"); utimensat(fd, (11, 7), (12, 8)); stamps("x")
utimensat("x", (1, 1), (2, 2), 7)
with moved("y", fresh=False): utimensat("y", NOW, OMIT)
with moved("y", fresh=False): utimensat("y", OMIT, NOW)
with moved("y", fresh=False): utimensat("y", NOW, (1, 1))
with moved("y", fresh=False): utimensat("y", NOW, NOW)

# who may set times
os.chmod(".", 0o777)
for owner, mode, who in product([ROOT, ANN], [0o666, 0o644, 0o444, 0o222], [ANN, BOB]):
    file("x", mode=mode, owner=owner)
    os.utime("x", (5, 5))
    with user(who):
        for atime, mtime in [(NOW, NOW), (OMIT, OMIT), ((1, 1), (1, 1)), (NOW, OMIT), (OMIT, NOW), (NOW, (1,
            1))]:
            utimensat("x", atime, mtime)
        logged(os.utime)("x")
    os.unlink("x")

# relatime: the first read counts, the second does not
file("x", b"x" * 10000); directory("d"); file("d/f"); os.symlink("x", "l")
for fresh in [True, False]:
    for name, work in [("x", lambda: content("x")), ("d", lambda: listdir("d")), ("l", lambda: readlink("l"))]:
        with moved(name, fresh=fresh): work()

# times are kept when the file is closed and opened again, and renamed
file("x"); fd = open("x", O_RDWR)
write(fd, b"abc"); utimensat(fd, (100, 1), (200, 2)); stamps("x")
close(fd); stamps("x"); rename("x", "y"); stamps("y"); link("y", "z"); stamps("z"); chmod("y", 0o600)
stamps("y")
fd = open("y", O_RDWR); write(fd, b"1"); utimensat("y", (100, 1), (200, 2)); fsync(fd); stamps("y"); close(fd)
stamps("y")
fd = open("y", O_RDWR); m = mmap.mmap(fd, 3); m[0] = 66; m.flush(); utimensat("y", (100, 1), (200, 2))
m[1] = 67; m.close(); close(fd)
content("y")
"#;

#[test]
fn times_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
