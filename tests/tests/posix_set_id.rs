//! Who takes set-id bits and file capabilities from a file, by each way to change it, and who may change
//! modes and owners.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# by each path, as root, as the owner and as a stranger
os.chmod(".", 0o777)
def writes(fd): pwrite(fd, b"x", 0)
def mapping(fd):
    with mmap.mmap(fd, 7) as m:
        m[0] = 65
        m.flush()
def copies(fd):
    other = os.open("source", O_RDONLY)
    copy_file_range(other, fd, 3, 0, 0); os.close(other)
def sends(fd):
    other = os.open("source", O_RDONLY)
    sendfile(fd, other, 0, 3); os.close(other)
def appends(fd):
    other = os.open("x", O_WRONLY | O_APPEND)
    write(other, b"more"); os.close(other)
def direct(fd):
    other = os.open("x", O_RDWR | O_DIRECT)
    say("direct write", tried(os.pwritev, other, [mmap.mmap(-1, 4096)], 0)); os.close(other)
def reopened(flags):
    def run(fd):
        other = open("x", flags)
        if not isinstance(other, Failed): os.close(other)
    return run
changes = {
    "write": writes, "append": appends, "write of nothing": lambda fd: pwrite(fd, b"", 0),
        "direct write": direct,
    "store through a mapping": mapping, "truncate": lambda fd: truncate("x", 3),
        "ftruncate": lambda fd: ftruncate(fd, 3),
    "truncate to more": lambda fd: ftruncate(fd, 300), "truncate to the same": lambda fd: ftruncate(fd, 7),
        "O_TRUNC": reopened(O_WRONLY | O_TRUNC), "O_RDONLY|O_TRUNC": reopened(O_RDONLY | O_TRUNC),
    "open for writing": reopened(O_RDWR), "fallocate": lambda fd: fallocate(fd, 0, 0, 100),
        "fallocate that keeps the size": lambda fd: fallocate(fd, KEEP_SIZE, 0, 100),
    "punch": lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 3), "zero": lambda fd: fallocate(fd,
        ZERO_RANGE, 0, 3), "copy": copies, "sendfile": sends,
    "chmod": lambda fd: chmod("x", 0o6777), "chown to the same": lambda fd: chown("x", os.stat("x").st_uid, -1),
        "chown of the owner": lambda fd: chown("x", BOB, -1), "chown of the group": lambda fd: chown("x", -1,
        BOB), "chown to itself": lambda fd: chown("x", ANN, ANN),
    "chown to a group of one's own": lambda fd: chown("x", -1, 2000), "fchown": lambda fd: fchown(fd, ANN,
        2000), "lchown": lambda fd: lchown("x", ANN, ANN),
    "setxattr": lambda fd: setxattr("x", "user.a", b"1"), "utimes": lambda fd: utimensat("x", NOW, NOW),
        "link": lambda fd: link("x", "y"), "rename": lambda fd: rename("x", "y"), "read": lambda fd: pread(fd,
        3, 0), "fsync": lambda fd: fsync(fd),
    "access list": lambda fd: setxattr("x", ACCESS_ACL, acl("user:rwx", "user:1002:rw", "group:rwx", "mask:rwx",
        "other:rw")), "no access list": lambda fd: removexattr("x", ACCESS_ACL),
}
for (name, change), mode, (who, *groups), owner in product(changes.items(), [0o6777, 0o6767, 0o4777, 0o2777,
    0o2767, 0o3777], [(ROOT,), (ANN, 2000), (BOB,)], [(ANN, ANN), (ANN, 2000)]):
    file("x", b"content", mode, owner)
    file("source")
    os.chmod("x", mode)
    fd = os.open("x", O_RDWR)
    say("--", name, f"{mode:o}", USERS[who], owner)
    with contextlib.nullcontext() if who == ROOT else user(who, *groups):
        change(fd)
    for left in ("x", "y"):
        if os.path.lexists(left): st(left)
    fst(fd)
    os.close(fd)
    for left in ("x", "y"):
        if os.path.lexists(left): os.unlink(left)

# who asks for the mode alone, of which the kernel does not know that it changes
os.chmod(".", 0o777)
for flags in [0, O_APPEND, O_DIRECT, O_SYNC]:
    file("x", b"content", 0o6777); st("x"); mode_alone("x")
    with user(ANN): fd = os.open("x", O_WRONLY | flags); say(os.pwritev(fd, [mmap.mmap(-1, 4096)], 0))
    mode_alone("x"); os.close(fd); os.unlink("x")

# directories keep theirs, but for a chmod
os.chmod(".", 0o777)
for mode, who, groups in product([0o6777, 0o2777, 0o3775, 0o7777], [ROOT, ANN, BOB], [(), (2000,)]):
    with case(f"{mode:o}", USERS[who], groups):
        directory("d", 0o777, (ANN, 2000)); os.chmod("d", mode)
        with contextlib.nullcontext() if who == ROOT else user(who, *groups):
            mkdir("d/x"); rmdir("d/x"); st("d")
            chown("d", -1, -1); st("d"); chown("d", -1, who); st("d")
            chmod("d", 0o755); st("d"); chmod("d", 0o2755); st("d"); chmod("d", 0o1777); st("d")
            setxattr("d", ACCESS_ACL, acl("user:rwx", "user:1002:rw", "group:rwx", "mask:rwx", "other:rw"))
            acls("d")
        os.chmod("d", 0o2777); chown("d", BOB, BOB); st("d")

