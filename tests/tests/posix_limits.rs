//! The limits that docs/limits.md tells of, as programs meet them.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};

use wolfdisk_tests::{Node, carry_out};

const ROWS: &str = r#"
# what FUSE and its library cannot pass
file("x"); directory("d"); fd = open("x", O_RDWR)
open("d", O_RDWR | 0o20200000)
for mode in [COLLAPSE, INSERT]: fallocate(fd, mode, 0, 4096)
renameat2("x", "y", WHITEOUT)
for name, number in [("FS_IOC_GETFLAGS", 0x80086601), ("FS_IOC_FSGETXATTR", 0x801c581f), ("FS_IOC_FIEMAP",
    0xc020660b)]:
    say(name, tried(fcntl.ioctl, fd, number, b"\0" * 32))
other = os.open("y", O_RDWR | O_CREAT); say("FICLONE", tried(fcntl.ioctl, other, 0x40049409, fd))
chmod("x", 0o4755); chown("x", -1, -1); st("x")
statx("x", mask=0xfff)

# a flock that is to become another kind and is refused stays what it was
file("x"); one = open("x"); other = open("x"); flock(one, fcntl.LOCK_SH); flock(other, fcntl.LOCK_SH)
flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB); flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

# extended attributes: the longest and the most
file("x")
setxattr("x", "user.a", b"v" * 65536); xattr_size("x", "user.a", 0); xattr_size("x", "user.a", 65535)
setxattr("x", "user.a", b"v" * 65537); xattr_size("x", "user.a", 65536)
say(sum(not isinstance(tried(os.setxattr, "x", f"user.large{number}", b"v" * 65536),
    Failed) for number in range(20)), tried(os.setxattr, "x", "user.more", b"v" * 65536))
os.unlink("x"); file("x"); count = 0
while not isinstance(tried(os.setxattr, "x", "user." + f"{count:0250}", b""), Failed): count += 1
say(count, tried(os.setxattr, "x", "user." + f"{count:0250}", b"")); say(len(os.listxattr("x")) == count)

# the largest file
fd = open("x", O_RDWR | O_CREAT)
ftruncate(fd, 2 ** 63 - 1); fst(fd); pwrite(fd, b"!", 2 ** 63 - 2); pwrite(fd, b"!", 2 ** 63 - 1)
pread(fd, 2, 2 ** 63 - 3); pread(fd, 0, 2 ** 63 - 1)
lseek(fd, 2 ** 63 - 2, SEEK_HOLE); lseek(fd, 1, SEEK_END); lseek(fd, 0, SEEK_END)
fallocate(fd, 0, 2 ** 63 - 2, 1); fallocate(fd, 0, 2 ** 63 - 2, 2)
fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 2 ** 63 - 1); pread(fd, 2, 2 ** 63 - 3)
copy_file_range(fd, fd, 10, 0, 2 ** 63 - 5); say(os.stat("x").st_blocks); truncate("x", 0); fst(fd)

# times far away
file("x")
for seconds in [-2 ** 32, -2 ** 33 - 1, 2 ** 33, 9 * 10 ** 9, -9 * 10 ** 9, 2 ** 40, -2 ** 40]:
    utimensat("x", (seconds, 5), (seconds + 1, 999999999)); told = os.stat("x")
    say(told.st_atime_ns == seconds * 10 ** 9 + 5, told.st_mtime_ns == (seconds + 1) * 10 ** 9 + 999999999)

# a symbolic link of the greatest length
symlink("a" * 4095, "l"); st("l"); symlink("a" * 4096, "m")
"#;

