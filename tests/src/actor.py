"""Carries out calls on a tree, one a line, and answers each with one line: what it gave, or its errno.

Usage: actor.py DIRECTORY SETTLED USER [GROUP...]. A line is an expression of the names below; paths are relative to the
directory, where the process works, and open files have numbers that the line chooses. Answers hold nothing that two
file systems that behave alike may tell differently (inode numbers, sizes of directories, the time of day). SETTLED is
1 if what an open file wrote is to be seen through other mounts when the answer comes: then it is synced.
"""

import ctypes, errno, fcntl, mmap, os, random, socket, stat, struct, sys, time, zlib
from os import (O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_PATH,
                O_NONBLOCK, O_NOATIME, O_SYNC, O_DSYNC, O_DIRECT, O_TMPFILE, SEEK_SET, SEEK_CUR, SEEK_END, SEEK_HOLE,
                SEEK_DATA, RWF_APPEND, RWF_DSYNC, RWF_SYNC, RWF_HIPRI)

SETTLED = sys.argv[2] == "1"
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x400, 0x100
CLOCK_REALTIME_COARSE, DAY = 5, 86400
F_OFD_GETLK, F_OFD_SETLK = 36, 37
ACLS = {False: "system.posix_acl_access", True: "system.posix_acl_default"}
BLOCK = 4096
NOW, OMIT = (0, (1 << 30) - 1), (0, (1 << 30) - 2)
NOWHERE = os.memfd_create("bytes") if hasattr(os, "memfd_create") else None
KINDS = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "char": stat.S_IFCHR, "block": stat.S_IFBLK, "file": stat.S_IFREG}
OPEN = {}


class Open:
    """An open file, and its pages if it is mapped."""

    def __init__(self, fd, flags):
        self.fd, self.direct, self.pages = fd, bool(flags & O_DIRECT), None

    def settle(self):
        if SETTLED:
            os.fsync(self.fd)

    def look(self):
        """See the limit of a file that another mount made longer: once looked at, all of it can be copied."""
        if SETTLED:
            os.fstat(self.fd)

    def close(self):
        if self.pages is not None:
            self.pages.close()
        if SETTLED and is_file(self):
            for let_go in (lambda: fcntl.flock(self.fd, fcntl.LOCK_UN), lambda: fcntl.lockf(self.fd, fcntl.LOCK_UN),
                           lambda: lock(self, "unlock", 0, 0, True)):
                attempt(let_go)
        os.close(self.fd)


def attempt(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


def raw(number):
    """What a call through ctypes gave."""
    if number < 0:
        raise OSError(ctypes.get_errno(), "")
    return number


def show(content):
    return f"{len(content)} bytes, {zlib.crc32(content):08x}"


def fill(seed, length):
    return random.Random(seed).randbytes(length)


def on(handle, call):
    return call(OPEN[handle]) if handle in OPEN else "not open"


# Names.

def mkdir(path, mode): os.mkdir(path, mode)
def rmdir(path): os.rmdir(path)
def unlink(path): os.unlink(path)
def symlink(target, path): os.symlink(target, path)
def readlink(path): return os.readlink(path)
def link(old, new, follow): raw(LIBC.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), AT_SYMLINK_FOLLOW * follow))
def umask(mask): return os.umask(mask)


def rename(old, new, flags):
    """See the limit of a directory in use that another mount moved: once looked at, it can be renamed."""
    call = lambda: raw(LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))
    try:
        call()
    except OSError as error:
        if not (SETTLED and error.errno == errno.ESTALE and any([is_directory(old), is_directory(new)])):
            raise
        call()


