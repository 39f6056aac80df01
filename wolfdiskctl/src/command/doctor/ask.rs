//! Asking programs of the system, each with a deadline.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::within::begin;

/// They look at tables in memory.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one that has said all, or was killed, may take to be gone.
const END: Duration = Duration::from_secs(1);
/// More than is looked at.
const ANSWER_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Where ordinary users' search path often does not lead.
const ALSO: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// What a program said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// It ended with code 0.
    pub(super) good: bool,
    /// On standard output.
    pub(super) text: String,
    /// On standard error.
    pub(super) errors: String,
}

/// What a program says, in English. `None`: it is not there, or gives no answer in time.
pub(super) fn ask(program: &str, arguments: &[&str]) -> Option<Said> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    ask_within(DEADLINE, program, &arguments)
}

/// The same with a deadline of its own. One that cannot be killed then is left to itself.
pub(super) fn ask_within(limit: Duration, program: &str, arguments: &[&OsStr]) -> Option<Said> {
    let until = Instant::now() + limit;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PATH", format!("{path}:{ALSO}"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let (out, errors) = (child.stdout.take()?, child.stderr.take()?);
    let (out, errors) = (begin(move || all_of(out)), begin(move || all_of(errors)));
    let said = said(&out, until).and_then(|text| Some((text, said(&errors, until)?)));
    let good = end(child, said.is_some());
    said.map(|(text, errors)| Said { good, text, errors })
}

/// What a program says if it ends well, without the white space around it.
pub(super) fn ask_well(program: &str, arguments: &[&str]) -> Option<String> {
    let said = ask(program, arguments)?;
    said.good.then(|| said.text.trim().to_owned())
}

fn all_of(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(ANSWER_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn said(text: &Receiver<io::Result<String>>, until: Instant) -> Option<String> {
    let left = until.saturating_duration_since(Instant::now());
    text.recv_timeout(left).ok()?.ok()
}

/// Whether it ended with code 0. One that has not said all is killed.
fn end(mut child: Child, said_all: bool) -> bool {
    if !said_all {
        // It may have ended meanwhile.
        let _ = child.kill();
    }
    let ended = begin(move || child.wait().is_ok_and(|status| status.success()));
    ended.recv_timeout(END).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_nothing() {
        assert!(ask("wolfdisk-no-such-program", &[]).is_none());
        assert_eq!(ask_well("echo", &["a  b"]).as_deref(), Some("a  b"));
        assert!(ask_well("false", &[]).is_none());
        let said = ask("ls", &["/wolfdisk-no-such-directory"]).expect("it answers");
        assert!(
            !said.good && said.errors.contains("No such file"),
            "{said:?}"
        );
    }

    #[test]
    fn one_that_says_nothing_is_not_waited_for() {
        let limit = Duration::from_millis(50);
        assert!(ask_within(limit, "sleep", &["60".as_ref()]).is_none());
    }
}
