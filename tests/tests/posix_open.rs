//! What open(2) does with every kind of node and every flag, and what permissions, sticky and setgid
//! directories, symbolic links and the umask have to do with it.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# every kind with every flag
for kind, how, extra in product(KINDS + ["dirlink", "loop", "nothing"], [O_RDONLY, O_WRONLY, O_RDWR, 3],
                                [0, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_CREAT | O_TRUNC, O_APPEND,
                                    O_DIRECTORY, O_NOFOLLOW, O_DIRECTORY | O_NOFOLLOW,
                                 O_PATH, O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY, O_CREAT | O_DIRECTORY,
                                     O_CREAT | O_NOFOLLOW, O_EXCL, O_TRUNC | O_NOFOLLOW, O_NOATIME, O_SYNC,
                                     O_DSYNC, O_DIRECT]):
    # Blocks of a device that is not there cannot be opened; what they give is the device's business.
    if kind in ("char", "block"):
        continue
    with case(kind, f"{how:o} {extra:o}"):
        make(kind, "x")
        fd = open("x", how | extra | O_NONBLOCK)
        if not isinstance(fd, Failed):
            fst(fd)
            os.close(fd)
        look()

# devices have no effect on a mount without them
for kind, how in product(["char", "block"], [O_RDONLY, O_WRONLY, O_PATH]):
    make(kind, "x")
    open("x", how)
    unlink("x")

# a slash at the end, the dots, the empty name
for name, flags in product(["f/", "d/", "l/", "k/", "x/", "d/.", "d/..", ".", "..", "", "f/.", "f/..", "x/.",
    "k/.", "l/."], [O_RDONLY, O_WRONLY, O_RDONLY | O_CREAT, O_WRONLY | O_CREAT | O_EXCL, O_DIRECTORY,
    O_NOFOLLOW, O_PATH]):
    with case(name, f"{flags:o}"):
        file("f"); directory("d"); make("dirlink", "l"); make("symlink", "k")
        fd = open(name, flags)
        if not isinstance(fd, Failed):
            os.close(fd)
        look()

# permissions of the file and of its directory bind users
os.chmod(".", 0o777)
for mode, how, who, owner in product([0o000, 0o400, 0o200, 0o600, 0o040, 0o020, 0o060, 0o004, 0o002, 0o006,
    0o666, 0o444], [O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_RDONLY | O_CREAT,
    O_RDWR | O_CREAT | O_EXCL, O_PATH, O_RDONLY | O_NOATIME], [(ROOT,), (ANN,), (BOB,), (BOB, ANN)], [(ANN,
    ANN)]):
    file("x", mode=mode, owner=owner)
    with contextlib.nullcontext() if who == (ROOT,) else user(*who):
        fd = open("x", how)
    if not isinstance(fd, Failed):
        os.close(fd)
    st("x")
    unlink("x")
for mode, who, how in product([0o777, 0o755, 0o711, 0o744, 0o733, 0o700, 0o000], [ANN, BOB], ["d/x", "d/new",
    "d"]):
    directory("d", mode, ANN)
    file("d/x", mode=0o666)
    os.chmod("d", mode)
    with user(who):
        fd = open(how, O_RDONLY | (O_CREAT if how == "d/new" else 0), 0o640)
        listdir("d")
        access("d/x", F_OK)
        unlink("d/x")
    if not isinstance(fd, Failed):
        os.close(fd)
    st("d")
    with contextlib.suppress(OSError):
        os.chmod("d", 0o777)
        for name in os.listdir("d"):
            st("d/" + name)
            os.unlink("d/" + name)
    os.rmdir("d")

# a mode without rights does not hinder who makes the file
os.chmod(".", 0o777)
with user(ANN):
    for mode in [0o000, 0o444, 0o7777]:
        fd = open(f"x{mode:o}", O_RDWR | O_CREAT, mode)
        write(fd, b"hello"); pread(fd, 5, 0); fst(fd)
        open(f"x{mode:o}", O_RDWR)

# the umask
for mask, mode in product([0, 0o22, 0o77, 0o777, 0o027], [0o777, 0o666, 0o600, 0o7777]):
    umask(mask)
    with case(f"{mask:o} {mode:o}"):
        open("f", O_CREAT | O_WRONLY, mode)
        mkdir("d", mode); mkfifo("p", mode); mknod("n", mode | stat.S_IFREG)
        symlink("t", "l")
    umask(0o22)
    look()

