//! `up` and `mount` keep their promises about processes: order, restarts, messages, nothing left behind.
//! The daemons are fakes (`fake/daemon.py`), so that each way to fail can be asked for.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEADLINE: Duration = Duration::from_secs(20);
const DAEMONS: [&str; 3] = ["wolfdisk-chunkd", "wolfdisk-meta", "wolfdisk-fuse"];
const STOP_ORDER: [&str; 3] = ["wolfdisk-fuse", "wolfdisk-meta", "wolfdisk-chunkd"];

/// Copies by another process: a file that this one has open for writing may be inherited by a process that
/// another test is just starting, and cannot be run as long as it is.
fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .arg(from)
            .arg(to)
            .status()
            .expect("cp")
            .success()
    );
}

/// A folder with wolfdiskctl and fake daemons, and a data directory.
struct Bench {
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let root = tempfile::tempdir().expect("a directory");
        let bin = root.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        copy(
            Path::new(env!("CARGO_BIN_EXE_wolfdiskctl")),
            &bin.join("wolfdiskctl"),
        );
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake/daemon.py");
        for name in DAEMONS {
            copy(&fake, &bin.join(name));
            fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).expect("a mode");
        }
        fs::create_dir(root.path().join("mount")).expect("a directory");
        Bench { root }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn wish(&self, daemon: &str, kind: &str, value: &str) {
        fs::write(self.at("bin").join(format!("{daemon}.{kind}")), value).expect("a file");
    }

    fn command(&self, command: &str) -> Command {
        let mut run = Command::new(self.at("bin/wolfdiskctl"));
        run.arg(command).arg("--data-dir").arg(self.at("data"));
        run.env_remove("WOLFDISK_CONFIG")
            .env("HOME", self.root.path());
        run.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        run
    }

    fn up(&self) -> Running {
        let child = self
            .command("up")
            .args(["--s3", "off", "--mount"])
            .arg(self.at("mount"))
            .spawn();
        Running {
            child: child.expect("wolfdiskctl"),
        }
    }

    /// Runs to its end: exit code and standard error.
    fn failed(&self, command: &str) -> (i32, String) {
        let mut run = self.command(command);
        if command == "up" {
            run.args(["--s3", "off"]);
        }
        let output = run.arg("--mount").arg(self.at("mount")).output();
        let output = output.expect("wolfdiskctl");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), text)
    }

    fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("bin/journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let journal = self.journal();
            if condition(&journal) {
                return journal;
            }
            assert!(Instant::now() < deadline, "no {what} in {journal:?}");
            std::thread::yield_now();
        }
    }

    /// The processes that `daemon` has been.
    fn pids(&self, daemon: &str) -> Vec<i32> {
        let start = format!("{daemon} start ");
        let pid = |line: &String| line.strip_prefix(&start)?.split(' ').next()?.parse().ok();
        self.journal().iter().filter_map(pid).collect()
    }

    fn stops(&self) -> Vec<String> {
        self.journal()
            .into_iter()
            .filter(|line| line.contains(" stop "))
            .collect()
    }

    /// Who stopped, in order, for whatever reason.
    fn stopped(&self) -> Vec<String> {
        let name = |line: String| line.split(' ').next().unwrap_or_default().to_owned();
        self.stops().into_iter().map(name).collect()
    }
}

struct Running {
    child: Child,
}

impl Running {
    fn ready_line(&mut self) -> String {
        let mut line = String::new();
        let out = self.child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        line
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("a process");
    }

    fn end(&mut self) -> (ExitStatus, String) {
        let mut text = String::new();
        let mut err = self.child.stderr.take().expect("a pipe");
        err.read_to_string(&mut text).expect("text");
        (self.child.wait().expect("an end"), text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // By then it has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_gone(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_err()
}

#[test]
fn up_initialises_starts_in_order_and_stops_in_the_opposite_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let bench = Bench::new();
        let mut up = bench.up();
        assert_eq!(
            up.ready_line(),
            format!("ready mount={}\n", bench.at("mount").display())
        );
        let started: Vec<String> = bench
            .journal()
            .iter()
            .map(|line| line.split(' ').next().unwrap_or("").into())
            .collect();
        assert_eq!(started, DAEMONS);
        assert!(bench.at("data/cluster.key").exists());
        up.signal(signal);
        let (status, text) = up.end();
        assert_eq!(status.code(), Some(0), "{text}");
        assert_eq!(bench.stopped(), STOP_ORDER);
    }
}

