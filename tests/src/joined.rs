//! A machine that joined a node's cluster by a token and keeps nothing itself: `wolfdiskctl up` in client mode.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::command::{Outcome, run};
use crate::lan::Host;
use crate::mounts::{detach_below, is_mounted};
use crate::node::Node;
use crate::processes::{descendants, kill_hard, signal};
use crate::programs::program;
use crate::scratch::Scratch;
use crate::wait::wait_until;

const STOP_DEADLINE: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 60;

/// See the module. Stopped when dropped.
pub struct Joined {
    scratch: Scratch,
    host: Option<Host>,
    up: Option<Child>,
}

impl Joined {
    /// Joins with a token that `node` makes with these arguments of `join-token`. On `host`, or on this machine.
    pub fn new(node: &Node, arguments: &[&str], name: &str, host: Option<&Host>) -> Joined {
        let joined = Joined {
            scratch: Scratch::new(),
            host: host.cloned(),
            up: None,
        };
        let token = node.control(&[&["join-token"], arguments].concat());
        assert_eq!(token.code, Some(0), "{token:?}");
        let join = ["init", "--join", token.stdout.trim(), "--id", name];
        let outcome = joined.control(&join);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        joined
    }

    /// The same, mounted.
    pub fn mounted(node: &Node, arguments: &[&str], name: &str, host: Option<&Host>) -> Joined {
        let mut joined = Joined::new(node, arguments, name, host);
        joined.up(&[]);
        joined
    }

    /// A command of wolfdiskctl there, to its end.
    pub fn control(&self, arguments: &[&str]) -> Outcome {
        run(self
            .program("wolfdiskctl")
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data()))
    }

    fn program(&self, name: &str) -> Command {
        match &self.host {
            Some(host) => host.command(&program(name)),
            None => Command::new(program(name)),
        }
    }

    /// Starts it with further arguments of `up`, and waits until it is usable.
    pub fn up(&mut self, arguments: &[&str]) {
        self.launch(arguments);
        wait_until("the member gets ready", || {
            let up = self.up.as_mut().expect("started");
            let ended = up.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended ({ended:?}): {}", self.log());
            let said = std::fs::read_to_string(self.scratch.path().join("up.out"));
            said.expect("its output").contains("ready ")
        });
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self, arguments: &[&str]) {
        let open = |name: &str| File::create(self.scratch.path().join(name)).expect("a file");
        self.scratch.directory("mount");
        let mut command = self.program("wolfdiskctl");
        command
            .arg("up")
            .arg("--data-dir")
            .arg(self.data())
            .arg("--mount")
            .arg(self.mount())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(open("up.out"))
            .stderr(open("up.log"));
        self.up = Some(command.spawn().expect("wolfdiskctl can be started"));
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// The root of its mount.
    pub fn mount(&self) -> PathBuf {
        self.scratch.path().join("mount")
    }

    /// A file or directory in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.mount().join(name)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("up.log")).unwrap_or_default()
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.up
            .as_mut()
            .and_then(|up| up.try_wait().expect("a child"))
    }

    /// `kill -9` of all of it.
    pub fn crash(&mut self) {
        let mut up = self.up.take().expect("it runs");
        let below = descendants(up.id());
        kill_hard(up.id());
        below.iter().for_each(|(pid, _)| kill_hard(*pid));
        up.wait().expect("it was killed");
        detach_below(self.scratch.path());
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        let below = descendants(up.id());
        signal(up.id(), Signal::SIGTERM);
        let start = Instant::now();
        while matches!(up.try_wait(), Ok(None)) {
            if start.elapsed() > STOP_DEADLINE {
                eprintln!("a member does not stop: killed");
                kill_hard(up.id());
                below.iter().for_each(|(pid, _)| kill_hard(*pid));
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = up.wait() {
            eprintln!("a member cannot be waited for: {error}");
        }
        assert!(
            std::thread::panicking() || !is_mounted(&self.mount()),
            "a mount is left"
        );
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.stop();
        detach_below(self.scratch.path());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the log of {}, last lines", self.data().display());
            for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
                eprintln!("{line}");
            }
        }
    }
}
