//! Whether the daemons answer, and what they and `status` say is wrong.

use std::path::PathBuf;
use std::time::Duration;

use wolfdisk_common::exit::{Exit, one_line};
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Connection;

use super::finding::{Finding, Level};
use super::ground::Ground;
use super::running::Running;
use super::within::within;
use crate::command::status;

const NAME: &str = "daemons";
/// One that lives greets at once; one that recovers does not listen yet.
const GREETING: Duration = Duration::from_secs(3);
/// All that is asked over the network, one after the other.
pub(super) const LIMIT: Duration = Duration::from_secs(45);

/// How the socket of a daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Socket {
    Answers,
    /// Nobody listens.
    Silent,
    /// Somebody does, and does not greet, or not as one of this release does: why.
    Hangs(String),
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let mut found = Vec::new();
    if !ground.is_made() {
        return vec![Finding::ok(NAME, "none is to run yet")];
    }
    if ground.is_node() {
        let paths = ground.paths();
        let sockets = [
            ("wolfdisk-meta", paths.meta_socket()),
            ("wolfdisk-chunkd", paths.chunkd_socket()),
        ];
        for (name, path) in sockets {
            let process = ground.running.iter().find(|one| one.name == name);
            let state = process.and_then(Running::state);
            found.extend(judge(
                name,
                &greet(path),
                process,
                state,
                &ground.start_command(),
            ));
        }
        // The rest is asked of wolfdisk-meta.
        if found
            .iter()
            .any(|one| one.says.starts_with("wolfdisk-meta"))
        {
            return found;
        }
    }
    found.extend(from_status(ground));
    if found.is_empty() {
        found.push(Finding::ok(
            NAME,
            "they answer, and know of nothing that is wrong",
        ));
    }
    found
}

fn greet(path: PathBuf) -> Socket {
    match within(GREETING, move || Connection::open(&path)) {
        Some(Ok(_)) => Socket::Answers,
        Some(Err(Failure::Disconnected(_))) => Socket::Silent,
        Some(Err(failure)) => Socket::Hangs(failure.to_string()),
        None => Socket::Hangs(format!("no answer within {} s", GREETING.as_secs())),
    }
}

fn judge(
    name: &str,
    socket: &Socket,
    process: Option<&Running>,
    state: Option<char>,
    start: &str,
) -> Option<Finding> {
    let who = process.map_or_else(|| name.to_owned(), Running::text);
    match (socket, process) {
        (Socket::Answers, _) => None,
        (Socket::Silent, None) => Some(Finding::fail(
            NAME,
            format!("{name} does not run"),
            format!("start the node: {start}"),
        )),
        (Socket::Silent, Some(_)) => Some(Finding::warn(
            NAME,
            format!("{who} runs and does not listen yet: it recovers what it holds"),
            "wait for it; its log says how far it is",
        )),
        (Socket::Hangs(why), _) => {
            let pid = process.map(|one| one.pid);
            Some(Finding::fail(
                NAME,
                format!("{who} does not answer ({why})"),
                awaken(name, pid, state),
            ))
        }
    }
}

/// What to do with one that does not answer.
fn awaken(name: &str, pid: Option<u32>, state: Option<char>) -> String {
    let pid = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    match state {
        Some('T' | 't') => {
            format!("it is stopped by a signal or a debugger; let it go on: kill -CONT {pid}")
        }
        Some('D') => "it waits for the disk; see dmesg for errors of it".to_owned(),
        _ => format!(
            "see its log (journalctl -eu {name}); if it says nothing, end it: kill -9 {pid}; it is started again, and \
             nothing that was acknowledged is lost"
        ),
    }
}

/// What `status` finds wrong.
fn from_status(ground: &Ground) -> Vec<Finding> {
    let (status, exit) = match status::learn(&ground.global, &ground.config) {
        Ok(learnt) => learnt,
        Err(error) => {
            let todo = "see the log of wolfdisk-meta, and: wolfdiskctl status";
            return vec![Finding::told(
                NAME,
                Level::Fail,
                &one_line(error.as_ref()),
                todo,
            )];
        }
    };
    let todo = match exit {
        Exit::NotRunning => format!("start the node: {}", ground.start_command()),
        _ => "see: wolfdiskctl status, and the log of the daemon".to_owned(),
    };
    let reasons = status.reasons().iter();
    let reasons = reasons.map(|reason| Finding::told(NAME, Level::Fail, reason, &todo));
    let notes = status.notes().iter();
    let notes =
        notes.map(|note| Finding::told(NAME, Level::Warn, note, "see: wolfdiskctl list servers"));
    let found = reasons.chain(notes).collect();
    if let Ok(value) = serde_json::to_value(&status) {
        // It is asked once.
        let _ = ground.status.set(value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_silent_daemon_needs_depends_on_what_it_does() {
        let process = Running {
            name: "wolfdisk-meta",
            pid: 7,
        };
        let hangs = Socket::Hangs("no answer within 3 s".to_owned());
        let of =
            |socket: &Socket, process, state| judge("wolfdisk-meta", socket, process, state, "up");
        assert_eq!(of(&Socket::Answers, Some(&process), Some('S')), None);
        for (socket, process, state, level, part) in [
            (
                &Socket::Silent,
                None,
                None,
                Level::Fail,
                "start the node: up",
            ),
            (
                &Socket::Silent,
                Some(&process),
                Some('S'),
                Level::Warn,
                "wait for it",
            ),
            (
                &hangs,
                Some(&process),
                Some('T'),
                Level::Fail,
                "kill -CONT 7",
            ),
            (&hangs, Some(&process), Some('D'), Level::Fail, "dmesg"),
            (&hangs, Some(&process), Some('S'), Level::Fail, "kill -9 7"),
            (
                &hangs,
                None,
                None,
                Level::Fail,
                "journalctl -eu wolfdisk-meta",
            ),
        ] {
            let found = of(socket, process, state).expect("it is named");
            assert_eq!(found.level, level);
            assert!(
                found
                    .todo
                    .as_deref()
                    .is_some_and(|todo| todo.contains(part)),
                "{found:?}"
            );
        }
    }
}
