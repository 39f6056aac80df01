//! pjdfstest, an independent suite of what POSIX says of names, attributes and permissions: no case fails,
//! and none that passes on ext4 on the same machine is skipped, but for those listed here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::statfs::{FUSE_SUPER_MAGIC, statfs};
use nix::unistd::{Group, PathconfVar, User, pathconf};
use wolfdisk_tests::{Node, Scratch, SmallDisk, run_within, sh, tool};

/// Cases of 0.2.2. Fewer mean that some were not run.
const CASES: usize = 398;
/// Cases that remount the file system read-only. The suite leaves files open for writing in its other
/// cases, and no file system can be remounted then (ext4 neither): these run in a process of their own.
const REMOUNTING: &str = "erofs";
/// For one run of the suite, which takes 10 s.
const DEADLINE: Duration = Duration::from_secs(300);
/// Size of the ext4 file system beside: enough for the suite.
const DISK_BYTES: u64 = 512 << 20;
/// Two users that every Linux has, each in a group of its own.
const USERS: [&str; 2] = ["nobody", "daemon"];

/// The case that asks how many links a file may have, makes one more and wants `EMLINK`. The C library
/// knows the answer for a few kinds of file systems, by their magic number, and says 127, "unknown", for
/// all others, FUSE among them. The suite then skips the case.
const LINK_MAX: &str = "link::link_count_max";
/// That answer (`LINUX_LINK_MAX`).
const LINK_MAX_UNKNOWN: i64 = 127;

type Verdicts = BTreeMap<String, String>;

/// Runs the cases whose names contain `pattern`, all if it is empty.
fn suite(scratch: &Scratch, directory: &Path, pattern: &str) -> Verdicts {
    let mut command = Command::new(tool("pjdfstest"));
    command
        .arg("-c")
        .arg(configuration(scratch, !pattern.is_empty()))
        .arg("-p")
        .arg(directory)
        .env("NO_COLOR", "1")
        .env("PATH", without_helpers(scratch));
    if !pattern.is_empty() {
        command.arg(pattern);
    }
    let outcome = run_within(DEADLINE, &mut command);
    let verdicts = verdicts(&outcome.stdout);
    assert!(
        outcome.stdout.contains("Summary: "),
        "it did not come to its end: {outcome:#?}"
    );
    let failed = verdicts.values().any(|verdict| verdict == "FAILED");
    assert!(!failed, "{} fails: {}", directory.display(), outcome.stdout);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    verdicts
}

/// A search path on which `mount` asks the kernel itself. The suite remounts with it, and for a FUSE file
/// system mount(8) would hand that to `mount.fuse`, which starts a program of the file system's name.
fn without_helpers(scratch: &Scratch) -> String {
    let folder = scratch.path().join("bin");
    let path = std::env::var("PATH").expect("a search path");
    if !folder.exists() {
        scratch.directory("bin");
        let script = format!("#!/bin/sh\nPATH={path}\nexec mount -i \"$@\"\n");
        std::fs::write(folder.join("mount"), script).expect("written");
        sh(&folder, "chmod 755 mount");
    }
    format!("{}:{path}", folder.display())
}

fn configuration(scratch: &Scratch, remount: bool) -> PathBuf {
    let users = USERS.map(|name| {
        let user = User::from_name(name).expect("users").expect("it exists");
        let group = Group::from_gid(user.gid)
            .expect("groups")
            .expect("it exists");
        format!("[\"{name}\", \"{}\"]", group.name)
    });
    let text = format!(
        "[features]\n\
         posix_fallocate = {{}}\n\
         rename_ctime = {{}}\n\
         stat_st_birthtime = {{}}\n\
         utime_now = {{}}\n\
         utimensat = {{}}\n\
         secondary_fs = \"{}\"\n\
         [settings]\n\
         naptime = 0.01\n\
         allow_remount = {remount}\n\
         [dummy_auth]\n\
         entries = [{}]\n",
        other(scratch).display(),
        users.join(", ")
    );
    let path = scratch.path().join(format!("remount-{remount}.toml"));
    std::fs::write(&path, text).expect("written");
    path
}

/// Another file system, to which nothing can be linked or renamed.
fn other(scratch: &Scratch) -> PathBuf {
    scratch.path().join("other")
}

/// What the suite says of each case: a line that begins with its name and ends with the verdict.
fn verdicts(said: &str) -> Verdicts {
    let lines = said.lines().filter(|line| !line.starts_with(['\t', ' ']));
    let words = lines.filter_map(|line| line.split_once(' '));
    words
        .filter(|(name, _)| name.contains("::"))
        .map(|(name, verdict)| (name.to_owned(), verdict.trim().to_owned()))
        .collect()
}

/// All cases, each where it can run.
fn all(scratch: &Scratch, directory: &Path) -> Verdicts {
    let mut verdicts = suite(scratch, directory, "");
    verdicts.extend(suite(scratch, directory, REMOUNTING));
    verdicts
}

#[test]
fn every_case_passes_that_passes_on_ext4() {
    let scratch = Scratch::new();
    scratch.directory("other");
    sh(scratch.path(), "mount -t tmpfs other other");
    let disk = SmallDisk::new(DISK_BYTES);
    let expected = all(&scratch, &disk.root());
    assert_eq!(expected.len(), CASES, "{:#?}", expected.keys());

    let node = Node::start();
    // Its cases run programs with set-id bits and open devices.
    let mount = node.second_mount_with("dev,suid");
    let mut found = all(&scratch, mount.mount());

    let link_max = pathconf(mount.mount(), PathconfVar::LINK_MAX).expect("an answer");
    assert_eq!(link_max, Some(LINK_MAX_UNKNOWN));
    let kind = statfs(mount.mount()).expect("an answer").filesystem_type();
    assert_eq!(kind, FUSE_SUPER_MAGIC);
    let listed = found.insert(LINK_MAX.to_owned(), expected[LINK_MAX].clone());
    assert_eq!(listed.as_deref(), Some("skipped"));

    assert_eq!(found, expected);
}
