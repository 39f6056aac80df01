//! Making, linking, removing and looking at every kind of node.

use wolfdisk_tests::Twins;

const ROWS: &str = r##"
# mknod of every kind, as root and as an ordinary user
os.chmod(".", 0o777)
for who, (kind, bits), (major, minor) in product([ROOT, ANN], [("none", 0), ("file", stat.S_IFREG), ("dir",
    stat.S_IFDIR), ("link", stat.S_IFLNK), ("fifo", stat.S_IFIFO), ("socket", stat.S_IFSOCK), ("char",
    stat.S_IFCHR), ("block", stat.S_IFBLK), ("bad", 0o130000)], [(0, 0), (1, 3), (240, 77), (4095, 1048575),
    (255, 256), (256, 255)]):
    with contextlib.nullcontext() if who == ROOT else user(who):
        mknod("x", bits | 0o640, os.makedev(major, minor))
    st("x")
    if os.path.lexists("x"): unlink("x")

# over what is there
for kind in KINDS + ["dirlink", "loop"]:
    with case(kind):
        make(kind, "x"); file("f")
        mkdir("x"); mkfifo("x"); symlink("t", "x"); link("f", "x"); mknod("x")
        open("x", O_CREAT | O_EXCL | O_WRONLY); mknod("x", stat.S_IFCHR); look()

# link: every kind, by root and by users
os.chmod(".", 0o777)
for kind, who, mode in product(KINDS + ["dirlink"], [ROOT, ANN, BOB], [0o644, 0o666, 0o6777]):
    with case(kind, USERS[who], f"{mode:o}"):
        make(kind, "x"); os.lchown("x", ANN, ANN)
        if kind not in ("symlink", "dangling", "dirlink", "dir", "full"): os.chmod("x", mode)
        with contextlib.nullcontext() if who == ROOT else user(who):
            link("x", "y", follow_symlinks=False); linkat(AT_FDCWD, "x", "z", AT_SYMLINK_FOLLOW)
            link("x", "missing/y")
        look()

# unlink, rmdir and unlinkat of every kind
for kind in KINDS + ["dirlink", "nothing"]:
    for call in [unlink, rmdir]:
        with case(kind, call.__name__):
            make(kind, "x"); call("x"); call("x/"); look()
for name in [".", "..", "", "d/.", "d/..", "/"]:
    with case(name):
        make("full", "d"); unlink(name); 
        if name != "/": rmdir(name)
        look()

# symbolic links: targets
for target in ["", "x", "/", ".", "..", "a" * 255, "a" * 256, "a/" * 100, "a" * 4095, "a" * 4096, "/" * 4095,
    b"\xff\xfe\n", "x" * 59, "x" * 60, "x" * 61]:
    symlink(target, "l"); st("l")
    if os.path.islink("l"): readlink("l"); unlink("l")
file("f"); directory("d")
readlink("f"); readlink("d"); readlink("missing")
buffer = ctypes.create_string_buffer(10)
os.symlink("0123456789abcdef", "l")
say(LIBC.readlink(b"l", buffer, 10), buffer.raw, LIBC.readlink(b"l", buffer, 0))
os.symlink("f", "s"); chmod("s", 0o600); look(); lchown("s", 1, 2); look()

# link counts of directories
directory("d"); st("d")
for number in range(5): directory(f"d/{number}")
st("d"); rmdir("d/0"); st("d"); rename("d/1", "out"); st("d"); file("d/f"); st("d"); unlink("d/f")
rename("out", "d/2"); st("d"); rename("d/2", "d/3"); st("d")

# many links to one file
file("x")
for number in range(500): os.link("x", f"l{number}")
st("x")
for number in range(499): os.unlink(f"l{number}")
st("x"); st("l499"); unlink("x"); st("l499")

# sockets and fifos work
import threading
os.mkfifo("p")
open("p", O_WRONLY | O_NONBLOCK)
fd = open("p", O_RDWR | O_NONBLOCK); write(fd, b"through"); read(fd, 10); fst(fd)
with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
    server.bind("s"); say(tried(client.connect, "missing")); server.listen(); client.connect("s")
    peer, _ = server.accept(); client.send(b"hello"); say(peer.recv(10)); st("s")
open("s"); unlink("s")
with socket.socket(socket.AF_UNIX) as server:
    server.bind("s")
    say(tried(socket.socket(socket.AF_UNIX).bind, "s"))
with socket.socket(socket.AF_UNIX) as client: say(tried(client.connect, "s"))

# access and faccessat, real and effective
os.chmod(".", 0o777)
for kind, mode, who, groups in product(["file", "dir"], [0o000, 0o111, 0o444, 0o755, 0o640, 0o010, 0o070,
    0o007], [ROOT, ANN, BOB], [(), (2000,)]):
    make(kind, "x"); os.chown("x", ANN, 2000); os.chmod("x", mode)
    with contextlib.nullcontext() if who == ROOT else user(who, *groups):
        for asked in range(8): access("x", asked)
    os.rmdir("x") if kind == "dir" else os.unlink("x")
file("x", mode=0o600); os.symlink("x", "l"); os.symlink("nowhere", "n")
for flags in [0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EACCESS | AT_SYMLINK_NOFOLLOW]:
    for name, asked in product(["x", "l", "n"], [F_OK, R_OK, W_OK, X_OK]): faccessat(name, asked, flags)
os.setresuid(ANN, 0, 0)
for flags in [0, AT_EACCESS]: faccessat("x", R_OK, flags)
os.setresuid(0, 0, 0)
access("x", 8)

# supplementary groups
os.chmod(".", 0o777)
for groups, gid in product([(), (2000,), (2000, 2001), tuple(range(3000, 3033)) + (2000,)], [ANN, 2000]):
    file("x", mode=0o060, owner=(ROOT, 2000)); directory("d", 0o770, (ROOT, 2000))
    with user(ANN, *groups, gid=gid):
        open("x", O_RDWR); open("d/f", O_CREAT | O_WRONLY); file("mine") if not os.path.exists("mine") else None
        chown("mine", -1, 2000); chown("mine", -1, 2001); chown("mine", -1, gid); st("mine")
    st("d/f"); os.unlink("x"); import shutil; shutil.rmtree("d"); os.unlink("mine")

# a busy directory
file("x"); directory("mnt")
rmdir("/"); rename("/", "x")

# execution
file("run", b"#!/bin/sh\nexit 7\n", 0o755); file("no", b"#!/bin/sh\nexit 7\n", 0o644)
import subprocess
for name in ["./run", "./no"]:
    say(tried(subprocess.call, [name]))
fd = open("run", O_WRONLY); say(tried(subprocess.call, ["./run"])); close(fd)
os.chmod(".", 0o755)
with user(ANN): say(tried(subprocess.call, ["./run"]), tried(subprocess.call, ["./no"]))
"##;

#[test]
fn nodes_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}

#[test]
fn nodes_where_devices_and_set_id_bits_have_effect_as_on_ext4() {
    Twins::start("dev,suid").same(ROWS);
}
