//! A node in a temporary directory. Its processes end with the test process, however that ends: each has
//! the lifeline as its standard input.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

/// Everything that is waited for happens well before this, or the test fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The daemons of one data directory.
pub struct Node {
    // In order of dropping: the daemons go before their files.
    daemons: Vec<Process>,
    root: TempDir,
    mounts: std::cell::Cell<u32>,
}

impl Node {
    /// A new node, ready for mounts.
    pub fn start() -> Node {
        assert!(Uid::effective().is_root(), "mounted tests need root");
        let root = TempDir::with_prefix("wolfdisk-").expect("a directory");
        let data = root.path().join("data");
        let init = Command::new(binary("wolfdiskctl"))
            .arg("init")
            .arg("-d")
            .arg(&data)
            .output();
        succeeded(init.expect("wolfdiskctl"));
        let daemons = ["wolfdisk-meta", "wolfdisk-chunkd"]
            .map(|name| Process::ready(Command::new(binary(name)).arg("--data-dir").arg(&data)));
        Node {
            daemons: daemons.into(),
            root,
            mounts: std::cell::Cell::new(0),
        }
    }

    /// A new mount.
    pub fn mount(&self) -> Mount {
        self.mount_with("rw")
    }

    /// A new mount with options.
    pub fn mount_with(&self, options: &str) -> Mount {
        self.mounts.set(self.mounts.get() + 1);
        let path = self.root.path().join(format!("mount{}", self.mounts.get()));
        std::fs::create_dir(&path).expect("a directory");
        self.mount_at(path, options)
    }

    /// A mount at a directory that exists.
    pub fn mount_at(&self, path: PathBuf, options: &str) -> Mount {
        let process = Process::ready(&mut self.command(&path, options));
        Mount { process, path }
    }

    /// The command that mounts at `path`.
    pub fn command(&self, path: &Path, options: &str) -> Command {
        let mut command = Command::new(binary("wolfdisk-fuse"));
        command.arg("--data-dir").arg(self.root.path().join("data"));
        command.arg("--mount").arg(path).arg("-o").arg(options);
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            daemon.stop();
        }
    }
}

/// A mount and the process behind it.
pub struct Mount {
    pub process: Process,
    path: PathBuf,
}

impl Mount {
    /// A path in it.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.process.stop();
        // Left over only if the process was killed.
        let _ = nix::mount::umount2(&self.path, nix::mount::MntFlags::MNT_DETACH);
    }
}

/// A process of ours.
pub struct Process {
    child: Child,
    lifeline: Option<File>,
}

impl Process {
    /// Starts it and waits until it says that it is ready.
    pub fn ready(command: &mut Command) -> Process {
        let directory = TempDir::new().expect("a directory");
        let address = directory.path().join("notify");
        let socket = UnixDatagram::bind(&address).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a timeout");
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
        command
            .env("NOTIFY_SOCKET", &address)
            .env("WOLFDISK_LIFELINE_FD", "0");
        let child = command
            .stdin(Stdio::from(reader))
            .spawn()
            .expect("a process");
        let mut process = Process {
            child,
            lifeline: Some(File::from(writer)),
        };
        let start = Instant::now();
        let mut message = [0; 4096];
        loop {
            if let Some(status) = process.child.try_wait().expect("a status") {
                panic!("{command:?} ended with {status} before it was ready");
            }
            assert!(start.elapsed() < DEADLINE, "{command:?} is not ready");
            let count = socket.recv(&mut message).unwrap_or(0);
            let text = String::from_utf8_lossy(&message[..count]);
            if text.lines().any(|line| line == "READY=1") {
                return process;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("a signal");
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        until(deadline, "the process ends", || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.expect("a status")
    }

    fn stop(&mut self) {
        if self.child.try_wait().expect("a status").is_some() {
            return;
        }
        // What uses it has ended before: there is nobody to wait for.
        self.lifeline = None;
        self.signal(Signal::SIGTERM);
        let start = Instant::now();
        while self.child.try_wait().expect("a status").is_none() {
            if start.elapsed() > DEADLINE {
                // One that does not end must not keep the test from ending.
                self.child.kill().expect("a kill");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits for a condition.
pub fn until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub use wolfdisk_tests::program as binary;

/// Runs a script with arguments and gives what it prints.
pub fn python(script: &str, arguments: &[&Path]) -> String {
    let output = Command::new("python3")
        .arg("-c")
        .arg(script)
        .args(arguments)
        .output();
    succeeded(output.expect("python3"))
}

/// What a program printed, if it succeeded.
pub fn succeeded(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// Runs `work` as an ordinary user: file system user and group of this thread alone.
pub fn as_user<T: Send>(id: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            nix::unistd::setfsgid(nix::unistd::Gid::from_raw(id));
            nix::unistd::setfsuid(Uid::from_raw(id));
            work()
        });
        thread.join().expect("the work")
    })
}

/// The errno of a failure.
pub fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result
        .expect_err("a failure")
        .raw_os_error()
        .expect("an errno")
}