const SAID: &str = r#"
# what FUSE and its library cannot pass
open('x', 2) = fd
open('d', 4259842) = ENOTSUP
fallocate(fd, 8, 0, 4096) = ENOTSUP
fallocate(fd, 32, 0, 4096) = ENOTSUP
renameat2('x', 'y', 4) = EINVAL
FS_IOC_GETFLAGS ENOTTY
FS_IOC_FSGETXATTR ENOTTY
FS_IOC_FIEMAP ENOTSUP
FICLONE ENOTSUP
chmod('x', 2541) = None
chown('x', -1, -1) = None
stat 'x': - 4755 links=1 0:0 size=7
statx('x', mask=4095) = 'mask=7ff links=1 0:0 -rwsr-xr-x device=(0, 0)'
# a flock that is to become another kind and is refused stays what it was
open('x') = fd
open('x') = fd
flock(fd, 1) = None
flock(fd, 1) = None
flock(fd, 6) = EAGAIN
flock(fd, 6) = EAGAIN
# extended attributes: the longest and the most
setxattr('x', 'user.a', b'vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv'..65536 bytes, sum 7733248) = None
xattr_size('x', 'user.a', 0) = 65536
xattr_size('x', 'user.a', 65535) = ERANGE
setxattr('x', 'user.a', b'vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv'..65537 bytes, sum 7733366) = E2BIG
xattr_size('x', 'user.a', 65536) = 65536
14 ENOSPC
256 ENOSPC
True
# the largest file
open('x', 66) = fd
ftruncate(fd, 9223372036854775807) = None
fstat: - 0644 links=1 0:0 size=9223372036854775807
pwrite(fd, b'!', 9223372036854775806) = 1
pwrite(fd, b'!', 9223372036854775807) = EINVAL
pread(fd, 2, 9223372036854775805) = b'\x00!'
pread(fd, 0, 9223372036854775807) = b''
lseek(fd, 9223372036854775806, 4) = 9223372036854775807
lseek(fd, 1, 2) = EINVAL
lseek(fd, 0, 2) = 9223372036854775807
fallocate(fd, 0, 9223372036854775806, 1) = None
fallocate(fd, 0, 9223372036854775806, 2) = EFBIG
fallocate(fd, 3, 0, 9223372036854775807) = None
pread(fd, 2, 9223372036854775805) = b'\x00\x00'
copy_file_range(fd, fd, 10, 0, 9223372036854775803) = 4
0
truncate('x', 0) = None
fstat: - 0644 links=1 0:0 size=0
# times far away
utimensat('x', (-4294967296, 5), (-4294967295, 999999999)) = None
True True
utimensat('x', (-8589934593, 5), (-8589934592, 999999999)) = None
True True
utimensat('x', (8589934592, 5), (8589934593, 999999999)) = None
True True
utimensat('x', (9000000000, 5), (9000000001, 999999999)) = None
True True
utimensat('x', (-9000000000, 5), (-8999999999, 999999999)) = None
True True
utimensat('x', (1099511627776, 5), (1099511627777, 999999999)) = None
True True
utimensat('x', (-1099511627776, 5), (-1099511627775, 999999999)) = None
True True
# a symbolic link of the greatest length
symlink('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'..4095 bytes, sum 397215, 'l') = None
stat 'l': l 0777 links=1 0:0 size=4095
symlink('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'..4096 bytes, sum 397312, 'm') = ENAMETOOLONG
"#;

#[test]
fn limits_are_met_as_documented() {
    let node = Node::start();
    let said = carry_out(node.mount(), ROWS);
    for (found, expected) in said.lines().zip(SAID.trim().lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(said.lines().count(), SAID.trim().lines().count());
}

#[test]
fn a_directory_in_use_that_another_mount_moved_is_renamed_once_it_was_looked_at() {
    let node = Node::start();
    let second = node.second_mount();
    fs::create_dir_all(node.path("a")).expect("made");
    fs::create_dir_all(node.path("b")).expect("made");
    let _in_use = File::open(second.path("a")).expect("open");
    fs::rename(node.path("a"), node.path("b/a")).expect("moved");
    let again = || fs::rename(second.path("b/a"), second.path("c"));
    for _ in 0..2 {
        let refused = again().expect_err("the kernel has it at its old place");
        assert_eq!(refused.kind(), ErrorKind::StaleNetworkFileHandle);
    }
    let looked = fs::symlink_metadata(second.path("b/a")).expect("it is there");
    assert!(looked.is_dir());
    again().expect("renamed");
}

#[test]
fn a_lock_on_a_directory_is_one_of_its_mount() {
    let node = Node::start();
    let second = node.second_mount();
    fs::create_dir(node.path("d")).expect("made");
    let [one, same_mount, other_mount] = [node.path("d"), node.path("d"), second.path("d")]
        .map(|path| File::open(path).expect("open"));
    one.try_lock().expect("free");
    same_mount.try_lock().expect_err("taken");
    other_mount.try_lock().expect("the kernel does not ask");
}

#[test]
fn what_another_mount_appended_is_copied_once_it_was_looked_at() {
    let node = Node::start();
    let second = node.second_mount();
    fs::write(node.path("file"), [1; 100]).expect("written");
    let source = File::open(second.path("file")).expect("open");
    assert_eq!(source.metadata().expect("looked at").len(), 100);
    let target = File::create(second.path("target")).expect("made");
    let longer = File::options().append(true).open(node.path("file"));
    longer
        .and_then(|mut file| file.write_all(&[2; 5000]))
        .expect("appended");
    let copy = || {
        let (mut from, mut to) = (200, 0);
        nix::fcntl::copy_file_range(&source, Some(&mut from), &target, Some(&mut to), 4000)
    };
    assert_eq!(copy(), Ok(0), "the kernel takes the old end for the end");
    assert_eq!(source.metadata().expect("looked at").len(), 5100);
    assert_eq!(copy(), Ok(4000));
}
