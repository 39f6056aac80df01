//! The system calls of a daemon, recorded with strace.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::processes::{descendants, signal};
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// A running recording.
pub struct Trace {
    child: Option<Child>,
    path: PathBuf,
}

impl Trace {
    /// Records the named calls of all threads of `pid`. Returns when recording has begun.
    pub fn start(pid: u32, calls: &str, scratch: &Scratch) -> Trace {
        let path = scratch.path().join(format!("trace.{pid}"));
        let said = scratch.path().join(format!("trace.{pid}.err"));
        let errors = std::fs::File::create(&said).expect("a file");
        let child = Command::new("strace")
            .args([
                "-f",
                "-y",
                "-e",
                &format!("trace={calls}"),
                "-p",
                &pid.to_string(),
                "-o",
            ])
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

    /// Ends the recording and gives its lines, those of unfinished calls joined out.
    pub fn stop(mut self) -> Vec<String> {
        self.end();
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
