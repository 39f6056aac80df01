"""Carries out rows of system calls below one directory and prints what each call gave.

Usage: rows.py DIRECTORY [SAME-DIRECTORY-BY-ANOTHER-MOUNT] < ROWS. A row begins with a line "# name"; what follows is Python that uses the
names below. Each row runs in a directory of its own. Calls do not raise: they print their outcome and
return it, a failure as `Failed`. What would differ between two file systems that behave alike (inode and
descriptor numbers, sizes of directories, the time of day) is not printed.
"""

import contextlib, ctypes, errno, fcntl, itertools, mmap, os, resource, signal, socket, stat, struct, sys, time, traceback
from itertools import product
from os import (O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW,
                O_PATH, O_NONBLOCK, O_NOATIME, O_SYNC, O_DSYNC, O_DIRECT, SEEK_SET, SEEK_CUR, SEEK_END,
                SEEK_HOLE, SEEK_DATA, F_OK, R_OK, W_OK, X_OK, XATTR_CREATE, XATTR_REPLACE)

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_REMOVEDIR = -100, 0x100, 0x200, 0x200
CLOCK_REALTIME_COARSE = 5
AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x400, 0x1000
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
NOW, OMIT = (0, (1 << 30) - 1), (0, (1 << 30) - 2)
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
ACCESS_ACL, DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
ROOT, ANN, BOB = 0, 1001, 1002
USERS = {0: "root", 1001: "ann", 1002: "bob"}
KINDS = ["file", "dir", "full", "symlink", "dangling", "fifo", "socket", "char", "block"]
KIB, MIB = 1 << 10, 1 << 20
ROOT_DIRECTORY, OTHER_ROOT = sys.argv[1], sys.argv[-1]


class Failed(int):
    """The errno of a call that failed."""
    def __repr__(self):
        return errno.errorcode.get(int(self), str(int(self)))


class Fd(int):
    """A descriptor; its number says nothing."""
    def __repr__(self):
        return "fd"


def say(*words):
    print(*words, flush=True)


def show(value):
    if isinstance(value, (bytes, str)) and len(value) > 80:
        return f"{value[:30]!r}..{len(value)} bytes, sum {sum(value if isinstance(value, bytes) else value.encode(errors='surrogateescape'))}"
    return repr(value)


def tried(call, *args, **named):
    try:
        return call(*args, **named)
    except OSError as error:
        return Failed(error.errno)


def logged(call):
    def run(*args, **named):
        if any(isinstance(arg, Failed) for arg in args):
            outcome = args[[isinstance(arg, Failed) for arg in args].index(True)]
        else:
            outcome = tried(call, *args, **named)
        words = [show(arg) for arg in args] + [f"{name}={show(arg)}" for name, arg in named.items()]
        who = USERS[os.geteuid()]
        say(f"{'' if who == 'root' else who + ': '}{call.__name__}({', '.join(words)}) = {show(outcome)}")
        return outcome
    run.__name__, run.quiet = call.__name__, lambda *args, **named: tried(call, *args, **named)
    return run


def raw(number):
    """What a call through ctypes gave."""
    if number < 0:
        raise OSError(ctypes.get_errno(), "")
    return number


for name in ["unlink", "rmdir", "mkdir", "mkfifo", "symlink", "link", "rename", "readlink", "chmod", "fchmod",
             "chown", "fchown", "lchown", "truncate", "ftruncate", "close", "fsync", "fdatasync", "pread", "pwrite",
             "write", "read", "lseek", "setxattr", "getxattr", "removexattr", "access", "posix_fallocate",
             "copy_file_range", "mknod", "sendfile", "chdir", "fchdir", "umask"]:
    globals()[name] = logged(getattr(os, name))
listdir = logged(lambda path=".": sorted(os.listdir(path)))
listdir.__name__ = "listdir"


def elsewhere(name="."):
    """The path of a name in the working directory by another mount, if there is one."""
    return os.path.join(OTHER_ROOT, os.path.relpath(os.getcwd(), ROOT_DIRECTORY), name)


def path(name):
    return os.fsencode(name)


@logged
def open(name, flags=O_RDONLY, mode=0o666, dir_fd=None):
    return Fd(os.open(name, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd))