#[test]
fn a_daemon_that_dies_is_started_again() {
    let bench = Bench::new();
    let mut up = bench.up();
    up.ready_line();
    for name in DAEMONS {
        let before = bench.pids(name);
        let last = *before.last().expect("a process");
        kill(Pid::from_raw(last), Signal::SIGKILL).expect("a process");
        bench.wait_for("restart", |_| bench.pids(name).len() > before.len());
    }
    up.signal(Signal::SIGTERM);
    let (status, text) = up.end();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(
        text.contains("wolfdisk-meta ended (signal: 9 (SIGKILL)), starting it again"),
        "{text}"
    );
}

#[test]
fn a_daemon_in_the_pause_before_a_restart_is_there_for_the_stop_of_its_users() {
    let bench = Bench::new();
    let mut up = bench.up();
    up.ready_line();
    let name = "wolfdisk-meta";
    bench.wish("wolfdisk-fuse", "stops-after", "wolfdisk-meta start 6");
    let mut last = 0;
    for round in 1..=5 {
        bench.wait_for("a start", |_| bench.pids(name).len() == round);
        last = *bench.pids(name).last().expect("a process");
        kill(Pid::from_raw(last), Signal::SIGKILL).expect("a process");
    }
    // Reaped, so its death is known; the pause is 800 ms by now.
    let deadline = Instant::now() + DEADLINE;
    while !is_gone(last) {
        assert!(Instant::now() < deadline, "it is not reaped");
        std::thread::yield_now();
    }
    up.signal(Signal::SIGTERM);
    let (status, text) = up.end();
    assert_eq!(status.code(), Some(0), "{text}");
    assert_eq!(bench.pids(name).len(), 6, "it was needed: {text}");
    assert_eq!(bench.stopped(), STOP_ORDER);
}

#[test]
fn when_up_is_killed_the_daemons_end_in_order() {
    let bench = Bench::new();
    let mut up = bench.up();
    up.ready_line();
    // Restarted daemons hold the lifelines of those they need as the first ones did.
    for name in ["wolfdisk-fuse", "wolfdisk-meta"] {
        let pid = *bench.pids(name).last().expect("a process");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a process");
        bench.wait_for("restart", |_| bench.pids(name).len() > 1);
    }
    let begin = Instant::now();
    up.signal(Signal::SIGKILL);
    bench.wait_for("three stops", |_| bench.stops().len() == 3);
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(
        bench.stops(),
        [
            "wolfdisk-fuse stop lifeline",
            "wolfdisk-meta stop lifeline",
            "wolfdisk-chunkd stop lifeline"
        ]
    );
}

#[test]
fn the_daemons_are_in_the_group_of_up() {
    let bench = Bench::new();
    let mut up = bench.up();
    up.ready_line();
    let own = nix::unistd::getpgrp().to_string();
    for line in bench.journal() {
        assert_eq!(line.split(' ').nth(3), Some(own.as_str()), "{line}");
    }
    up.signal(Signal::SIGTERM);
    up.end();
}

#[test]
fn a_daemon_that_cannot_start_ends_up_with_its_message_and_code() {
    let bench = Bench::new();
    bench.wish("wolfdisk-fuse", "exit", "2");
    let (code, text) = bench.failed("up");
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("wolfdisk-fuse: the fake was told to fail\n"),
        "{text}"
    );
    let last = "wolfdiskctl: wolfdisk-fuse ended with exit code 2 before it was ready; its line above says why";
    assert_eq!(text.lines().last(), Some(last));
    assert_eq!(bench.stopped(), ["wolfdisk-meta", "wolfdisk-chunkd"]);
    for name in DAEMONS {
        assert!(bench.pids(name).into_iter().all(is_gone));
    }
}

#[test]
fn a_mount_that_is_taken_off_from_outside_ends_the_whole() {
    let bench = Bench::new();
    bench.wish("wolfdisk-fuse", "exit-later", "0");
    let mut up = bench.up();
    let (status, text) = up.end();
    assert_eq!(status.code(), Some(0), "{text}");
    assert_eq!(bench.stopped(), ["wolfdisk-meta", "wolfdisk-chunkd"]);
}