# sticky directories let owners alone
for owner, mode in product([ROOT, ANN, BOB], [0o1777, 0o1775, 0o777]):
    directory("d", mode, owner)
    for kind in ["file", "dir", "symlink"]:
        make(kind, f"d/{kind}"); os.lchown(f"d/{kind}", ANN, ANN)
    for who in [BOB, ANN]:
        with user(who):
            unlink("d/file"); rmdir("d/dir"); unlink("d/symlink"); rename("d/file", "d/new")
            open("d/other", O_CREAT | O_WRONLY)
    say(sorted(os.listdir("d")))
    import shutil; shutil.rmtree("d")

# O_NOATIME is for owners
os.chmod(".", 0o777)
file("x", owner=ANN, mode=0o666)
for who in [ANN, BOB]:
    with user(who):
        open("x", O_RDONLY | O_NOATIME)
        fd = open("x", O_RDONLY)
        fcntl_set = logged(lambda fd, flags: fcntl.fcntl(fd, fcntl.F_SETFL, flags))
        fcntl_set(fd, O_NOATIME); fcntl_set(fd, O_APPEND); fcntl_set(fd, O_NONBLOCK); fcntl_set(fd, O_DIRECT)

# O_PATH gives a place and nothing else
for kind in ["file", "dir", "symlink", "fifo", "socket", "char"]:
    with case(kind):
        make(kind, "x")
        fd = open("x", O_PATH | O_NOFOLLOW)
        fst(fd)
        read(fd, 1); write(fd, b"x"); pread(fd, 1, 0); ftruncate(fd, 0); fchmod(fd, 0o600); fchown(fd, 1, 1)
        fsync(fd); fallocate(fd, 0, 0, 1); flock(fd, fcntl.LOCK_SH)
        logged(os.listxattr)(fd); setxattr(fd, "user.a", b"1")
        linkat(fd, "", "y", AT_EMPTY_PATH)
        open(f"/proc/self/fd/{fd}", O_RDONLY | O_NONBLOCK) if kind != "char" else None
        readlink("", dir_fd=fd)
        fchdir(fd)
        look() if kind != "dir" else None

# the many ways not to be there
file("f"); directory("d"); make("loop", "loop"); make("dangling", "dangling")
for name in ["f/x", "missing/x", "loop", "loop/x", "dangling", "dangling/x", "d/missing", "n" * 256,
    "d/" + "n" * 256, "f/" + "n" * 256]:
    with case(name[:20]):
        pass
    for call, args in [(open, ()), (mkdir, ()), (rmdir, ()), (unlink, ()), (chmod, (0o600,)), (truncate, (0,)),
        (readlink, ()), (listdir, ()), (access, (F_OK,)), (mkfifo, ()), (lchown, (0, 0)), (chown, (0, 0)),
        (listxattr, ())]:
        call(name, *args)
        for left in ["loop/x", "nowhere"]:
            if os.path.lexists(left) and not os.path.islink(left):
                os.rmdir(left) if os.path.isdir(left) else os.unlink(left)
    symlink("t", name); link("f", name); rename("f", name); rename(name, "f")
    for left in ["loop", "dangling"]:
        if not os.path.lexists(left): make(left, left)
    if not os.path.lexists("f"): file("f")

# O_CREAT and O_EXCL over links
for kind in ["symlink", "dangling", "dirlink", "loop"]:
    for flags in [O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_NOFOLLOW, O_CREAT | O_TRUNC, O_CREAT | O_DIRECTORY]:
        with case(kind, f"{flags:o}"):
            make(kind, "x")
            open("x", O_WRONLY | flags)
            look()

# links in the middle: 40 are followed and no more
directory("d0")
file("d0/f")
for number in range(45):
    os.symlink(f"d{number}", f"d{number + 1}")
for number in [1, 38, 39, 40, 41, 45]:
    open(f"d{number}/f")
    open(f"d{number}")

# setgid directories
os.chmod(".", 0o777)
for mode, who, groups in product([0o2777, 0o3777, 0o777], [ROOT, ANN], [(), (BOB,)]):
    with case(f"{mode:o}", USERS[who], groups):
        directory("d", 0o777, (ROOT, BOB))
        os.chmod("d", mode)
        with contextlib.nullcontext() if who == ROOT else user(who, *groups):
            for bits in [0o666, 0o2755, 0o2745, 0o6755, 0o1777]:
                open(f"d/f{bits:o}", O_CREAT | O_WRONLY, bits)
                mkdir(f"d/d{bits:o}", bits)
                mknod(f"d/n{bits:o}", bits | stat.S_IFREG)
                mkfifo(f"d/p{bits:o}", bits)
            symlink("t", "d/l")
            mkdir("d/d666/sub"); mkdir("d/d1777/sub")
            chmod("d/f666", 0o2755); chmod("d/d1777", 0o777); chmod("d/f6755", 0o6777)
        look()
"#;

#[test]
fn opening_and_creating_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
