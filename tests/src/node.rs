//! One node in the foreground of a test: `wolfdiskctl up` and what it started.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::command::{Outcome, run, run_within};
use crate::mounts::{detach_below, is_mounted};
use crate::ports::{free_admin_ports, free_port};
use crate::processes::{descendants, is_alive, kill_hard, signal, working_on};
use crate::programs::{program, public_programs};
use crate::scratch::Scratch;
use crate::second_mount::SecondMount;
use crate::wait::{DEADLINE, wait_until, wait_within};

/// How long an orderly stop may take before the test calls it a hang.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Its configuration.
const CONFIG: &str = "config.toml";
/// Nodes of other tests run on this machine, and are none of its business.
const ALONE: &str = "[node]\nbind = \"127.0.0.1:0\"\n[cluster]\ndiscovery = \"none\"\n";
/// Lines of the log that are shown after a failure.
const LOG_LINES: usize = 80;

/// The daemons of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    Meta,
    Chunkd,
    Fuse,
}

impl Daemon {
    pub const ALL: [Daemon; 3] = [Daemon::Meta, Daemon::Chunkd, Daemon::Fuse];

    pub fn name(self) -> &'static str {
        match self {
            Daemon::Meta => "wolfdisk-meta",
            Daemon::Chunkd => "wolfdisk-chunkd",
            Daemon::Fuse => "wolfdisk-fuse",
        }
    }
}

/// What is out of the ordinary about a node.
#[derive(Default)]
pub struct Plan {
    /// Another data directory than `data` in the node's scratch directory.
    pub data: Option<PathBuf>,
    /// Further arguments of `up`.
    pub arguments: Vec<OsString>,
    /// Further environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// Run as this user.
    pub uid: Option<u32>,
    /// What stands before `wolfdiskctl up`: a program that runs it.
    pub prefix: Vec<OsString>,
    /// It answers S3 as well.
    pub s3: bool,
}

/// An S3 endpoint and the key to it.
#[derive(Clone, Debug)]
pub struct S3 {
    pub url: String,
    pub access_key: String,
    pub secret_key: String,
}

/// A running node. Stopped and removed when dropped.
pub struct Node {
    scratch: Scratch,
    plan: Plan,
    data: PathBuf,
    mount: PathBuf,
    /// The port at which it answers S3.
    s3: Option<u16>,
    /// The first port of those where the daemons say how they are.
    admin: u16,
    up: Option<Child>,
}

impl Node {
    /// A node in a directory of its own, mounted and usable.
    pub fn start() -> Node {
        Node::start_as(Plan::default())
    }

    /// The same with a plan.
    pub fn start_as(plan: Plan) -> Node {
        let mut node = Node::prepare(plan);
        node.up();
        node
    }

    /// Directories of a node that does not run yet.
    pub fn prepare(plan: Plan) -> Node {
        let scratch = Scratch::new();
        let data = plan
            .data
            .clone()
            .unwrap_or_else(|| scratch.path().join("data"));
        let mount = scratch.directory("mount");
        let s3 = plan.s3.then(free_port);
        let admin = free_admin_ports();
        let mut text = ALONE.to_owned();
        text += &format!("[admin]\nbind = \"127.0.0.1:{admin}\"\n");
        if plan.s3 {
            // Lifecycle rules are followed while a test waits.
            text += "[s3]\nlifecycle_interval_s = 1\n";
        }
        std::fs::write(scratch.path().join(CONFIG), text).expect("a file");
        Node {
            scratch,
            plan,
            data,
            mount,
            s3,
            admin,
            up: None,
        }
    }

    /// Starts it and waits until its mount is usable.
    pub fn up(&mut self) {
        self.launch();
        wait_until("the node gets ready", || {
            let ended = self
                .up
                .as_mut()
                .expect("started")
                .try_wait()
                .expect("a child");
            assert!(
                ended.is_none(),
                "wolfdiskctl up ended ({ended:?}) before it was ready"
            );
            self.is_ready()
        });
        assert!(is_mounted(&self.mount), "it said ready without a mount");
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self) {
        assert!(self.up.is_none(), "the node runs already");
        let out = File::create(self.out_path()).expect("a file");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a file");
        let mut command = self.command();
        command
            .arg("up")
            .arg("--data-dir")
            .arg(&self.data)
            .arg("--mount")
            .arg(&self.mount)
            .arg("--s3");
        match self.s3 {
            None => command.arg("off"),
            Some(port) => command.arg(format!("127.0.0.1:{port}")),
        };
        // A plan may name another one, which counts before this.
        command.env("WOLFDISK_CONFIG", self.scratch.path().join(CONFIG));
        command.args(&self.plan.arguments);
        command.envs(
            self.plan
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn();
        self.up = Some(child.expect("wolfdiskctl can be started"));
    }

    /// Whether it said that it is ready.
    pub fn is_ready(&self) -> bool {
        let ready = format!("ready mount={}", self.mount.display());
        let said = std::fs::read_to_string(self.out_path()).expect("its output");
        said.lines().any(|line| line.starts_with(&ready))
    }

    fn command(&self) -> Command {
        let Some(uid) = self.plan.uid else {
            let control = program("wolfdiskctl");
            let Some((first, rest)) = self.plan.prefix.split_first() else {
                return Command::new(control);
            };
            let mut command = Command::new(first);
            command.args(rest).arg(control);
            return command;
        };
        let home = self.scratch.path();
        for path in [home, &self.mount] {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("root gives it away");
        }
        let programs = public_programs(&self.scratch);
        crate::command::run_as(uid, home, &programs.join("wolfdiskctl"), &[])
    }

    /// Stops it in order. Panics unless it ends with code 0 and leaves no mount.
    pub fn stop(&mut self) {
        let mut up = self.up.take().expect("the node runs");
        let below = descendants(up.id());
        signal(up.id(), Signal::SIGTERM);
        let mut status = None;
        wait_within(STOP_DEADLINE, "the node stops", || {
            status = up.try_wait().expect("a child");
            status.is_some()
        });
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "an orderly stop ends with 0");
        assert!(!is_mounted(&self.mount), "a stopped node leaves no mount");
        for (pid, name) in below {
            assert!(!is_alive(pid), "{name} outlived its node");
        }
    }

