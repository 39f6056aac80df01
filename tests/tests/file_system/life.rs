//! How a mount begins and ends.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{DEADLINE, Mount, Node, until};

/// A mount that is idle ends at once.
const SOON: Duration = Duration::from_secs(2);

fn is_mounted(mount: &Mount) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the table");
    let line = format!(" {} ", mount.path().display());
    table
        .lines()
        .any(|mounted| mounted.contains(&line) && mounted.contains(" - fuse.wolfdisk wolfdisk "))
}

#[test]
fn sigterm_writes_back_and_unmounts() {
    let node = Node::start();
    let mut mount = node.mount();
    assert!(is_mounted(&mount));
    fs::write(mount.at("f"), b"kept").expect("written");
    mount.process.signal(Signal::SIGTERM);
    assert!(mount.process.wait(SOON).success());
    assert!(!is_mounted(&mount));
    assert_eq!(fs::read(node.mount().at("f")).expect("read"), b"kept");
}

#[test]
fn a_mount_in_use_is_detached_and_what_was_written_is_there() {
    let node = Node::start();
    let mut mount = node.mount();
    let mut file = File::create(mount.at("f")).expect("a file");
    file.write_all(b"not closed").expect("written");
    mount.process.signal(Signal::SIGTERM);
    assert!(mount.process.wait(SOON + SOON).success());
    assert!(!is_mounted(&mount));
    assert!(file.write_all(b"x").is_err());
    assert_eq!(fs::read(node.mount().at("f")).expect("read"), b"not closed");
}

#[test]
fn an_unmount_from_outside_ends_the_process() {
    let node = Node::start();
    let mut mount = node.mount();
    fs::write(mount.at("f"), b"x").expect("written");
    // A process that another test is just starting may hold our files until it runs its program.
    until(DEADLINE, "unmounted", || {
        nix::mount::umount(mount.path()).is_ok()
    });
    assert!(mount.process.wait(SOON).success());
}

#[test]
fn a_dead_mount_is_replaced_and_a_living_one_is_not() {
    let node = Node::start();
    let mut mount = node.mount();
    let path = mount.path().to_owned();
    let second = node
        .command(&path, "rw")
        .stdin(Stdio::null())
        .output()
        .expect("a process");
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(
        text.contains("already a WolfDisk mount") && text.lines().count() == 1,
        "{text}"
    );

    mount.process.signal(Signal::SIGKILL);
    mount.process.wait(DEADLINE);
    let dead = nix::sys::statfs::statfs(&path).map(drop);
    assert_eq!(dead, Err(nix::errno::Errno::ENOTCONN));
    let again = node.mount_at(path, "rw");
    fs::write(again.at("f"), b"alive").expect("written");
    assert!(is_mounted(&again));
}

#[test]
fn a_read_only_mount_refuses_changes() {
    let node = Node::start();
    let writer = node.mount();
    fs::write(writer.at("f"), b"x").expect("written");
    let reader = node.mount_with("ro,noatime,noexec");
    assert_eq!(fs::read(reader.at("f")).expect("read"), b"x");
    let refused = fs::write(reader.at("f"), b"y").expect_err("refused");
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
}
