//! Attributes: times, permissions, extended attributes, access lists.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::harness::{Node, as_user, errno, python, succeeded};

#[test]
fn times_before_1970_keep_their_nanoseconds() {
    let node = Node::start();
    let mount = node.mount();
    let file = mount.at("old");
    fs::write(&file, b"x").expect("a file");
    let set = |atime: (i64, i64), mtime: (i64, i64)| {
        let (atime, mtime) = (
            TimeSpec::new(atime.0, atime.1),
            TimeSpec::new(mtime.0, mtime.1),
        );
        utimensat(
            AT_FDCWD,
            &file,
            &atime,
            &mtime,
            UtimensatFlags::FollowSymlink,
        )
        .expect("set");
    };
    let other = node.mount();
    for (seconds, nanos) in [
        (-1, 999_999_999),
        (-2_000_000_000, 1),
        (-1, 0),
        (0, 5),
        (4_000_000_000, 123_456_789),
    ] {
        set((seconds, nanos), (seconds - 7, nanos));
        for path in [&file, &other.at("old")] {
            let stat = fs::metadata(path).expect("attributes");
            assert_eq!((stat.atime(), stat.atime_nsec()), (seconds, nanos));
            assert_eq!((stat.mtime(), stat.mtime_nsec()), (seconds - 7, nanos));
        }
    }
    // The farthest that can be asked for must not end the mount.
    set((i64::MIN, 0), (i64::MAX, 999_999_999));
    set((i64::MIN + 1, 999_999_999), (i64::MIN, 5));
    assert_eq!(fs::read(&file).expect("bytes"), b"x");
}

#[test]
fn a_first_read_shows_in_the_access_time_and_a_second_does_not() {
    let node = Node::start();
    let mount = node.mount();
    let file = mount.at("file");
    fs::write(&file, b"content").expect("a file");
    let past = TimeSpec::new(1_000_000_000, 7);
    utimensat(
        AT_FDCWD,
        &file,
        &past,
        &TimeSpec::new(1_000_000_100, 0),
        UtimensatFlags::FollowSymlink,
    )
    .expect("set");
    let changed = fs::metadata(&file).expect("attributes").ctime();
    // Not from the kernel's pages, or it would not ask.
    let mut direct = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(&file)
        .expect("open");
    let mut room = String::new();
    direct.read_to_string(&mut room).expect("read");
    drop(direct);
    let stat = fs::metadata(&file).expect("attributes");
    assert!(stat.atime() > 1_700_000_000, "atime {}", stat.atime());
    assert_eq!(stat.ctime(), changed);
    let first = (stat.atime(), stat.atime_nsec());
    fs::read(&file).expect("read");
    let stat = fs::metadata(&file).expect("attributes");
    assert_eq!((stat.atime(), stat.atime_nsec()), first);
}

#[test]
fn permissions_bind_users_and_set_id_bits_go() {
    let node = Node::start();
    let mount = node.mount();
    let chmod = |name: &str, bits: u32| {
        fs::set_permissions(mount.at(name), fs::Permissions::from_mode(bits)).expect("chmod");
    };
    let mode = |name: &str| fs::metadata(mount.at(name)).expect("attributes").mode() & 0o7777;
    chmod("", 0o755);
    fs::write(mount.at("secret"), b"x").expect("a file");
    chmod("secret", 0o600);
    assert_eq!(
        errno(as_user(1000, || fs::read(mount.at("secret")))),
        libc::EACCES
    );
    assert_eq!(
        errno(as_user(1000, || fs::write(mount.at("new"), b""))),
        libc::EACCES
    );

    for (bits, truncate) in [(0o6777, false), (0o6777, true)] {
        fs::write(mount.at("tool"), b"old").expect("a file");
        chmod("tool", bits);
        as_user(1000, || {
            use std::io::Write;
            let options = OpenOptions::new()
                .write(true)
                .truncate(truncate)
                .open(mount.at("tool"));
            if !truncate {
                options.expect("open").write_all(b"new").expect("written");
            }
        });
        assert_eq!(mode("tool"), 0o777, "truncate: {truncate}");
    }
    for change in [
        "truncate -s 1",
        "truncate -s 99",
        "fallocate -l 4096",
        "cp --reflink=auto secret",
    ] {
        chmod("secret", 0o644);
        chmod("tool", 0o6777);
        let shell = format!("cd {} && exec {change} tool", mount.path().display());
        let run = || {
            std::process::Command::new("setpriv")
                .args(["--reuid=1000", "--clear-groups", "--", "sh", "-c", &shell])
                .output()
        };
        succeeded(run().expect("setpriv"));
        assert_eq!(mode("tool"), 0o777, "{change}");
    }
    chmod("tool", 0o4755);
    std::os::unix::fs::chown(mount.at("tool"), Some(5), None).expect("chown");
    assert_eq!(mode("tool"), 0o755);

    fs::create_dir(mount.at("tmp")).expect("a directory");
    chmod("tmp", 0o1777);
    as_user(1000, || fs::write(mount.at("tmp/mine"), b"")).expect("a file");
    assert_eq!(
        errno(as_user(1001, || fs::remove_file(mount.at("tmp/mine")))),
        libc::EPERM
    );
    as_user(1000, || fs::remove_file(mount.at("tmp/mine"))).expect("removed");
}

