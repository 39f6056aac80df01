//! The system calls of a daemon, recorded with strace, which can put a fault into them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::processes::{descendants, signal};
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// What happens at one of the calls.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// The process is killed before the call is made.
    Kill,
    /// The call is not made and gives this error, by its name.
    Error(&'static str),
    /// This call and all after it fail so.
    Errors(&'static str),
    /// This call and all after it take so long before they are made.
    Delay(Duration),
}

/// A fault in a system call.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Names of calls, with commas.
    pub calls: &'static str,
    pub effect: Effect,
    /// At which of the calls of a thread, from 1.
    pub at: u64,
}

impl Fault {
    fn to_option(self) -> String {
        let Fault { calls, effect, at } = self;
        match effect {
            Effect::Kill => format!("inject={calls}:signal=KILL:when={at}"),
            Effect::Error(name) => format!("inject={calls}:error={name}:when={at}"),
            Effect::Errors(name) => format!("inject={calls}:error={name}:when={at}+"),
            Effect::Delay(time) => {
                let micros = time.as_micros();
                format!("inject={calls}:delay_enter={micros}:when={at}+")
            }
        }
    }

    /// What to put before a command, so that the fault happens to it or to a process that it starts; what happens is
    /// recorded at `path`, see [`Fault::has_happened`].
    pub fn prefix(self, path: &Path) -> Vec<OsString> {
        let trace = format!("trace={}", self.calls);
        let words = ["strace", "-f", "-e", &trace, "-e", &self.to_option(), "-o"];
        let words = words.into_iter().map(OsString::from);
        words.chain([path.into()]).collect()
    }

    /// Whether the recording at `path` shows the fault.
    pub fn has_happened(path: &Path) -> bool {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains("(INJECTED)") || text.contains("+++ killed by SIGKILL +++")
    }
}

/// A running recording.
pub struct Trace {
    child: Option<Child>,
    path: PathBuf,
}

impl Trace {
    /// Records the named calls of all threads of `pid`. Returns when recording has begun.
    pub fn start(pid: u32, calls: &str, scratch: &Scratch) -> Trace {
        Trace::with(pid, calls, &[], scratch)
    }

    /// The same, with a fault at one of the calls.
    pub fn with_fault(pid: u32, fault: Fault, scratch: &Scratch) -> Trace {
        let option = ["-e".to_owned(), fault.to_option()];
        Trace::with(pid, fault.calls, &option, scratch)
    }

    fn with(pid: u32, calls: &str, options: &[String], scratch: &Scratch) -> Trace {
        let path = scratch.path().join(format!("trace.{pid}"));
        let said = scratch.path().join(format!("trace.{pid}.err"));
        let errors = std::fs::File::create(&said).expect("a file");
        let child = Command::new("strace")
            .args(["-f", "-y", "-e", &format!("trace={calls}")])
            .args(options)
            .args(["-p", &pid.to_string(), "-o"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("strace is installed");
        let trace = Trace {
            child: Some(child),
            path,
        };
        wait_until("strace is attached", || {
            let said = std::fs::read_to_string(&said).expect("its output");
            assert!(!said.contains("Operation not permitted"), "{said}");
            said.contains("attached") && all_traced(pid)
        });
        trace
    }

    /// Whether its fault has happened.
    pub fn has_happened(&self) -> bool {
        Fault::has_happened(&self.path)
    }

    /// Ends the recording and gives its lines, those of unfinished calls joined out.
    pub fn stop(mut self) -> Vec<String> {
        self.end();
        self.so_far()
    }

    /// The lines up to now, in the same way; of a call that has only just returned there may be none yet.
    pub fn so_far(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).expect("the recording");
        text.lines()
            .filter(|line| !line.contains(" resumed>"))
            .map(str::to_owned)
            .collect()
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        assert!(
            descendants(child.id()).is_empty(),
            "strace attached, it started nothing"
        );
        signal(child.id(), Signal::SIGINT);
        if let Err(error) = child.wait() {
            eprintln!("strace cannot be waited for: {error}");
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.end();
    }
}

fn all_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status
            .lines()
            .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}

/// How many of the recorded lines are calls of `name`.
pub fn count(lines: &[String], name: &str) -> usize {
    let call = format!("{name}(");
    lines
        .iter()
        .filter(|line| line.split_whitespace().any(|word| word.starts_with(&call)))
        .count()
}
