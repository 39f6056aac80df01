//! Running the programs of the machine.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a script with `set -eu` in `directory`, which must succeed, and gives what it printed.
pub fn sh(directory: &Path, script: &str) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(directory);
    checked(&mut command, script)
}

/// Runs Python source in `directory`, which must succeed, and gives what it printed.
pub fn python(directory: &Path, source: &str, arguments: &[&OsStr]) -> String {
    let mut command = Command::new("python3");
    command
        .args(["-c", source])
        .args(arguments)
        .current_dir(directory);
    checked(&mut command, source)
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

fn checked(command: &mut Command, what: &str) -> String {
    let outcome = run(command);
    assert_eq!(
        outcome.code,
        Some(0),
        "failed: {what}\n--- standard output\n{}\n--- standard error\n{}",
        outcome.stdout,
        outcome.stderr
    );
    outcome.stdout
}
