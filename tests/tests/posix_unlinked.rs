//! Files and directories that have lost their last name, through all calls.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# a file without a name goes through all calls
for way in ["unlink", "rename over", "unlink of the last of two"]:
    with case(way):
        file("x", b"0123456789")
        fd = open("x", O_RDWR); ro = open("x")
        if way == "unlink": unlink("x")
        elif way == "rename over": file("y"); rename("y", "x")
        else: link("x", "z"); unlink("x"); unlink("z")
        fst(fd); pread(fd, 100, 0); pwrite(fd, b"abc", 8); pread(fd, 100, 0); fst(fd); ftruncate(fd, 5)
        pread(fd, 100, 0)
        ftruncate(fd, 8192); fst(fd); lseek(fd, 0, SEEK_DATA); fallocate(fd, 0, 0, 16384); fst(fd)
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 4096); pread(fd, 10, 0)
        fchmod(fd, 0o600); fchown(fd, 5, 6); fst(fd); utimensat(fd, (5, 5), (6, 6)); told = os.fstat(fd)
        say(told.st_atime_ns, told.st_mtime_ns)
        setxattr(fd, "user.a", b"1"); getxattr(fd, "user.a"); listxattr(fd); removexattr(fd, "user.a")
        removexattr(fd, "user.a")
        setxattr(fd, ACCESS_ACL, acl("user:rw", "user:1001:r", "group:r", "mask:r", "other:-")); fst(fd)
        flock(fd, fcntl.LOCK_EX); flock(fd, fcntl.LOCK_UN); lock(fd, fcntl.F_WRLCK)
        test_lock(ro, fcntl.F_RDLCK); lock(fd, fcntl.F_UNLCK)
        relink(fd, "again"); linkat(fd, "", "again", AT_EMPTY_PATH)
        again = open(f"/proc/self/fd/{fd}", O_RDWR); pwrite(again, b"through proc", 0); pread(fd, 12, 0)
        trunc = open(f"/proc/self/fd/{fd}", O_RDWR | O_TRUNC); fst(fd)
        chmod(f"/proc/self/fd/{fd}", 0o777); truncate(f"/proc/self/fd/{fd}", 10)
        setxattr(f"/proc/self/fd/{fd}", "user.b", b"2"); fst(fd)
        file("source", b"s" * 5000); source = open("source"); copy_file_range(source, fd, 5000, 0, 100)
        copy_file_range(fd, fd, 100, 0, 6000); fst(fd); pread(fd, 200, 50)
        m = mmap.mmap(fd, 4096); m[0:3] = b"map"; m.flush(); pread(fd, 5, 0); fsync(fd); fdatasync(fd)
        m.close()
        append = open(f"/proc/self/fd/{fd}", O_WRONLY | O_APPEND); write(append, b"end"); fst(fd)
        say(os.fstatvfs(fd).f_namemax)
        close(ro); pread(fd, 3, 0); look()

# times of a file that loses its name, and of one that is written after
file("x"); os.link("x", "y"); fd = open("x", O_RDWR)
later("x"); before = os.fstat(fd)
unlink("x"); after = os.fstat(fd)
say(before.st_ctime_ns != after.st_ctime_ns, before.st_mtime_ns != after.st_mtime_ns)
unlink("y"); fst(fd)

# a removed directory
directory("d"); directory("d/sub"); file("f")
fd = open("d/sub", O_DIRECTORY); parent = open("d", O_DIRECTORY)
rmdir("d/sub"); fst(fd)
logged(os.listdir)(fd)
open("new", O_CREAT | O_WRONLY, dir_fd=fd); mkdir("new", dir_fd=fd); symlink("t", "new", dir_fd=fd)
mkfifo("new", dir_fd=fd); mknod("new", dir_fd=fd); link("f", "new", dst_dir_fd=fd)
rename("f", "new", dst_dir_fd=fd)
say(tried(lambda: os.stat("..", dir_fd=fd).st_ino == os.fstat(parent).st_ino))
logged(lambda: os.stat("new", dir_fd=fd))()
fchmod(fd, 0o700); fchown(fd, 1, 2); fst(fd); setxattr(fd, "user.a", b"1"); getxattr(fd, "user.a")
utimensat(fd, (5, 5), (6, 6)); fsync(fd); flock(fd, fcntl.LOCK_EX)
open("..", O_DIRECTORY, dir_fd=fd); open(".", O_DIRECTORY, dir_fd=fd)
setxattr(fd, DEFAULT_ACL, acl("user:rwx", "group:r", "other:-"))
rmdir("d"); logged(os.listdir)(parent); fst(parent)

# a working directory that is removed
directory("d"); home = os.open(".", O_DIRECTORY)
os.chdir("d"); os.rmdir("../d")
logged(os.listdir)("."); open("x", O_CREAT | O_WRONLY); logged(os.getcwd)(); mkdir("x")
logged(lambda: os.stat(".").st_nlink)(); open(".."); rmdir("."); rename(".", "x")
os.fchdir(home)

# a directory that is replaced by a rename while it is listed
directory("d"); directory("e"); fd = open("e", O_DIRECTORY); file("d/in")
rename("d", "e"); logged(os.listdir)(fd); fst(fd); open("x", O_CREAT | O_WRONLY, dir_fd=fd); look()

# listing that was begun before the directory went
directory("d")
for number in range(3): file(f"d/{number}")
with os.scandir("d") as listing:
    first = next(listing).name
    import shutil; shutil.rmtree("d")
    say(len([*listing]) <= 2)

# what is held by O_PATH only, or open unseen
for kind, way in product(["fifo", "file", "symlink", "socket", "char", "block"], ["unlink", "rename over"]):
    with case(kind, way):
        make(kind, "x"); held = open("x", O_PATH | O_NOFOLLOW); file("y")
        fd = open("x", O_RDWR) if kind == "fifo" else None
        if way == "unlink": unlink("x")
        else: rename("y", "x")
        file("z"); unlink("z"); fst(held)
        if kind == "fifo":
            fst(fd); fchmod(fd, 0o640); fchown(fd, 5, 6); fst(fd); utimensat(fd, (5, 5), (6, 6)); fst(fd); fst(held)
            setxattr(fd, "trusted.a", b"1"); getxattr(fd, "trusted.a"); listxattr(fd)
            write(fd, b"through"); read(fd, 7); close(fd); fst(held)
        look()

# names by a descriptor: of files with a name, of directories, as users
os.chmod(".", 0o777)
file("x", mode=0o600, owner=ANN); directory("d"); os.mkfifo("p"); os.symlink("x", "l")
fd = open("x", O_RDWR); d = open("d"); p = open("p", O_RDWR); l = open("l", O_PATH | O_NOFOLLOW)
relink(fd, "y"); linkat(fd, "", "z", AT_EMPTY_PATH); relink(d, "dd"); linkat(d, "", "dd", AT_EMPTY_PATH)
relink(p, "pp"); relink(l, "ll"); linkat(l, "", "lll", AT_EMPTY_PATH)
linkat(AT_FDCWD, "l", "m", AT_SYMLINK_FOLLOW); linkat(AT_FDCWD, "l", "n", 0)
relink(fd, "y"); linkat(fd, "", "bad", 0); linkat(AT_FDCWD, "x", "bad", 0x10); look()
with user(ANN): relink(fd, "ann"); linkat(fd, "", "ann2", AT_EMPTY_PATH)
with user(BOB): relink(fd, "bob"); linkat(fd, "", "bob2", AT_EMPTY_PATH)
look()
"#;

#[test]
fn without_a_name_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
