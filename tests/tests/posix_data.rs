//! Content: ranges, holes, copies, truncation, appending, limits and bad offsets.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# fallocate: what is there, what is a hole, what it says
for fill, mode, (offset, length) in product([0, 5000, 40000], [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, PUNCH_HOLE,
    ZERO_RANGE, ZERO_RANGE | KEEP_SIZE, UNSHARE, 1 << 20, PUNCH_HOLE | ZERO_RANGE | KEEP_SIZE],
                                           [(0, 4096), (0, 8192), (4096, 4096), (100, 50), (100, 10000), (8192,
                                               4096), (4000, 200), (4096, 8192), (20000, 30000), (0, 100000),
                                               (0, 0), (-1, 10), (10, -1), (0, 1), (39999, 1), (40000, 1)]):
    with case(fill, mode, offset, length):
        file("x", bytes(range(256)) * (fill // 256) + b"z" * (fill % 256))
        fd = os.open("x", O_RDWR)
        fallocate(fd, mode, offset, length)
        fst(fd); content("x")
        if mode in (PUNCH_HOLE | KEEP_SIZE, KEEP_SIZE): holes(fd)
        os.close(fd)

# fallocate by descriptors of every kind
for kind in ["file", "dir", "fifo"]:
    make(kind, kind)
for fd in [open("file"), open("file", O_WRONLY), open("file", O_RDWR | O_APPEND), open("dir"), open("fifo",
    O_RDWR | O_NONBLOCK), open("file", O_PATH)]:
    for mode in [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE]: fallocate(fd, mode, 0, 4096)
    posix_fallocate(fd, 0, 10)

# holes at the grain of a block
for steps in [[], [(0, 4096)], [(4096, 4096)], [(0, 4096), (8192, 4096)], [(65536, 1)], [(0, 1), (131072, 1)],
    [(1 << 20, 8192), (1 << 24, 4096)]]:
    for end in [None, 0, 4096, 50000, 1 << 25]:
        with case(steps, end):
            fd = os.open("x", O_RDWR | O_CREAT)
            for offset, length in steps: os.pwrite(fd, b"d" * length, offset)
            if end is not None: os.ftruncate(fd, end)
            for sync in [False, True]:
                if sync: os.fsync(fd)
                holes(fd)
                for at, whence in product([0, 1, 4095, 4096, 5000, 1 << 20, (1 << 25) - 1, 1 << 25, -1],
                    [SEEK_DATA, SEEK_HOLE]):
                    found = tried(os.lseek, fd, at, whence)
                    say(at, "data" if whence == SEEK_DATA else "hole", found if isinstance(found,
                        Failed) else found // 4096 * 4096 if found != os.fstat(fd).st_size else "end")
            os.close(fd)

# lseek
file("x", b"0123456789"); directory("d"); os.mkfifo("p")
fd = open("x", O_RDWR)
for offset, whence in [(0, SEEK_SET), (5, SEEK_SET), (-1, SEEK_SET), (3, SEEK_CUR), (-100, SEEK_CUR), (0,
    SEEK_END), (-3, SEEK_END), (100, SEEK_END), (-11, SEEK_END), (0, 5), (0, 9), (0, SEEK_CUR)]:
    lseek(fd, offset, whence)
for name in ["d", "p"]:
    fd = open(name, O_RDONLY | O_NONBLOCK)
    for offset, whence in [(0, SEEK_SET), (0, SEEK_CUR), (-1, SEEK_SET)]: lseek(fd, offset, whence)

# bad offsets and descriptors
file("x", b"0123456789"); directory("d")
rw, ro, wo, d = open("x", O_RDWR), open("x"), open("x", O_WRONLY), open("d")
for fd, offset in product([rw, ro, wo, d], [0, -1, 100]):
    pread(fd, 4, offset); pwrite(fd, b"", offset); pwrite(fd, b"ab", offset)
for fd in [rw, ro, wo, d]:
    read(fd, 2); write(fd, b"x"); ftruncate(fd, -1); ftruncate(fd, 20); fsync(fd); fdatasync(fd)
truncate("x", -1); truncate("d", 0); truncate("missing", 0); truncate("", 0); content("x")
pread(99, 1, 0); pwrite(99, b"", 0)

# copy_file_range: overlaps, ends, kinds, flags
for size, source, target, length in product([100, 10000], [0, 50, 5000], [0, 10, 50, 4096, 10000, 20000], [0, 1,
    40, 3000, 20000]):
    with case(size, source, target, length):
        file("x", (bytes(range(256)) * 40)[:size]); file("y", b"y" * 200)
        fd, other = os.open("x", O_RDWR), os.open("y", O_RDWR)
        copy_file_range(fd, fd, length, source, target); fst(fd)
        copy_file_range(fd, other, length, source, target); fst(other)
        content("x"); content("y")
        os.close(fd); os.close(other)
file("x", b"x" * 100); file("y", b"y" * 10); directory("d"); os.mkfifo("p"); make("char", "c")
x, y, yo, ya, d, p, ro = open("x", O_RDWR), open("y", O_RDWR), open("y", O_WRONLY), open("y",
    O_WRONLY | O_APPEND), open("d"), open("p", O_RDWR | O_NONBLOCK), open("y")
for source, target in [(x, y), (yo, x), (x, ro), (x, ya), (d, x), (x, d), (p, x), (x, p), (x, 99)]:
    copy_file_range(source, target, 5)
copy_file_range(x, y, 5, -1, 0); copy_file_range(x, y, 5, 0, -1); copy_file_range(x, y, 5)
lseek(x, 0, SEEK_CUR); lseek(y, 0, SEEK_CUR); content("y")
say(tried(lambda: raw(LIBC.copy_file_range(x, None, y, None, 5, 1))))

# copies carry holes as zeroes and are apart from what they were made of
fd = os.open("x", O_RDWR | O_CREAT); os.pwrite(fd, b"head", 0); os.pwrite(fd, b"tail", 200000)
to = os.open("y", O_RDWR | O_CREAT)
copied = 0
while (part := os.copy_file_range(fd, to, 1 << 20)) > 0: copied += part
say(copied); content("y"); pwrite(fd, b"HEAD", 0); ftruncate(fd, 3); content("y"); pwrite(to, b"T", 200000)
content("x"); fst(to)

# truncation: what was cut is zero when it comes back
for cut, grow in product([0, 1, 4095, 4096, 4097, 9999], [10000, 20000]):
    file("x", b"c" * 10000); fd = os.open("x", O_RDWR)
    ftruncate(fd, cut); ftruncate(fd, grow); content("x"); pwrite(fd, b"e", grow + 10); content("x")
    os.close(fd); content("x")

# appends go to the end, wherever the descriptor is
file("x", b"abc"); fd = open("x", O_RDWR | O_APPEND); other = open("x", O_RDWR)
lseek(fd, 0, SEEK_SET); write(fd, b"1"); lseek(fd, 0, SEEK_CUR); pwrite(fd, b"2", 0); content("x")
pwrite(other, b"far", 20); write(fd, b"3"); content("x"); ftruncate(other, 2); write(fd, b"4"); content("x")
lseek(fd, 0, SEEK_CUR); read(fd, 5)
fcntl.fcntl(fd, fcntl.F_SETFL, 0); lseek(fd, 0, SEEK_SET); write(fd, b"5"); content("x")
fcntl.fcntl(other, fcntl.F_SETFL, O_APPEND); lseek(other, 0, SEEK_SET); write(other, b"6"); content("x")
logged(os.writev)(fd, [b"a", b"", b"bc"]); content("x")

# a limit on the size of files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 2 ** 63 - 1))
fd = open("x", O_RDWR | O_CREAT)
pwrite(fd, b"x" * 20000, 0); fst(fd); pwrite(fd, b"x", 10000); pwrite(fd, b"x", 9999); ftruncate(fd, 10001)
ftruncate(fd, 10000); truncate("x", 20000); fallocate(fd, 0, 0, 10001); fallocate(fd, KEEP_SIZE, 0, 20000)
posix_fallocate(fd, 0, 20000)
append = open("x", O_WRONLY | O_APPEND); write(append, b"more"); ftruncate(fd, 9998); write(append, b"more")
fst(fd)
copy_file_range(fd, fd, 5000, 0, 9998); copy_file_range(fd, fd, 5000, 0, 10000); fst(fd)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 ** 63 - 1, 2 ** 63 - 1))
def dies():
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 2 ** 63 - 1)); os.pwrite(fd, b"x", 10000)
child(dies)

# reading beyond the end and odd sizes
file("x", b"0123456789")
fd = open("x", O_RDWR)
for length, offset in [(0, 0), (100, 0), (5, 8), (5, 10), (5, 11), (5, 2 ** 40), (5, 2 ** 62)]:
    pread(fd, length, offset)
logged(os.preadv)(fd, [bytearray(3), bytearray(100)], 2)

# direct access: alignment and the end
file("x", b"0123456789" * 1000)
fd = open("x", O_RDWR | O_DIRECT)
for size, offset in [(4096, 0), (4096, 4096), (4096, 8192), (4096, 12288), (8192, 4096), (512, 512)]:
    room = mmap.mmap(-1, size); say(size, offset, tried(os.preadv, fd, [room], offset), show(bytes(room)))
room = mmap.mmap(-1, 4096); room[:] = b"D" * 4096
say(tried(os.pwritev, fd, [room], 4096)); content("x"); say(tried(os.pwritev, fd, [room], 12288)); content("x")
fst(fd)
"#;

#[test]
fn content_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
