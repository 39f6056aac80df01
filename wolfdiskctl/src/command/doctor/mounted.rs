//! The mounts of this machine: whether each answers.
//!
//! Another process asks: one that waits for a request that a mount has taken cannot even be killed.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use wolfdisk_common::mounts;

use super::ask::{Said, ask_within};
use super::finding::Finding;
use super::ground::Ground;
use super::within::begin;
use crate::users;

const NAME: &str = "mounts";
/// What the C library says of a mount whose process is gone, in English.
const DEAD: &str = "not connected";
/// A mount whose daemons live answers at once; one whose daemons are being started again waits for them.
const ANSWER: Duration = Duration::from_secs(5);

/// How a mount answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Well,
    /// Its process is gone.
    Dead,
    /// It refuses: why.
    Failed(String),
    Late,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// It is served by a process of this data directory, or is where the configuration mounts.
    Ours,
    /// Another node's.
    Others,
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let table = match mounts::ours() {
        Ok(table) => table,
        Err(error) => {
            let says = format!("/proc/self/mountinfo cannot be read: {error}");
            return vec![Finding::warn(NAME, says, "mount /proc")];
        }
    };
    // All at once: each may take as long as it has.
    let asked: Vec<_> = table
        .into_iter()
        .map(|path| {
            let of = path.clone();
            (path, begin(move || answer(&of)))
        })
        .collect();
    let mut found = Vec::new();
    for (path, answer) in asked {
        // Each gives up by itself.
        let answer = answer.recv().unwrap_or(Answer::Late);
        found.extend(judge(&path, &answer, whose(ground, &path)));
    }
    if found.is_empty() {
        found.push(Finding::ok(NAME, "none of this node"));
    }
    found
}

fn answer(path: &Path) -> Answer {
    let arguments = [
        OsStr::new("--file-system"),
        OsStr::new("--"),
        path.as_os_str(),
    ];
    match ask_within(ANSWER, "stat", &arguments) {
        None => Answer::Late,
        Some(Said { good: true, .. }) => Answer::Well,
        Some(said) if said.errors.contains(DEAD) => Answer::Dead,
        Some(said) => Answer::Failed(said.errors.trim().to_owned()),
    }
}

fn whose(ground: &Ground, path: &Path) -> Whose {
    let is_ours = match users::server_of(path) {
        Some(server) => ground.running.iter().any(|one| one.pid == server.pid),
        None => path == ground.config.mount.path,
    };
    match is_ours {
        true => Whose::Ours,
        false => Whose::Others,
    }
}

fn judge(path: &Path, answer: &Answer, whose: Whose) -> Option<Finding> {
    let at = path.display();
    let dead = format!("{at} is dead (Transport endpoint is not connected): its process is gone");
    let off = format!("take it off: wolfdiskctl unmount --lazy -m {at}; then mount it again");
    match (answer, whose) {
        (Answer::Well, Whose::Ours) => Some(Finding::ok(NAME, format!("{at} answers"))),
        (Answer::Well | Answer::Late, Whose::Others) => None,
        (Answer::Dead, Whose::Ours) => Some(Finding::fail(NAME, dead, off)),
        (Answer::Dead, Whose::Others) => Some(Finding::warn(
            NAME,
            format!("{dead}, whichever node it was of"),
            off,
        )),
        // Another user's mount may not be looked at.
        (Answer::Failed(_), Whose::Others) => None,
        (Answer::Failed(why), Whose::Ours) => Some(Finding::fail(
            NAME,
            format!("{at} does not answer: {why}"),
            "see the log of its wolfdisk-fuse",
        )),
        (Answer::Late, Whose::Ours) => Some(Finding::fail(
            NAME,
            format!("{at} does not answer within {} s", ANSWER.as_secs()),
            "it waits for a daemon that is named above; if none is, see the log of its wolfdisk-fuse",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_dead_mount_is_named_with_what_takes_it_off() {
        let path = Path::new("/m");
        let refused = || Answer::Failed("stat: permission denied".to_owned());
        let level = |answer: &Answer, whose| judge(path, answer, whose).map(|found| found.level);
        for (answer, whose, expected) in [
            (Answer::Well, Whose::Ours, Some(Level::Ok)),
            (Answer::Well, Whose::Others, None),
            (Answer::Dead, Whose::Ours, Some(Level::Fail)),
            (Answer::Dead, Whose::Others, Some(Level::Warn)),
            (refused(), Whose::Others, None),
            (refused(), Whose::Ours, Some(Level::Fail)),
            (Answer::Late, Whose::Ours, Some(Level::Fail)),
            (Answer::Late, Whose::Others, None),
        ] {
            assert_eq!(level(&answer, whose), expected, "{answer:?} {whose:?}");
        }
        let found = judge(path, &Answer::Dead, Whose::Ours).expect("named");
        assert!(
            found
                .todo
                .is_some_and(|todo| todo.contains("wolfdiskctl unmount --lazy -m /m"))
        );
    }
}