#[test]
fn a_changed_program_loses_its_capabilities_whichever_mount_they_came_from() {
    let node = Node::start();
    let mounts = [node.mount(), node.mount(), node.mount_with("suid")];
    let paths = mounts.each_ref().map(|mount| mount.at("tool"));
    fs::write(&paths[0], b"old").expect("a file");
    python(
        r#"
import os, struct, sys
paths = sys.argv[1:]
NAME, VALUE = "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
files = [os.open(path, os.O_RDWR) for path in paths]
def change(fd, path):
    yield os.pwrite(fd, b"new", 0)
    yield os.ftruncate(fd, 2)
    yield os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    yield os.posix_fallocate(fd, 0, 8192)
    append = os.open(path, os.O_WRONLY | os.O_APPEND)
    yield os.write(append, b"more")
    os.close(append)
for fd, path in zip(files, paths):
    # A first write: from now on the kernel may believe that there is nothing to be taken away.
    os.pwrite(fd, b"x", 0)
    for setter in paths:
        os.setxattr(setter, NAME, VALUE)
        for _ in change(fd, path):
            assert NAME not in os.listxattr(paths[0]), (path, setter)
            assert NAME not in os.listxattr(path), (path, setter)
            os.setxattr(setter, NAME, VALUE)
"#,
        &paths.each_ref().map(|path| path.as_path()),
    );
}

#[test]
fn extended_attributes_are_kept_listed_and_bounded() {
    let node = Node::start();
    let mount = node.mount();
    let other = node.mount();
    fs::write(mount.at("f"), b"").expect("a file");
    python(
        r#"
import errno, os, sys
f, g = sys.argv[1:]
def fails(number, call, *args):
    try: call(*args)
    except OSError as e: assert e.errno == number, (e.errno, number)
    else: raise AssertionError(f"{call} {args} succeeded")
assert os.listxattr(f) == []
fails(errno.ENODATA, os.getxattr, f, "user.a")
os.setxattr(f, "user.a", b"1")
os.setxattr(f, "user.empty", b"")
os.setxattr(f, "trusted.t", b"\0\xff")
os.setxattr(f, "user.large", b"x" * 65536)
for path in (f, g):
    assert sorted(os.listxattr(path)) == ["trusted.t", "user.a", "user.empty", "user.large"], os.listxattr(path)
    assert os.getxattr(path, "user.a") == b"1"
    assert os.getxattr(path, "user.empty") == b""
    assert os.getxattr(path, "trusted.t") == b"\0\xff"
    assert os.getxattr(path, "user.large") == b"x" * 65536
fails(errno.EEXIST, os.setxattr, f, "user.a", b"2", os.XATTR_CREATE)
fails(errno.ENODATA, os.setxattr, f, "user.b", b"2", os.XATTR_REPLACE)
fails(errno.EOPNOTSUPP, os.setxattr, f, "system.other", b"2")
fails(errno.EOPNOTSUPP, os.setxattr, f, "plain", b"2")
os.setxattr(f, "user.a", b"22", os.XATTR_REPLACE)
assert os.getxattr(g, "user.a") == b"22"
os.removexattr(g, "user.a")
fails(errno.ENODATA, os.removexattr, f, "user.a")
fails(errno.ENODATA, os.getxattr, f, "user.a")
"#,
        &[&mount.at("f"), &other.at("f")],
    );
}

/// The kernel's form of an ACL: version 2, then tag, permissions and id of each entry.
const ACL: &str = r#"
import os, struct, sys
NONE = 0xffffffff
def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
"#;

#[test]
fn access_lists_are_enforced_and_inherited() {
    let node = Node::start();
    let mount = node.mount();
    fs::set_permissions(mount.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let file = mount.at("f");
    fs::write(&file, b"x").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("chmod");
    let read = |user| {
        as_user(user, || {
            fs::read(&file).map_err(|error| error.raw_os_error())
        })
    };
    assert_eq!(read(1000), Err(Some(libc::EACCES)));
    let set = |path: &Path, body: &str| python(&format!("{ACL}{body}"), &[path]);
    // user::rw- user:1000:r-- group::r-- mask::r-- other::---
    set(
        &file,
        r#"os.setxattr(sys.argv[1], "system.posix_acl_access", acl((1,6,NONE),(2,4,1000),(4,4,NONE),(16,4,NONE),(32,0,NONE)))"#,
    );
    assert_eq!(read(1000), Ok(b"x".to_vec()));
    assert_eq!(read(1001), Err(Some(libc::EACCES)));
    assert_eq!(
        fs::metadata(&file).expect("attributes").mode() & 0o777,
        0o640
    );
    // chmod sets the mask.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(read(1000), Err(Some(libc::EACCES)));

    fs::create_dir(mount.at("d")).expect("a directory");
    set(
        &mount.at("d"),
        r#"os.setxattr(sys.argv[1], "system.posix_acl_default", acl((1,7,NONE),(2,6,1000),(4,5,NONE),(16,7,NONE),(32,0,NONE)))"#,
    );
    let child = mount.at("d/child");
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&child);
    drop(made.expect("a file"));
    assert_eq!(
        fs::metadata(&child).expect("attributes").mode() & 0o777,
        0o660
    );
    assert!(
        set(
            &child,
            r#"print("system.posix_acl_access" in os.listxattr(sys.argv[1]))"#
        ) == "True"
    );
    fs::set_permissions(mount.at("d"), fs::Permissions::from_mode(0o755)).expect("chmod");
    as_user(1000, || fs::write(&child, b"by the list")).expect("written");
    set(
        &child,
        r#"os.removexattr(sys.argv[1], "system.posix_acl_access")"#,
    );
}
