//! Shared mappings: coherent with calls and between processes, and cut with the file.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# a mapping and the calls see each other
file("x", b"." * 10000)
fd = open("x", O_RDWR)
m = mmap.mmap(fd, 10000)
pwrite(fd, b"written", 100); say(m[100:107]); m[5000:5006] = b"mapped"; pread(fd, 8, 4999); content("x")
other = open("x", O_RDWR); pwrite(other, b"other", 200); say(m[200:205]); m[300:303] = b"map"
pread(other, 5, 299)
append = open("x", O_RDWR | O_APPEND); write(append, b"end"); fst(fd); pread(fd, 10, 9998); m[9999:10000] = b"M"
content("x"); m.flush(); content("x")
direct = open("x", O_RDWR | O_DIRECT); room = mmap.mmap(-1, 4096)
say(tried(os.preadv, direct, [room], 0), room[300:303]); room[:] = b"D" * 4096
say(tried(os.pwritev, direct, [room], 0)); say(m[300:303]); m[1:2] = b"!"
say(tried(os.preadv, direct, [room], 0), room[:3])
m.close(); content("x")

# between processes, store by store
file("x", b"\0" * 8192)
fd = open("x", O_RDWR)
m = mmap.mmap(fd, 8192)
def answers():
    mine = mmap.mmap(os.open("x", O_RDWR), 8192)
    for number in range(1, 100):
        while mine[0] != number: pass
        mine[4096] = number
pid = children(answers)
for number in range(1, 100):
    m[0] = number
    while m[4096] != number: pass
say("ended", ended(pid)); pread(fd, 1, 4096)

# after fork
file("x", b"\0" * 4096); m = mmap.mmap(os.open("x", O_RDWR), 4096)
p = mmap.mmap(os.open("x", O_RDWR), 4096, mmap.MAP_PRIVATE)
def stores(): m[0] = 65; p[1] = 66
child(stores); say(m[0], m[1], p[0], p[1]); p[2] = 67; say(m[:3])

# truncation under a mapping: beyond the last page is SIGBUS, and the rest of it is zero
for cut in [0, 1, 100, 4096, 5000, 8191]:
    file("x", b"c" * 12288); fd = os.open("x", O_RDWR); m = mmap.mmap(fd, 12288); m[0]; m[8000]; m[12287]
    ftruncate(fd, cut)
    for at in sorted({0, cut - 1, cut, 4095, 4096, 8191, 8192, 12287}):
        if at >= 0:
            child(lambda: say(at, m[at]))
            child(lambda: m.__setitem__(at, 66))
    content("x"); ftruncate(fd, 12288); content("x"); say(m[0:3], m[cut:cut + 3], m[12285:]); m.close()
    os.close(fd)

# beyond the end
file("x", b"short"); fd = open("x", O_RDWR)
say(tried(lambda: mmap.mmap(fd, 5)[0:5]))
def beyond(at):
    LIBC.mmap.restype = ctypes.c_void_p
    where = LIBC.mmap(None, ctypes.c_size_t(12288), 3, 1, fd, ctypes.c_long(0))
    view = (ctypes.c_ubyte * 12288).from_address(where)
    say(at, view[at]); view[at] = 65
for at in [0, 4, 5, 4095, 4096, 12287]: child(lambda: beyond(at))
content("x"); pwrite(fd, b"longer", 4094); content("x")

# the file grows under a mapping
file("x", b"a" * 4096); fd = open("x", O_RDWR)
ftruncate(fd, 12288); m = mmap.mmap(fd, 12288); say(m[4096], m[12287]); m[9000:9003] = b"new"
ftruncate(fd, 4096); ftruncate(fd, 12288); say(m[9000:9003]); pwrite(fd, b"back", 9000); say(m[9000:9004])
m.close(); content("x")

# holes punched and ranges zeroed under a mapping
file("x", b"h" * 16384); fd = open("x", O_RDWR); m = mmap.mmap(fd, 16384); m[0]; m[5000]
fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 4096, 4096); say(m[4095], m[4096], m[8191], m[8192]); m[4096] = 66
pread(fd, 2, 4096)
fallocate(fd, ZERO_RANGE, 8000, 1000); say(m[7999], m[8000], m[8999], m[9000]); m[8500] = 67; pread(fd, 1, 8500)
m.flush(); content("x")
file("y", b"y" * 16384); y = open("y"); m[0:3] = b"MMM"; copy_file_range(y, fd, 5000, 0, 1000)
say(m[0:3], m[999], m[1000], m[5999], m[6000]); copy_file_range(fd, fd, 3, 0, 100); say(m[100:103])
content("x")

# what may be mapped how
file("x", b"x" * 4096); directory("d"); os.mkfifo("p"); file("empty", b"")
for name, how, prot, flags in product(["x", "d", "p", "empty"], [O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND,
    O_PATH, O_RDWR | O_DIRECT], [mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_WRITE,
    mmap.PROT_EXEC], [mmap.MAP_SHARED, mmap.MAP_PRIVATE]):
    if name != "x" and how not in (O_RDONLY, O_RDWR): continue
    fd = tried(os.open, name, how | O_NONBLOCK)
    if isinstance(fd, Failed): continue
    LIBC.mmap.restype = ctypes.c_void_p
    where = LIBC.mmap(None, ctypes.c_size_t(4096), prot, flags, fd, ctypes.c_long(0))
    say(name, f"{how:o}", prot, flags, Failed(ctypes.get_errno()) if where == 2 ** 64 - 1 else "mapped")
    os.close(fd)

# stores reach the file when the descriptor is long closed, and also without a name
file("x", b"x" * 8192); fd = open("x", O_RDWR); m = mmap.mmap(fd, 8192); os.close(fd); m[0:5] = b"store"
m.close(); content("x")
fd = open("x", O_RDWR); m = mmap.mmap(fd, 8192); unlink("x"); m[100:103] = b"gone"[:3]; m.flush()
pread(fd, 5, 99); m.close(); close(fd)

# private mappings keep their own
file("x", b"x" * 4096); fd = open("x", O_RDWR); m = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE); m[0] = 65
pread(fd, 1, 0); pwrite(fd, b"zz", 1); say(m[0:1]); content("x")

# modes of sync and of remembering
file("x", b"x" * 8192); fd = open("x", O_RDWR); m = mmap.mmap(fd, 8192)
for flags in [1, 2, 4, 2 | 4, 1 | 4]:
    m[flags] = 65
    say(flags, tried(lambda: raw(LIBC.msync(ctypes.addressof(ctypes.c_char.from_buffer(m)),
        ctypes.c_size_t(4096), flags)))) if flags != 1 | 4 else None
for advice in [mmap.MADV_DONTNEED, mmap.MADV_WILLNEED, mmap.MADV_SEQUENTIAL, mmap.MADV_RANDOM]:
    say(tried(m.madvise, advice))
content("x")
for advice in range(6): say(tried(os.posix_fadvise, fd, 0, 0, advice))
content("x")

# a program is executed and mapped while it is replaced
import subprocess, shutil
shutil.copy("/bin/sleep", "run"); os.chmod("run", 0o755)
process = subprocess.Popen(["./run", "30"]); 
while os.readlink(f"/proc/{process.pid}/exe").rsplit("/")[-1] != "run": pass
open("run", O_WRONLY); shutil.copy("/bin/true", "new"); rename("new", "run"); say(subprocess.call(["./run"]))
say(process.poll()); process.kill(); process.wait()
"#;

#[test]
fn mappings_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