def is_directory(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def mknod(path, kind, mode):
    os.mknod(path, KINDS[kind] | mode, os.makedev(1, 3) if kind in ("char", "block") else 0)


def bind(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def listing(path, room):
    """Names and kinds, and whether what follows a place is the same again after a seek to it."""
    fd = os.open(path, O_RDONLY | O_DIRECTORY)
    try:
        entries = list(getdents(fd, room))
        if entries:
            middle = len(entries) // 2
            os.lseek(fd, entries[middle][1], SEEK_SET)
            again = list(getdents(fd, room))
            if again != entries[middle + 1:]:
                return f"another rest after a seek: {again}, {entries[middle + 1:]}"
        return sorted((name, kind) for name, _, kind in entries)
    finally:
        os.close(fd)


def getdents(fd, room):
    number, buffer = 217 if os.uname().machine == "x86_64" else 61, ctypes.create_string_buffer(room)
    while count := raw(LIBC.syscall(number, fd, buffer, room)):
        at = 0
        while at < count:
            _, position, length, kind = struct.unpack_from("<QqHB", buffer.raw, at)
            yield os.fsdecode(buffer.raw[at + 19:at + length].split(b"\0")[0]), position, kind
            at += length


# Attributes.

def chmod(path, mode): os.chmod(path, mode)
def chown(path, user, group, follow): os.chown(path, user, group, follow_symlinks=follow)
def truncate(path, size): os.truncate(path, size)
def access(path, mode, effective): return os.access(path, mode, effective_ids=effective)
def setxattr(path, name, seed, length, flags): os.setxattr(path, name, fill(seed, length), flags, follow_symlinks=False)
def getxattr(path, name): return show(os.getxattr(path, name, follow_symlinks=False))
def removexattr(path, name): os.removexattr(path, name, follow_symlinks=False)
def listxattr(path): return sorted(os.listxattr(path, follow_symlinks=False))


def utimensat(path, accessed, modified, flags):
    raw(LIBC.utimensat(AT_FDCWD, os.fsencode(path), struct.pack("qqqq", *accessed, *modified), flags))
    told = os.stat(path, follow_symlinks=not flags)
    # An access time that was not set may be late.
    return [None if accessed == OMIT else when(told.st_atime_ns), when(told.st_mtime_ns)]


def when(ns):
    """A time that was set, or that it is one of today."""
    return "now" if abs(ns / 1e9 - time.time()) < DAY else ns


def set_acl(path, default, entries):
    """An access list of (tag, user or group, permissions)."""
    packed = b"".join(struct.pack("<HHI", tag, bits, who & 0xffffffff) for tag, who, bits in entries)
    os.setxattr(path, ACLS[default], struct.pack("<I", 2) + packed)


def acl(path, default):
    value = os.getxattr(path, ACLS[default])
    return [struct.unpack_from("<HHi", value, at) for at in range(4, len(value), 8)]


def looks(told):
    kind = stat.filemode(told.st_mode)[0]
    words = [kind, f"{stat.S_IMODE(told.st_mode):04o}", f"links={told.st_nlink}", f"{told.st_uid}:{told.st_gid}"]
    if kind != "d":
        words.append(f"size={told.st_size}")
    if kind in "bc":
        words.append(f"device={told.st_rdev:x}")
    return " ".join([*words, f"modified={when(told.st_mtime_ns)}"])


def look(path, follow): return looks(os.stat(path, follow_symlinks=follow))


def statx(path, flags, mask):
    """What was asked for; more may be told, of any age."""
    buffer = ctypes.create_string_buffer(256)
    raw(LIBC.statx(AT_FDCWD, os.fsencode(path), flags, mask, buffer))
    told, _, _, links, user, group, mode = struct.unpack_from("<IIQIIIH", buffer.raw)
    told &= mask
    words = ((1, mode >> 12), (2, mode & 0o7777), (4, links), (8, user), (16, group))
    return f"{told:x}", [value for bit, value in words if told & bit]


# Content by name.

def put(path, at, seed, length, flags):
    """A program that writes a file; what has no content cannot be waited for."""
    fd = os.open(path, O_WRONLY | O_NONBLOCK | flags, 0o644)
    try:
        return os.write(fd, fill(seed, length)) if flags & O_APPEND else os.pwrite(fd, fill(seed, length), at)
    finally:
        os.close(fd)


def read(path):
    fd = os.open(path, O_RDONLY | O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return "no file"
        return show(b"".join(iter(lambda: os.read(fd, 1 << 17), b"")))
    finally:
        os.close(fd)


# Open files.

def opens(handle, path, flags, mode):
    if handle in OPEN:
        OPEN.pop(handle).close()
    file = Open(os.open(path, flags | O_NONBLOCK, mode), flags)
    if not is_file(file) and not stat.S_ISDIR(os.fstat(file.fd).st_mode):
        # Not kept open: the kernel tells of no such open, and the node may lose its name.
        file.close()
        return "a pipe"
    OPEN[handle] = file


def close(handle):
    return on(handle, lambda _: OPEN.pop(handle).close())


def place_of(path, flags):
    """What O_PATH gives: looks, and nothing else."""
    file = Open(os.open(path, O_PATH | flags), 0)
    try:
        calls = [lambda: fstat(file), lambda: fchmod(file, 0o600), lambda: os.read(file.fd, 1), lambda: fsync(file)]
        return [attempt(call) for call in calls]
    finally:
        os.close(file.fd)


def place(file, at, length):
    """Direct access takes whole blocks on ext4, and so no appending."""
    return (at // BLOCK * BLOCK, -(-length // BLOCK) * BLOCK) if file.direct else (at, length)


def buffer(file, length):
    """A buffer at the beginning of a page."""
    return memoryview(mmap.mmap(-1, max(length, 1)))[:length] if file.direct else bytearray(length)


def pwrite(file, at, seed, length, flags):
    flags &= ~RWF_APPEND if file.direct else ~0
    # With RWF_APPEND the end is the one that the kernel last heard of.
    os.fstat(file.fd)
    at, length = place(file, at, length)
    given = buffer(file, length)
    given[:] = fill(seed, length)
    written = os.pwritev(file.fd, [given], at, flags)
    file.settle()
    return written


def pread(file, at, length):
    at, length = place(file, at, length)
    given = buffer(file, length)
    return show(bytes(given[:os.preadv(file.fd, [given], at)]))


def write_on(file, seed, length):
    """At the file's position; after an append it is counted from the end that the kernel last heard of."""
    os.fstat(file.fd)
    os.lseek(file.fd, place(file, os.lseek(file.fd, 0, SEEK_CUR), 0)[0], SEEK_SET)
    given = buffer(file, place(file, 0, length)[1])
    given[:] = fill(seed, len(given))
    written = os.writev(file.fd, [given])
    file.settle()
    return written, os.lseek(file.fd, 0, SEEK_CUR)


def read_on(file, length):
    os.lseek(file.fd, place(file, os.lseek(file.fd, 0, SEEK_CUR), 0)[0], SEEK_SET)
    given = buffer(file, place(file, 0, length)[1])
    return show(bytes(given[:os.readv(file.fd, [given])])), os.lseek(file.fd, 0, SEEK_CUR)


def is_file(file): return stat.S_ISREG(os.fstat(file.fd).st_mode)


def lseek(file, at, whence):
    """Positions in a directory are the file system's own."""
    return os.lseek(file.fd, at, whence) if is_file(file) else "no file"


def holes(file, at):
    """Where data is may be told at any grain, but what is said to be a hole is empty."""
    if not is_file(file):
        return "no file"
    size, told = os.fstat(file.fd).st_size, attempt(lambda: os.lseek(file.fd, at, SEEK_DATA))
    hole = attempt(lambda: os.lseek(file.fd, at, SEEK_HOLE))
    os.lseek(file.fd, 0, SEEK_SET)
    if at >= size or isinstance(hole, str):
        return told, hole
    empty = (size if told == "ENXIO" else told) - at
    if isinstance(told, str) and told != "ENXIO" or empty < 0 or not at <= hole <= size:
        return "wrong", told, hole, size
    reader = attempt(lambda: os.open(f"/proc/self/fd/{file.fd}", O_RDONLY))
    if isinstance(reader, str):
        return reader
    skipped = os.pread(reader, empty, at)
    os.close(reader)
    return "wrong: data skipped" if skipped.strip(b"\0") else "right"


def fallocate(file, mode, at, length):
    raw(LIBC.fallocate64(file.fd, mode, ctypes.c_int64(at), ctypes.c_int64(length)))
    file.settle()


def ftruncate(file, size):
    os.ftruncate(file.fd, size)
    file.settle()


def futimens(file, accessed, modified):
    raw(LIBC.futimens(file.fd, struct.pack("qqqq", *accessed, *modified)))


def fstat(file): return looks(os.fstat(file.fd))
def fchmod(file, mode): os.fchmod(file.fd, mode)
def fchown(file, user, group): os.fchown(file.fd, user, group)
def fsync(file): os.fsync(file.fd)
def fdatasync(file): os.fdatasync(file.fd)
def fsetxattr(file, name, seed, length): os.setxattr(file.fd, name, fill(seed, length))
def fgetxattr(file, name): return show(os.getxattr(file.fd, name))
def advise(file, advice): os.posix_fadvise(file.fd, 0, 0, advice)
def syncrange(file, flags): raw(LIBC.sync_file_range(file.fd, ctypes.c_int64(0), ctypes.c_int64(0), flags))


def relink(file, path):
    raw(LIBC.linkat(AT_FDCWD, b"/proc/self/fd/%d" % file.fd, AT_FDCWD, os.fsencode(path), AT_SYMLINK_FOLLOW))


def copy(file, at, to, to_at, length):
    def work(other):
        if file.direct or other.direct:
            return "not between any blocks"
        file.look()
        copied = os.copy_file_range(file.fd, other.fd, length, at, to_at)
        other.settle()
        return copied
    return on(to, work)


def send(file, at, to, length):
    def work(other):
        if file.direct or other.direct:
            return "not between any blocks"
        file.look()
        sent = os.sendfile(other.fd, file.fd, at, length)
        other.settle()
        return sent
    return on(to, work)


# Locks.

def flock(file, how):
    """Where another kind of lock is refused ext4 lets go of the one before; FUSE does not say that it is a flock."""
    if not is_file(file):
        return "one of its mount"
    try:
        fcntl.flock(file.fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(file.fd, fcntl.LOCK_UN)
        raise


def packed(kind, start, length):
    kinds = {"read": fcntl.F_RDLCK, "write": fcntl.F_WRLCK, "unlock": fcntl.F_UNLCK}
    return struct.pack("hhqqi4x", kinds[kind], 0, start, length, 0)


def lock(file, kind, start, length, of_file):
    if not is_file(file):
        return "one of its mount"
    fcntl.fcntl(file.fd, F_OFD_SETLK if of_file else fcntl.F_SETLK, packed(kind, start, length))


def is_free(file, kind, start, length, of_file):
    """Who is in the way is one of several."""
    if not is_file(file):
        return "one of its mount"
    told = fcntl.fcntl(file.fd, F_OFD_GETLK if of_file else fcntl.F_GETLK, packed(kind, start, length))
    return struct.unpack_from("h", told)[0] == fcntl.F_UNLCK


# Mappings. Pages are read and written by calls, which fail with EFAULT where a program would get a SIGBUS.

def map(file, pages):
    if file.pages is not None:
        file.pages.close()
    file.pages = None
    LIBC.mmap.restype = ctypes.c_void_p
    where = LIBC.mmap(None, ctypes.c_size_t(pages * BLOCK), 3, 1, file.fd, ctypes.c_long(0))
    if where == 2 ** 64 - 1:
        raise OSError(ctypes.get_errno(), "")
    file.pages = Pages(where, pages)


class Pages:
    def __init__(self, where, count):
        self.where, self.count = where, count

    def view(self, page, offset, length):
        return self.where + page % self.count * BLOCK + offset, min(length, BLOCK - offset)

    def close(self):
        LIBC.munmap(ctypes.c_void_p(self.where), ctypes.c_size_t(self.count * BLOCK))


def part(file, page, offset, length):
    """A part of a page up to the end of the file, as far as one is there; the rest of its page is nobody's."""
    at, length = file.pages.view(page, offset, length)
    rest = os.fstat(file.fd).st_size - page % file.pages.count * BLOCK - offset
    return at, length if rest <= -offset else max(min(length, rest), 0)


def store(file, page, offset, seed, length):
    if file.pages is None:
        return "not mapped"
    at, length = part(file, page, offset, length)
    os.pwrite(NOWHERE, fill(seed, length), 0)
    stored = raw(LIBC.pread(NOWHERE, ctypes.c_void_p(at), ctypes.c_size_t(length), ctypes.c_long(0)))
    raw(LIBC.msync(ctypes.c_void_p(file.pages.where), ctypes.c_size_t(file.pages.count * BLOCK), 4))
    return stored


def load(file, page, offset, length):
    if file.pages is None:
        return "not mapped"
    at, length = part(file, page, offset, length)
    os.ftruncate(NOWHERE, 0)
    raw(LIBC.pwrite(NOWHERE, ctypes.c_void_p(at), ctypes.c_size_t(length), ctypes.c_long(0)))
    return show(os.pread(NOWHERE, length, 0))


# What the kernel does not pass on for FUSE.

def tmpfile(path): os.close(os.open(path, O_TMPFILE | O_RDWR, 0o600))
def whiteout(old, new): rename(old, new, 4)
def collapse(file): raw(LIBC.fallocate64(file.fd, 8, ctypes.c_int64(0), ctypes.c_int64(BLOCK)))


# Comparisons.

def watched(line, *paths):
    """Carries out a line and tells which times of the nodes it changed, wherever their names lead then."""
    def nodes():
        told = [attempt(lambda: os.lstat(path)) for path in paths]
        return [None if isinstance(node, str) else node for node in told]
    before = nodes()
    newest = max((node.st_ctime_ns for node in before if node), default=0)
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= newest:
        pass
    said = attempt(lambda: eval(line))
    after = {node.st_ino: node for node in nodes() if node}
    return said, ["-" if old is None or old.st_ino not in after else changed(old, after[old.st_ino]) for old in before]


def changed(old, new):
    return "".join(which for which, is_new in (("m", old.st_mtime_ns != new.st_mtime_ns),
                                               ("c", old.st_ctime_ns != new.st_ctime_ns)) if is_new)


def everything():
    """All nodes: looks, targets, contents, attributes, and which names are one inode."""
    numbers, told = {}, []
    for directory, names, files in sorted(os.walk(".")):
        for name in sorted(names + files):
            path = os.path.join(directory, name)
            node = os.lstat(path)
            words = [path, f"#{numbers.setdefault(node.st_ino, len(numbers))}", looks(node)]
            if stat.S_ISLNK(node.st_mode):
                words.append(f"-> {os.readlink(path)}")
            elif stat.S_ISREG(node.st_mode):
                words.append(read(path))
            for attribute in listxattr(path):
                words.append(f"{attribute}={os.getxattr(path, attribute, follow_symlinks=False).hex()[:160]}")
            told.append(" ".join(words))
    return "\x01".join(told)


def main():
    os.chdir(sys.argv[1])
    user, groups = int(sys.argv[3]), [int(group) for group in sys.argv[4:]]
    if user:
        os.setgroups(groups)
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    os.umask(0o022)
    for line in sys.stdin:
        print(ascii(attempt(lambda: eval(line))), flush=True)


main()
