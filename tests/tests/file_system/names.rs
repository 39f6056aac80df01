//! Names: making, linking, moving, removing and listing them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::harness::{Node, errno};

#[test]
fn every_kind_of_node_can_be_made_and_removed() {
    let node = Node::start();
    let mount = node.mount();
    fs::write(mount.at("file"), b"x").expect("a file");
    fs::create_dir(mount.at("dir")).expect("a directory");
    symlink("no/where", mount.at("link")).expect("a link");
    let mode = Mode::from_bits_truncate(0o600);
    mknod(&mount.at("fifo"), SFlag::S_IFIFO, mode, 0).expect("a fifo");
    mknod(&mount.at("null"), SFlag::S_IFCHR, mode, makedev(1, 3)).expect("a device");
    mknod(&mount.at("loop"), SFlag::S_IFBLK, mode, makedev(7, 300)).expect("a device");
    drop(UnixListener::bind(mount.at("socket")).expect("a socket"));

    let stat = |name: &str| fs::symlink_metadata(mount.at(name)).expect("attributes");
    assert!(stat("file").is_file() && stat("dir").is_dir() && stat("link").is_symlink());
    assert!(stat("fifo").file_type().is_fifo() && stat("socket").file_type().is_socket());
    assert!(stat("null").file_type().is_char_device());
    assert_eq!(stat("null").rdev(), makedev(1, 3));
    assert_eq!(stat("loop").rdev(), makedev(7, 300));
    assert_eq!(
        fs::read_link(mount.at("link"))
            .expect("a target")
            .as_os_str(),
        "no/where"
    );
    assert_eq!(stat("dir").nlink(), 2);

    fs::write(mount.at("dir/inner"), b"").expect("a file");
    assert_eq!(errno(fs::remove_dir(mount.at("dir"))), libc::ENOTEMPTY);
    fs::remove_file(mount.at("dir/inner")).expect("removed");
    assert_eq!(errno(fs::remove_file(mount.at("dir"))), libc::EISDIR);
    assert_eq!(errno(fs::remove_dir(mount.at("file"))), libc::ENOTDIR);
    fs::remove_dir(mount.at("dir")).expect("removed");
    for name in ["file", "link", "fifo", "null", "loop", "socket"] {
        fs::remove_file(mount.at(name)).expect("removed");
    }
    assert_eq!(fs::read_dir(mount.path()).expect("a listing").count(), 0);
}

#[test]
fn links_and_renames_keep_their_word() {
    let node = Node::start();
    let mount = node.mount();
    let (a, b) = (mount.at("a"), mount.at("b"));
    fs::write(&a, b"one").expect("a file");
    fs::hard_link(&a, &b).expect("a link");
    let (first, second) = (fs::metadata(&a).expect("a"), fs::metadata(&b).expect("b"));
    assert_eq!(
        (first.ino(), first.nlink(), second.nlink()),
        (second.ino(), 2, 2)
    );
    // Both names lead to one inode: POSIX leaves them alone.
    fs::rename(&a, &b).expect("renamed");
    assert!(a.exists() && b.exists());
    fs::remove_file(&b).expect("removed");
    fs::write(&b, b"two").expect("a file");

    let rename = |flags| renameat2(AT_FDCWD, &a, AT_FDCWD, &b, flags);
    assert_eq!(rename(RenameFlags::RENAME_NOREPLACE), Err(Errno::EEXIST));
    assert_eq!(rename(RenameFlags::RENAME_WHITEOUT), Err(Errno::EINVAL));
    rename(RenameFlags::RENAME_EXCHANGE).expect("swapped");
    assert_eq!(fs::read(&a).expect("a"), b"two");
    assert_eq!(fs::read(&b).expect("b"), b"one");
    rename(RenameFlags::empty()).expect("renamed");
    assert_eq!(fs::read(&b).expect("b"), b"two");
    assert!(!a.exists());

    fs::create_dir_all(mount.at("d/e")).expect("directories");
    assert_eq!(
        errno(fs::rename(mount.at("d"), mount.at("d/e/f"))),
        libc::EINVAL
    );
    assert_eq!(errno(fs::rename(&b, mount.at("d"))), libc::EISDIR);
    fs::rename(mount.at("d/e"), mount.at("top")).expect("renamed");
    assert_eq!(fs::metadata(mount.at("d")).expect("d").nlink(), 2);
    assert_eq!(fs::metadata(mount.at("top/..")).expect("..").ino(), 1);
}