    /// Stops and starts it.
    pub fn restart(&mut self) {
        self.stop();
        self.up();
    }

    /// What the next start is to go by.
    pub fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// The root of the mount.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// A file or directory in the mount.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.mount.join(name)
    }

    /// Where it answers S3, and its access key and secret, as it said itself.
    pub fn s3(&self) -> S3 {
        let said = std::fs::read_to_string(self.out_path()).expect("its output");
        let word = |before: &str| {
            let mut words = said.split_whitespace();
            let word = words.find_map(|word| word.strip_prefix(before));
            word.unwrap_or_else(|| panic!("no {before} in {said:?}"))
                .to_owned()
        };
        S3 {
            url: word("s3="),
            access_key: word("AWS_ACCESS_KEY_ID="),
            secret_key: word("AWS_SECRET_ACCESS_KEY="),
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The node's own directory on the machine's disk.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The process id of `up` itself.
    pub fn up_pid(&self) -> u32 {
        self.up.as_ref().expect("the node runs").id()
    }

    /// Whether `up` was started and has not been seen to end.
    pub fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// How `up` ended, once it has.
    pub fn up_ended(&mut self) -> Option<std::process::ExitStatus> {
        let up = self.up.as_mut().expect("the node was started");
        let status = up.try_wait().expect("a child");
        if status.is_some() {
            self.up = None;
        }
        status
    }

    /// The process id of a daemon; waits while it is being restarted.
    pub fn pid(&self, daemon: Daemon) -> u32 {
        let mut found = None;
        wait_until(daemon.name(), || {
            let below = descendants(self.up_pid());
            found = below.into_iter().find(|(_, name)| name == daemon.name());
            found.is_some()
        });
        found.expect("just found").0
    }

    /// `kill -9` of a daemon. Returns when its successor runs.
    pub fn kill(&self, daemon: Daemon) {
        let pid = self.pid(daemon);
        kill_hard(pid);
        wait_within(DEADLINE, "a killed daemon is started again", || {
            !is_alive(pid) && self.pid(daemon) != pid
        });
    }

    /// `kill -9` of everything at once. The mount is taken off; [`Node::up`] starts it again.
    pub fn crash(&mut self) {
        let mut up = self.up.take().expect("the node runs");
        let below = descendants(up.id());
        kill_hard(up.id());
        below.iter().for_each(|(pid, _)| kill_hard(*pid));
        up.wait().expect("it was killed");
        // A process that was being forked while the others were listed is found by what it works on.
        wait_until("all daemons are dead", || {
            let left = working_on(&self.data);
            left.iter().for_each(|pid| kill_hard(*pid));
            left.is_empty() && below.iter().all(|(pid, _)| !is_alive(*pid))
        });
        detach_below(self.scratch.path());
    }

    /// Another mount of the same node.
    pub fn second_mount(&self) -> SecondMount {
        self.second_mount_with("rw")
    }

    /// Another mount with options of its own.
    pub fn second_mount_with(&self, options: &str) -> SecondMount {
        SecondMount::start(&self.data, &self.scratch, options)
    }

    /// Tries to mount the volume once more where that must be refused: `wolfdisk-fuse` has to end by itself.
    pub fn try_to_mount(&self, options: &str) -> Outcome {
        let mut mount = Command::new(program("wolfdisk-fuse"));
        mount.arg("--data-dir").arg(&self.data).arg("--mount");
        mount.arg(self.scratch.directory("another"));
        run_within(DEADLINE, mount.args(["-o", options]))
    }

    /// What the daemons logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where a daemon tells its health and its numbers.
    pub fn admin(&self, daemon: Daemon) -> String {
        let port = match daemon {
            Daemon::Meta => self.admin,
            Daemon::Chunkd => self.admin + 1,
            Daemon::Fuse => self.admin + 2,
        };
        format!("http://127.0.0.1:{port}")
    }

    /// The same of wolfdisk-s3, if it has one.
    pub fn s3_admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin + 3)
    }

    fn out_path(&self) -> PathBuf {
        self.scratch.path().join("up.out")
    }

    /// `wolfdiskctl check` must find nothing.
    pub fn must_be_whole(&self) {
        let mut check = Command::new(program("wolfdiskctl"));
        let outcome = run(check.args(["check", "--data-dir"]).arg(&self.data));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }

    /// A command of wolfdiskctl about this node, to its end.
    pub fn control(&self, arguments: &[&str]) -> Outcome {
        let mut control = Command::new(program("wolfdiskctl"));
        run(control.args(arguments).arg("--data-dir").arg(&self.data))
    }

    /// Where they log.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.scratch.path().join("up.log")
    }

    fn end(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        let below = descendants(up.id());
        signal(up.id(), Signal::SIGTERM);
        let start = std::time::Instant::now();
        while matches!(up.try_wait(), Ok(None)) {
            if start.elapsed() > STOP_DEADLINE {
                eprintln!("the node does not stop: killed");
                kill_hard(up.id());
                below.iter().for_each(|(pid, _)| kill_hard(*pid));
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = up.wait() {
            eprintln!("wolfdiskctl up cannot be waited for: {error}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
        detach_below(self.scratch.path());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the node's log, last lines");
            for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
                eprintln!("{line}");
            }
        }
    }
}
