//! Running the programs of the machine.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::watchdog::watch;

/// What the tests allow for a program that a healthy machine runs in moments.
pub const STEP_DEADLINE: Duration = Duration::from_secs(120);
/// Lines that are shown of what a program said before it failed.
const LAST_LINES: usize = 60;

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end, which must come within [`STEP_DEADLINE`].
pub fn run(command: &mut Command) -> Outcome {
    run_within(STEP_DEADLINE, command)
}

/// Runs `command` to its end. After `limit` it is killed with all that it started, and the test fails
/// with what it said last and where it was; so it does if one of its calls to a mount is stuck.
pub fn run_within(limit: Duration, command: &mut Command) -> Outcome {
    let (out, errors) = (said(), said());
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a descriptor"))
        .stderr(errors.try_clone().expect("a descriptor"))
        .process_group(0)
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let status = watch(&mut child, limit);
    let (stdout, stderr) = (text(out), text(errors));
    let status = status.unwrap_or_else(|wrong| {
        panic!(
            "{command:?}: {wrong}\n--- standard output\n{}\n--- standard error\n{}",
            last_lines(&stdout),
            last_lines(&stderr)
        )
    });
    Outcome {
        code: status.code(),
        stdout,
        stderr,
    }
}

/// A nameless file: what is started and outlives the program cannot hold up who reads it, as with a pipe.
fn said() -> File {
    tempfile::tempfile().expect("a file")
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut bytes).expect("readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last of what a program said.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(LAST_LINES);
    lines
        .iter()
        .skip(start)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Runs a script with `set -eu` in `directory`, which must succeed, and gives what it printed.
pub fn sh(directory: &Path, script: &str) -> String {
    sh_within(STEP_DEADLINE, directory, script)
}

/// The same with a deadline of its own.
pub fn sh_within(limit: Duration, directory: &Path, script: &str) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(directory);
    checked(limit, &mut command, script)
}

/// Runs Python source in `directory`, which must succeed, and gives what it printed.
pub fn python(directory: &Path, source: &str, arguments: &[&OsStr]) -> String {
    let mut command = Command::new("python3");
    command
        .args(["-c", source])
        .args(arguments)
        .current_dir(directory);
    checked(STEP_DEADLINE, &mut command, source)
}

/// Runs a program as another user, without groups and with only `home` in the environment.
pub fn run_as(uid: u32, home: &Path, program: &Path, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={uid}"))
        .arg("--clear-groups")
        .arg(program)
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .current_dir(home);
    command
}

fn checked(limit: Duration, command: &mut Command, what: &str) -> String {
    let outcome = run_within(limit, command);
    assert_eq!(
        outcome.code,
        Some(0),
        "failed: {what}\n--- standard output\n{}\n--- standard error\n{}",
        outcome.stdout,
        outcome.stderr
    );
    outcome.stdout
}