#[test]
fn long_and_odd_names_are_names() {
    let node = Node::start();
    let mount = node.mount();
    let longest = "n".repeat(255);
    fs::write(mount.at(&longest), b"").expect("a file");
    assert_eq!(
        errno(File::create(mount.at("n".repeat(256)))),
        libc::ENAMETOOLONG
    );
    assert_eq!(
        errno(fs::metadata(mount.at("n".repeat(256)))),
        libc::ENAMETOOLONG
    );
    let odd = [&b"\xff\xfe"[..], b" ", b"new\nline", b"...", b"-rf"];
    for name in odd {
        fs::write(mount.at(OsStr::from_bytes(name)), name).expect("a file");
    }
    for name in odd {
        assert_eq!(
            fs::read(mount.at(OsStr::from_bytes(name))).expect("bytes"),
            name
        );
    }
    assert_eq!(
        fs::read_dir(mount.path()).expect("a listing").count(),
        odd.len() + 1
    );
}

#[test]
fn a_listing_gives_every_entry_once_also_while_they_are_removed() {
    const COUNT: usize = 3000;
    let node = Node::start();
    let mount = node.mount();
    fs::create_dir(mount.at("d")).expect("a directory");
    for number in 0..COUNT {
        fs::write(mount.at(format!("d/file-{number:05}")), b"").expect("a file");
    }
    let names = || -> BTreeSet<_> {
        let listing = fs::read_dir(mount.at("d")).expect("a listing");
        listing
            .map(|entry| entry.expect("an entry").file_name())
            .collect()
    };
    assert_eq!(names().len(), COUNT);
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(mount.at("d")).expect("a listing") {
        let entry = entry.expect("an entry");
        assert!(seen.insert(entry.file_name()), "twice: {entry:?}");
        assert!(entry.metadata().expect("attributes").is_file());
        fs::remove_file(entry.path()).expect("removed");
    }
    assert_eq!(seen.len(), COUNT);
    assert!(names().is_empty());
    fs::remove_dir(mount.at("d")).expect("removed");
}

#[test]
fn creation_follows_umask_and_set_gid_and_unnamed_files_are_refused_cleanly() {
    let node = Node::start();
    let mount = node.mount();
    let mode = |name: &str| fs::metadata(mount.at(name)).expect("attributes").mode() & 0o7777;
    let make = |name: &str, bits: u32| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(bits)
            .open(mount.at(name))
            .expect("made")
    };
    make("plain", 0o666);
    let umask = umask();
    assert_eq!(mode("plain"), 0o666 & !umask);

    fs::create_dir(mount.at("shared")).expect("a directory");
    std::os::unix::fs::chown(mount.at("shared"), Some(0), Some(1234)).expect("chown");
    fs::set_permissions(mount.at("shared"), fs::Permissions::from_mode(0o2775)).expect("chmod");
    make("shared/file", 0o644);
    fs::create_dir(mount.at("shared/sub")).expect("a directory");
    assert_eq!(
        fs::metadata(mount.at("shared/file"))
            .expect("attributes")
            .gid(),
        1234
    );
    assert_eq!(
        fs::metadata(mount.at("shared/sub"))
            .expect("attributes")
            .gid(),
        1234
    );
    assert_eq!(mode("shared/sub") & 0o2000, 0o2000);

    let unnamed = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(mount.path());
    assert_eq!(errno(unnamed), libc::EOPNOTSUPP);
    assert_eq!(
        errno(
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(mount.at("plain"))
        ),
        libc::EEXIST
    );
}

fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let field = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .expect("an umask");
    u32::from_str_radix(field.trim(), 8).expect("a number")
}
