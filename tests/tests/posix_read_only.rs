//! A mount with `-o ro` beside one that may write: each call that would change something is refused as on a read-only
//! mount of ext4, changes nothing, and reading goes on, also of what the other mount changes meanwhile.

use wolfdisk_tests::Twins;

const ROWS: &str = r##"
# calls on names
for kind in KINDS: make(kind, kind)
for kind in KINDS + ["target"]: os.chown(kind, ANN, ANN, follow_symlinks=False)
os.chdir(elsewhere())
for who in [ROOT, ANN]:
    with user(who):
        for kind in KINDS + ["missing", "missing/inner", "file/inner"]:
            say("--", USERS[who], kind)
            chmod(kind, 0o600); chown(kind, ANN, BOB); lchown(kind, ANN, BOB); chown(kind, -1, -1); truncate(kind, 0)
            utimensat(kind, (1, 1), (1, 1)); utimensat(kind, NOW, NOW, AT_SYMLINK_NOFOLLOW); utimensat(kind, OMIT, OMIT)
            setxattr(kind, "user.a", b"1"); removexattr(kind, "user.a"); setxattr(kind, ACCESS_ACL, b"")
            for call in [unlink, rmdir, mkdir]: call(kind)
            mknod(kind, stat.S_IFREG | 0o644); mkfifo(kind); symlink("x", kind)
            link(kind, "new"); link("file", kind); rename(kind, "new"); rename("file", kind); rename(kind, kind)
            rename("missing", kind)
            for mode in [F_OK, R_OK, W_OK, X_OK]: access(kind, mode)
        for flags in [NOREPLACE, EXCHANGE, WHITEOUT]: renameat2("file", "dir", flags); renameat2("file", "new", flags)
listdir(); look()

# opens
for kind in KINDS: make(kind, kind)
for kind in KINDS + ["target"]: os.chown(kind, ANN, ANN, follow_symlinks=False)
os.chdir(elsewhere())
for who, kind in product([ROOT, ANN], KINDS + ["missing"]):
    say("--", USERS[who], kind)
    with user(who):
        for how, extra in product([O_RDONLY, O_WRONLY, O_RDWR], [0, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_CREAT | O_TRUNC,
                                                                 O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_PATH]):
            if kind == "block" and how == O_RDONLY: continue
            open(kind, how | extra | O_NONBLOCK)
listdir(); look()

# calls on descriptors
for kind in KINDS: make(kind, kind)
os.chdir(elsewhere())
for kind in ["file", "dir", "full"]:
    say("--", kind); fd = open(kind)
    fchmod(fd, 0o600); fchown(fd, ANN, BOB); ftruncate(fd, 0); utimensat(fd, NOW, NOW); setxattr(fd, "user.a", b"1")
    fallocate(fd, 0, 0, 10); pwrite(fd, b"x", 0); fsync(fd); fdatasync(fd); fst(fd)
    if kind != "file": continue
    flock(fd, fcntl.LOCK_EX); flock(fd, fcntl.LOCK_UN); lock(fd, fcntl.F_RDLCK); lock(fd, fcntl.F_WRLCK)
    for prot, flags in product([mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE], [mmap.MAP_SHARED, mmap.MAP_PRIVATE]):
        say(prot, flags, type(tried(mmap.mmap, fd, 7, flags, prot)).__name__)
    copy_file_range(fd, fd, 3, 0, 4)

# what is refused changes nothing, and times of access stay
file("x", b"content"); os.utime("x", ns=(10 ** 18, 2 * 10 ** 18)); told = os.stat("x"); directory("d"); file("d/y")
os.utime("d", ns=(10 ** 18, 2 * 10 ** 18))
fd = os.open(elsewhere("x"), O_RDONLY); say(os.read(fd, 100)); os.close(fd); say(os.listdir(elsewhere("d")))
for name in [".", elsewhere()]:
    os.chdir(name); again = os.stat("x"); say(again.st_atime_ns == told.st_atime_ns, again.st_mtime_ns == told.st_mtime_ns,
        again.st_ctime_ns == told.st_ctime_ns, os.stat("d").st_atime_ns == 10 ** 18)

# it is read-only, and says so
os.chdir(elsewhere()); say(bool(os.statvfs(".").f_flag & os.ST_RDONLY))

# what is open stays when the other mount removes it, until it is closed
file("x", b"content"); fd = os.open(elsewhere("x"), O_RDONLY); os.unlink("x"); say(os.read(fd, 10)); os.fsync(os.open(".", O_RDONLY))
say(os.fstat(fd).st_nlink); os.close(fd)

# what the other mount changes is seen
file("x", b"one"); directory("d"); there = elsewhere(); fd = os.open(elsewhere("x"), O_RDONLY); say(os.read(fd, 10))
def seen(): say(os.pread(fd, 100, 0), sorted(os.listdir(there)), os.fstat(fd).st_size, os.path.exists(elsewhere("d/new")))
seen(); file("x", b"another"); seen(); os.rename("x", "y"); seen(); file("d/new"); seen(); os.unlink("y"); seen(); os.unlink("d/new"); seen()
m = mmap.mmap(os.open(elsewhere("z"), O_RDONLY) if not file("z", b"a" * 5000) else 0, 5000, prot=mmap.PROT_READ); say(m[4999:])
fd = os.open("z", O_RDWR); os.pwrite(fd, b"b", 4999); os.close(fd); say(m[4999:])

# locks on a file that cannot be written hold against who can
file("x"); fd = os.open(elsewhere("x"), O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX)
with __builtins__.open("x", "r+") as other: say(tried(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)); fcntl.flock(fd, fcntl.LOCK_UN); say(tried(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB))
"##;

#[test]
fn refused_as_on_ext4() {
    Twins::start("nodev,nosuid").same_beside_read_only(ROWS);
}