#[test]
fn a_second_request_to_stop_kills_what_does_not_stop() {
    let bench = Bench::new();
    bench.wish("wolfdisk-fuse", "deaf", "");
    let mut up = bench.up();
    up.ready_line();
    up.signal(Signal::SIGINT);
    let fuse = *bench.pids("wolfdisk-fuse").last().expect("a process");
    // It is being waited for when the second one comes: until then nothing else stops.
    let mut err = BufReader::new(up.child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while line != "stopping\n" {
        line.clear();
        assert!(err.read_line(&mut line).expect("a line") > 0);
    }
    let deadline = Instant::now() + DEADLINE;
    while !is_gone(fuse) {
        assert!(Instant::now() < deadline);
        up.signal(Signal::SIGINT);
        std::thread::yield_now();
    }
    assert_eq!(up.child.wait().expect("an end").code(), Some(1));
}

#[test]
fn a_second_node_on_the_same_directory_is_refused_by_name() {
    let bench = Bench::new();
    let mut up = bench.up();
    up.ready_line();
    let (code, text) = bench.failed("up");
    assert_eq!(code, 1);
    let lock = bench.at("data/lock");
    let want = format!(
        "wolfdiskctl: {} is in use by process {}",
        lock.display(),
        up.child.id()
    );
    assert!(text.starts_with(&want), "{text}");
    assert_eq!(text.lines().count(), 1);
    up.signal(Signal::SIGTERM);
    up.end();
}

#[test]
fn a_bad_configuration_or_directory_is_one_line_and_code_two() {
    let bench = Bench::new();
    fs::create_dir_all(bench.at("data/photos")).expect("a directory");
    let (code, text) = bench.failed("up");
    assert_eq!((code, text.lines().count()), (2, 1), "{text}");
    assert!(
        text.contains("is not empty (it holds \"photos\")"),
        "{text}"
    );
    fs::remove_dir(bench.at("data/photos")).expect("removed");
    let (code, text) = bench.failed("mount");
    assert_eq!(code, 2);
    assert!(
        text.contains(&format!(
            "run: wolfdiskctl init -d {}",
            bench.at("data").display()
        )),
        "{text}"
    );
    let output = bench
        .command("init")
        .args(["--id", "Not Good"])
        .output()
        .expect("wolfdiskctl");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn init_and_mount_are_enough_and_mount_in_the_background_returns_when_usable() {
    let bench = Bench::new();
    let init = bench
        .command("init")
        .args(["--id", "alpha"])
        .output()
        .expect("wolfdiskctl");
    assert!(init.status.success());
    let mut mount = bench.command("mount");
    let output = mount
        .arg("-m")
        .arg(bench.at("mount"))
        .arg("--background")
        .output();
    let output = output.expect("wolfdiskctl");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ready mount="));
    // The holder of the lock is the process that stays.
    let holder = fs::read_to_string(bench.at("data/lock")).expect("the lock");
    let holder: i32 = holder.trim().parse().expect("a pid");
    kill(Pid::from_raw(holder), Signal::SIGTERM).expect("a process");
    bench.wait_for("three stops", |_| bench.stops().len() == 3);
}

#[test]
fn mount_in_the_background_tells_why_it_failed() {
    let bench = Bench::new();
    assert!(
        bench
            .command("init")
            .output()
            .expect("wolfdiskctl")
            .status
            .success()
    );
    bench.wish("wolfdisk-meta", "exit", "1");
    let mut mount = bench.command("mount");
    let output = mount
        .arg("-m")
        .arg(bench.at("mount"))
        .arg("--background")
        .output();
    let output = output.expect("wolfdiskctl");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text, "wolfdisk-meta: the fake was told to fail\n");
}

#[test]
fn a_data_directory_with_a_path_of_two_hundred_characters_works() {
    let bench = Bench::new();
    let long = bench.at("data").join("d".repeat(200));
    let mut command = Command::new(bench.at("bin/wolfdiskctl"));
    command
        .args(["up", "--s3", "off", "--data-dir"])
        .arg(&long)
        .arg("--mount")
        .arg(bench.at("mount"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut up = Running {
        child: command.spawn().expect("wolfdiskctl"),
    };
    assert!(up.ready_line().starts_with("ready mount="));
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end().0.code(), Some(0));
}

#[test]
fn status_without_a_node_prints_the_configuration_and_says_three() {
    let bench = Bench::new();
    let output = bench.command("status").output().expect("wolfdiskctl");
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("not running"), "{text}");
    assert!(
        text.contains(&bench.at("data").display().to_string()),
        "{text}"
    );
    let output = bench
        .command("status")
        .arg("--json")
        .output()
        .expect("wolfdiskctl");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["node"]["state"], "stopped");
    assert_eq!(value["cluster"]["healthy"], false);
    for name in ["nodes", "mounts", "chunks", "capacity"] {
        assert!(value.get(name).is_some(), "{name}");
    }
}
