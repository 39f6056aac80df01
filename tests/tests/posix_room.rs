//! The room that files take and that the volume has, as stat, du and statvfs tell it.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# blocks of files: none in holes, as many as bytes in data
def blocks(name):
    told = os.stat(name); return told.st_blocks * 512
def near(name, bytes):
    got = blocks(name); say(name, "about right" if bytes <= got <= bytes + 65536 else f"{got} for {bytes}")
file("empty", b""); near("empty", 0); file("small", b"x" * 100); near("small", 100)
file("large", b"x" * 3_000_000); near("large", 3_000_000)
fd = os.open("sparse", O_RDWR | O_CREAT); os.ftruncate(fd, 1 << 30); near("sparse", 0)
os.pwrite(fd, b"x" * 100_000, 1 << 29); near("sparse", 100_000); os.fsync(fd); near("sparse", 100_000)
os.pwrite(fd, b"y" * 100_000, 1 << 29); os.fsync(fd); near("sparse", 100_000)
fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 1 << 29, 100_000); near("sparse", 0)
fallocate(fd, 0, 0, 1_000_000); near("sparse", 1_000_000); fallocate(fd, KEEP_SIZE, 1 << 30, 1_000_000)
near("sparse", 2_000_000); os.ftruncate(fd, 0); near("sparse", 0)
fallocate(fd, KEEP_SIZE, 0, 500_000); near("sparse", 500_000); os.pwrite(fd, b"z" * 500_000, 0); os.fsync(fd)
near("sparse", 500_000)
os.symlink("x" * 20, "link"); os.mkfifo("fifo")
near("link", 0) if False else say(os.lstat("link").st_blocks, os.lstat("fifo").st_blocks)
link("large", "again"); near("again", 3_000_000); truncate("large", 1_000_000); near("large", 1_000_000)
for name in ["small", "large", "sparse"]: say(name, os.stat(name).st_blksize >= 4096)

# du counts what is there, and hard links once
import subprocess
directory("d"); file("d/a", b"a" * 1_000_000); link("d/a", "d/b"); fd = os.open("d/hole", O_RDWR | O_CREAT)
os.ftruncate(fd, 1 << 32)
say(950 < int(subprocess.check_output(["du", "-sk", "d"]).split()[0]) < 1100, int(subprocess.check_output(["du",
    "-sb", "--apparent-size", "d/hole"]).split()[0]))

# what statvfs says
told = os.statvfs(".")
say(told.f_namemax, told.f_bsize >= 4096, told.f_frsize >= 4096,
    0 < told.f_bavail <= told.f_bfree <= told.f_blocks, told.f_files > 0, told.f_ffree > 0)
directory("d"); file("f"); os.symlink("f", "l")
for name in ["d", "f", "l", "missing"]: say(tried(lambda: os.statvfs(name).f_namemax))
fd = os.open("f", O_RDONLY); os.unlink("f"); say(os.fstatvfs(fd).f_namemax)
flags = os.statvfs(".").f_flag
say(bool(flags & os.ST_RDONLY), bool(flags & os.ST_NOSUID), bool(flags & os.ST_NODEV))
"#;

#[test]
fn room_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
