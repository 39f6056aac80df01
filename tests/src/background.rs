//! A program that runs beside the test: a server, or work that goes on while something else happens.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::command::last_lines;
use crate::processes::{end_group, end_of};
use crate::scratch::Scratch;
use crate::watchdog::watch;

/// See the module. What it says goes to one file, of which the end is shown after a failure. Killed with
/// all that it started when dropped.
pub struct Background {
    child: Child,
    name: String,
    said: PathBuf,
}

impl Background {
    /// Starts `command`; `name` is for the file of what it says.
    pub fn start(command: &mut Command, name: &str, scratch: &Scratch) -> Background {
        let said = scratch.path().join(format!("{name}.said"));
        let file = File::create(&said).expect("a file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor"))
            .stderr(file)
            .process_group(0)
            .spawn();
        Background {
            child: child.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}")),
            name: name.to_owned(),
            said,
        }
    }

    /// The process that was started, which leads a process group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.said).expect("its file")).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for its end, which must come within `limit` and be a success, and gives what it said.
    pub fn succeed(mut self, limit: Duration) -> String {
        let status = watch(&mut self.child, limit);
        let status = status.unwrap_or_else(|wrong| panic!("{}: {wrong}", self.name));
        assert!(status.success(), "{} failed: {status}", self.name);
        self.said()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if end_of(&mut self.child, Duration::ZERO).is_none() {
            let fate = end_group(&mut self.child);
            println!("{} was still running; {fate}", self.name);
        }
        if std::thread::panicking() {
            eprintln!("--- what {} said last", self.name);
            eprintln!("{}", last_lines(&self.said()));
        }
    }
}