# chmod and chown: who may, and what becomes of set-id bits
os.chmod(".", 0o777)
for kind, who, groups in product(["file", "dir", "symlink"], [ROOT, ANN, BOB], [(), (2000,)]):
    with case(kind, USERS[who], groups):
        make(kind, "x"); os.lchown("x", ANN, 2000)
        if kind == "symlink": os.chown("target", ANN, 2000)
        with contextlib.nullcontext() if who == ROOT else user(who, *groups):
            for mode in [0o7777, 0o6711, 0o1755, 0o2755, 0o4700, 0]:
                chmod("x", mode); look()
            for uid, gid in [(ANN, -1), (BOB, -1), (-1, ANN), (-1, BOB), (-1, 2000), (ANN, 2000), (ROOT, ROOT),
                (-1, -1), (2 ** 32 - 2, 2 ** 32 - 2)]:
                chown("x", uid, gid); lchown("x", uid, gid); look()

# file capabilities
os.chmod(".", 0o777)
def writes(fd): pwrite(fd, b"x", 0)
def mapping(fd):
    with mmap.mmap(fd, 7) as m:
        m[0] = 65
        m.flush()
def copies(fd):
    other = os.open("source", O_RDONLY)
    copy_file_range(other, fd, 3, 0, 0); os.close(other)
def sends(fd):
    other = os.open("source", O_RDONLY)
    sendfile(fd, other, 0, 3); os.close(other)
def appends(fd):
    other = os.open("x", O_WRONLY | O_APPEND)
    write(other, b"more"); os.close(other)
def direct(fd):
    other = os.open("x", O_RDWR | O_DIRECT)
    say("direct write", tried(os.pwritev, other, [mmap.mmap(-1, 4096)], 0)); os.close(other)
def reopened(flags):
    def run(fd):
        other = open("x", flags)
        if not isinstance(other, Failed): os.close(other)
    return run
changes = {
    "write": writes, "append": appends, "write of nothing": lambda fd: pwrite(fd, b"", 0),
        "direct write": direct,
    "store through a mapping": mapping, "truncate": lambda fd: truncate("x", 3),
        "ftruncate": lambda fd: ftruncate(fd, 3),
    "truncate to more": lambda fd: ftruncate(fd, 300), "truncate to the same": lambda fd: ftruncate(fd, 7),
        "O_TRUNC": reopened(O_WRONLY | O_TRUNC), "O_RDONLY|O_TRUNC": reopened(O_RDONLY | O_TRUNC),
    "open for writing": reopened(O_RDWR), "fallocate": lambda fd: fallocate(fd, 0, 0, 100),
        "fallocate that keeps the size": lambda fd: fallocate(fd, KEEP_SIZE, 0, 100),
    "punch": lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 3), "zero": lambda fd: fallocate(fd,
        ZERO_RANGE, 0, 3), "copy": copies, "sendfile": sends,
    "chmod": lambda fd: chmod("x", 0o6777), "chown to the same": lambda fd: chown("x", os.stat("x").st_uid, -1),
        "chown of the owner": lambda fd: chown("x", BOB, -1), "chown of the group": lambda fd: chown("x", -1,
        BOB), "chown to itself": lambda fd: chown("x", ANN, ANN),
    "chown to a group of one's own": lambda fd: chown("x", -1, 2000), "fchown": lambda fd: fchown(fd, ANN,
        2000), "lchown": lambda fd: lchown("x", ANN, ANN),
    "setxattr": lambda fd: setxattr("x", "user.a", b"1"), "utimes": lambda fd: utimensat("x", NOW, NOW),
        "link": lambda fd: link("x", "y"), "rename": lambda fd: rename("x", "y"), "read": lambda fd: pread(fd,
        3, 0), "fsync": lambda fd: fsync(fd),
    "access list": lambda fd: setxattr("x", ACCESS_ACL, acl("user:rwx", "user:1002:rw", "group:rwx", "mask:rwx",
        "other:rw")), "no access list": lambda fd: removexattr("x", ACCESS_ACL),
}
value = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
for name, change in changes.items():
    file("x", b"content", 0o777, ANN); file("source")
    fd = os.open("x", O_RDWR)
    os.setxattr("x", "security.capability", value)
    say("--", name); change(fd)
    left = "y" if os.path.lexists("y") else "x"
    listxattr(left)
    os.close(fd)
    for left in ("x", "y"):
        if os.path.lexists(left): os.unlink(left)
with user(ANN):
    file("mine"); setxattr("mine", "security.capability", value); removexattr("mine", "security.capability")
    listxattr("mine")
"#;

#[test]
fn set_id_bits_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}

#[test]
fn set_id_bits_where_devices_and_set_id_bits_have_effect_as_on_ext4() {
    Twins::start("dev,suid").same(ROWS);
}