@logged
def flock(fd, how):
    return fcntl.flock(fd, how)


@logged
def lock(fd, kind, start=0, length=0, wait=False, ofd=False):
    call = {(False, False): fcntl.F_SETLK, (True, False): fcntl.F_SETLKW, (False, True): F_OFD_SETLK, (True, True): F_OFD_SETLKW}
    fcntl.fcntl(fd, call[wait, ofd], struct.pack("hhqqi4x", kind, 0, start, length, 0))


@logged
def test_lock(fd, kind, start=0, length=0, ofd=False):
    answer = fcntl.fcntl(fd, F_OFD_GETLK if ofd else fcntl.F_GETLK, struct.pack("hhqqi4x", kind, 0, start, length, 0))
    kind, _, start, length, pid = struct.unpack("hhqqi4x", answer)
    names = {fcntl.F_RDLCK: "read", fcntl.F_WRLCK: "write", fcntl.F_UNLCK: "free"}
    return (names[kind],) if kind == fcntl.F_UNLCK else (names[kind], start, length, {os.getpid(): "self", os.getppid(): "parent", -1: "ofd"}.get(pid, "other"))


@logged
def fallocate(fd, mode, offset, length):
    raw(LIBC.fallocate64(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


@logged
def renameat2(old, new, flags=0):
    raw(LIBC.renameat2(AT_FDCWD, path(old), AT_FDCWD, path(new), flags))


@logged
def linkat(fd, old, new, flags):
    raw(LIBC.linkat(fd, path(old), AT_FDCWD, path(new), flags))


@logged
def relink(fd, new, flags=AT_SYMLINK_FOLLOW):
    """A name for an open file, the way of programs without privileges."""
    raw(LIBC.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, path(new), flags))


@logged
def utimensat(name, atime, mtime, flags=0):
    times = struct.pack("qqqq", *atime, *mtime)
    if isinstance(name, int):
        raw(LIBC.futimens(name, times))
    else:
        raw(LIBC.utimensat(AT_FDCWD, path(name), times, flags))


@logged
def faccessat(name, mode, flags):
    raw(LIBC.faccessat(AT_FDCWD, path(name), mode, flags))


@logged
def listxattr(name, **named):
    return sorted(given for given in os.listxattr(name, **named) if given != "security.selinux")


@logged
def xattr_size(name, attribute, room, list=False):
    """What getxattr or listxattr gives for a buffer of so many bytes."""
    buffer = ctypes.create_string_buffer(max(room, 1))
    if list:
        return raw(LIBC.listxattr(path(name), buffer, room))
    return raw(LIBC.getxattr(path(name), path(attribute), buffer, room))


def children(work):
    """Runs `work` in a child and says how it ended."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(99)
        os._exit(0)
    return pid


def ended(pid):
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def waits(pid):
    """Until the process is in a call for a lock (flock or fcntl, of x86-64 or arm64)."""
    while True:
        with contextlib.suppress(FileNotFoundError), __builtins__.open(f"/proc/{pid}/syscall") as told:
            if told.read().split()[0] in (("73", "72") if os.uname().machine == "x86_64" else ("32", "25")):
                return


def child(work):
    """Runs `work` in another process to its end."""
    say("child ended with", ended(children(work)))


@contextlib.contextmanager
def user(uid, *groups, gid=None):
    """As an ordinary user, real and effective ids, without capabilities."""
    gid = uid if gid is None else gid
    os.setgroups(groups)
    os.setresgid(gid, gid, 0)
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups([])


cases = itertools.count()


@contextlib.contextmanager
def case(*words):
    """A directory of its own within a row, and a line that names it."""
    before, name = os.getcwd(), f"case-{next(cases)}"
    os.mkdir(name, 0o777)
    os.chmod(name, 0o777)
    say("--", *words)
    os.chdir(name)
    try:
        yield
    finally:
        os.chdir(before)


def file(name, content=b"content", mode=0o644, owner=None):
    fd = os.open(name, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    os.write(fd, content)
    os.close(fd)
    owned(name, mode, owner)


def directory(name, mode=0o755, owner=None):
    os.mkdir(name)
    owned(name, mode, owner)


def owned(name, mode, owner):
    if owner is not None:
        os.chown(name, *(owner if isinstance(owner, tuple) else (owner, owner)))
    os.chmod(name, mode)


def make(kind, name):
    """A node of the kind; only the names that the row looks at."""
    if kind == "file":
        file(name)
    elif kind in ("dir", "full"):
        directory(name)
        if kind == "full":
            file(f"{name}/inner")
    elif kind == "symlink":
        if not os.path.exists("target"):
            file("target")
        os.symlink("target", name)
    elif kind == "dirlink":
        if not os.path.exists("target.d"):
            directory("target.d")
        os.symlink("target.d", name)
    elif kind == "loop":
        os.symlink(name, name)
    elif kind == "dangling":
        os.symlink("nowhere", name)
    elif kind == "fifo":
        os.mkfifo(name, 0o644)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(name)
    elif kind == "char":
        os.mknod(name, stat.S_IFCHR | 0o644, os.makedev(1, 3))
    elif kind == "block":
        os.mknod(name, stat.S_IFBLK | 0o644, os.makedev(240, 77))
    else:
        assert kind == "nothing", kind


def looks(name, fd=None):
    """What `stat` shows of a node, without what is its own business."""
    told = os.lstat(name) if fd is None else os.fstat(fd)
    kind = stat.filemode(told.st_mode)[0]
    words = [kind, f"{stat.S_IMODE(told.st_mode):04o}", f"links={told.st_nlink}", f"{told.st_uid}:{told.st_gid}"]
    if kind in "-l":
        words.append(f"size={told.st_size}")
    if kind in "bc":
        words.append(f"dev={os.major(told.st_rdev)}:{os.minor(told.st_rdev)}")
    return " ".join(words)


def st(name):
    outcome = tried(looks, name)
    say(f"stat {show(name)}: {outcome}")


def fst(fd):
    say("fstat:", tried(looks, None, fd))


def content(name):
    outcome = tried(os.open, name, O_RDONLY | O_NOFOLLOW)
    if not isinstance(outcome, Failed):
        fd, outcome = outcome, b""
        while part := os.read(fd, MIB):
            outcome += part
        os.close(fd)
    say(f"content {show(name)}: {show(outcome)}")


def look(top="."):
    """Everything below a directory: names, looks, targets, contents, and which names are one inode."""
    numbers = {}
    for directory, names, files in sorted(os.walk(top)):
        for name in sorted(names + files):
            whole = os.path.join(directory, name)
            told = os.lstat(whole)
            number = numbers.setdefault(told.st_ino, len(numbers))
            extra = ""
            if stat.S_ISLNK(told.st_mode):
                extra = f"-> {show(os.readlink(whole))}"
            elif stat.S_ISREG(told.st_mode):
                with contextlib.suppress(OSError), __builtins__.open(whole, "rb") as opened:
                    extra = show(opened.read())
            say("  ", show(whole), f"#{number}", looks(whole), extra)


def later(*names):
    """Waits until a change of these nodes shows in their times."""
    newest = max(os.lstat(name).st_ctime_ns for name in names)
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= newest:
        pass


def times(*names):
    return {name: (told.st_atime_ns, told.st_mtime_ns, told.st_ctime_ns) for name in names for told in [os.lstat(name)]}


@contextlib.contextmanager
def moved(*names, fresh=True):
    """Says which times of the nodes the calls within changed. `fresh`: their access times are due."""
    if fresh:
        for name in names:
            os.utime(name, ns=(10 ** 18, 10 ** 18), follow_symlinks=False)
    later(*names)
    before = times(*names)
    yield
    for name in names:
        after = tried(times, name)
        if isinstance(after, Failed):
            say(f"   {name}: gone")
            continue
        changed = [which for which, old, new in zip("amc", before[name], after[name]) if old != new]
        say(f"   {name}: changed {''.join(changed) or 'nothing'}")


def stamps(name):
    told = os.lstat(name)
    say(f"times {name}: {told.st_atime_ns} {told.st_mtime_ns}")


def acl(*entries):
    """The kernel's form of an access list from entries like "user:rw", "user:1001:r", "mask:rwx"."""
    tags = {("user", False): 1, ("user", True): 2, ("group", False): 4, ("group", True): 8, ("mask", False): 16, ("other", False): 32}
    packed = b""
    for entry in entries:
        tag, *who, bits = entry.split(":")
        number = sum({"r": 4, "w": 2, "x": 1, "-": 0}[bit] for bit in bits)
        packed += struct.pack("<HHI", tags[tag, bool(who)], number, int(who[0]) if who else 0xffffffff)
    return struct.pack("<I", 2) + packed


def acls(name):
    for kind in (ACCESS_ACL, DEFAULT_ACL):
        value = tried(os.getxattr, name, kind)
        if not isinstance(value, Failed):
            tags = {1: "user", 2: "user", 4: "group", 8: "group", 16: "mask", 32: "other"}
            entries = [struct.unpack_from("<HHI", value, at) for at in range(4, len(value), 8)]
            value = [f"{tags[t]}:{'' if who == 0xffffffff else f'{who}:'}{bits:o}" for t, bits, who in entries]
        say(f"   {kind[17:]} of {name}: {value}")
    st(name)


@logged
def statx(name, flags=AT_SYMLINK_NOFOLLOW, mask=0x7ff):
    """The fields that a file system answers for, but for times, sizes of directories and numbers."""
    buffer = ctypes.create_string_buffer(256)
    raw(LIBC.statx(AT_FDCWD, path(name), flags, mask, buffer))
    told, _, _, links, uid, gid, mode = struct.unpack_from("<IIQIIIH", buffer.raw)
    return f"mask={told & 0x7ff:x} links={links} {uid}:{gid} {stat.filemode(mode)} device={struct.unpack_from('<II', buffer.raw, 128)}"


@logged
def mode_alone(name):
    """What is told of the mode if nothing else is asked for."""
    buffer = ctypes.create_string_buffer(256)
    raw(LIBC.statx(AT_FDCWD, path(name), AT_SYMLINK_NOFOLLOW, 2, buffer))
    return stat.filemode(struct.unpack_from("<H", buffer.raw, 28)[0])


def holes(fd):
    """Data and holes, at the grain of 4 KiB."""
    at, end, words = 0, os.fstat(fd).st_size, []
    while at < end:
        data = tried(os.lseek, fd, at, SEEK_DATA)
        if isinstance(data, Failed):
            words.append(f"hole {at}..end")
            break
        if data > at:
            words.append(f"hole {at}..{data}")
        at = os.lseek(fd, data, SEEK_HOLE)
        words.append(f"data {data}..{at}")
    say("   ", ", ".join(words) or "empty", f"of {end}")


LIBC.opendir.restype = LIBC.readdir.restype = ctypes.c_void_p
LIBC.telldir.restype, LIBC.seekdir.argtypes = ctypes.c_long, [ctypes.c_void_p, ctypes.c_long]
for each in [LIBC.readdir, LIBC.telldir, LIBC.rewinddir, LIBC.closedir]:
    each.argtypes = [ctypes.c_void_p]


def one(stream):
    """The next name of a directory stream of the C library; none at the end."""
    entry = LIBC.readdir(stream)
    return ctypes.string_at(entry + 19) if entry else None


def getdents(fd, room=4096):
    """Name, inode number, position and type of every entry."""
    number, buffer = 217 if os.uname().machine == "x86_64" else 61, ctypes.create_string_buffer(room)
    while count := raw(LIBC.syscall(number, fd, buffer, room)):
        at = 0
        while at < count:
            ino, position, length, kind = struct.unpack_from("<QqHB", buffer.raw, at)
            yield buffer.raw[at + 19:at + length].split(b"\0")[0], ino, position, kind
            at += length


def main():
    os.umask(0o022)
    for number, block in enumerate(("\n" + sys.stdin.read()).split("\n# ")[1:], 1):
        name, _, body = block.partition("\n")
        where = os.path.join(ROOT_DIRECTORY, f"row-{number}")
        os.makedirs(where, 0o755, exist_ok=True)
        os.chdir(where)
        say(f"# {name}")
        exec(compile(body, name, "exec"), dict(globals()))
        os.chdir("/")


main()
