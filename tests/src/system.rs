//! A Debian of its own, booted with systemd in a container from a root that `cargo xtask test` made.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::lan::Host;
use crate::programs;
use crate::scratch::Scratch;
use crate::wait::wait_within;

/// A boot takes about ten seconds.
const BOOT_DEADLINE: Duration = Duration::from_secs(60);

/// See the module. Ends with everything in it.
pub struct System {
    name: String,
    /// How systemd-nspawn is told what network it is on.
    network: String,
    root: PathBuf,
    container: Child,
    leader: u32,
    _scratch: Scratch,
}

impl System {
    /// Copies the root and boots it, alone on its network.
    pub fn boot(name: &str) -> System {
        System::of(name, "--network-veth".to_owned())
    }

    /// The same as a machine of a [`Lan`](crate::Lan).
    pub fn boot_on(host: &Host, name: &str) -> System {
        let namespace = host.namespace();
        System::of(
            name,
            format!("--network-namespace-path={}", namespace.display()),
        )
    }

    fn of(name: &str, network: String) -> System {
        let scratch = Scratch::new();
        let root = scratch.path().join("root");
        let copied = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([&programs::debian_root(), &root])
            .status()
            .expect("cp");
        assert!(copied.success(), "the root cannot be copied");
        // What debootstrap left is the name of the machine that made the root, and stronger than what systemd-nspawn is told.
        std::fs::write(root.join("etc/hostname"), format!("{name}\n")).expect("written");
        let mut system = System {
            container: launch(name, &network, &root),
            name: name.to_owned(),
            network,
            root,
            leader: 0,
            _scratch: scratch,
        };
        system.wait();
        system
    }

    /// Boots it again, as whoever is on it does, and waits until it is up.
    pub fn reboot(&mut self) {
        // Whether who asks is told before it is ended does not matter.
        drop(self.try_run("systemctl reboot"));
        wait_within(BOOT_DEADLINE, "the system goes down", || {
            self.container.try_wait().expect("a child").is_some()
        });
        self.leader = 0;
        self.container = launch(&self.name, &self.network, &self.root);
        self.wait();
    }

    fn wait(&mut self) {
        wait_within(BOOT_DEADLINE, "the system boots", || {
            self.leader = child_of(self.container.id()).unwrap_or_default();
            self.leader != 0
                && self
                    .try_run("systemctl is-system-running")
                    .is_ok_and(|said| ["running", "degraded"].contains(&said.trim()))
        });
    }

    /// A file or directory of it, from outside.
    pub fn put(&self, from: &Path, to: &str) {
        std::fs::copy(from, self.root.join(to.trim_start_matches('/'))).expect("copied");
    }

    /// Whether there is such a path, from outside: mounts are not seen.
    pub fn holds(&self, path: &str) -> bool {
        self.root.join(path.trim_start_matches('/')).exists()
    }

    /// The root of it, from outside: mounts are not seen.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a shell in it says.
    ///
    /// # Panics
    /// The script fails.
    pub fn run(&self, script: &str) -> String {
        match self.try_run(script) {
            Ok(said) => said,
            Err(failed) => {
                let journal = self.output("journalctl -b --no-pager -n 60 -u 'wolfdisk*'");
                panic!("`{script}` failed: {failed}\n{}", text(&journal.stdout));
            }
        }
    }

    /// As [`System::run`]; what it says if it fails.
    pub fn try_run(&self, script: &str) -> Result<String, String> {
        let output = self.output(script);
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stdout) + &text(&output.stderr)),
        }
    }

    fn output(&self, script: &str) -> Output {
        self.command(script).output().expect("nsenter")
    }

    /// A shell in it, to be started.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.leader))
            .args([
                "--all",
                "env",
                "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
            ])
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "timeout",
                "120",
                "sh",
                "-ec",
                script,
            ])
            .stdin(Stdio::null());
        command
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // It ends with its first process.
        if let Ok(leader) = i32::try_from(self.leader) {
            let pid = nix::unistd::Pid::from_raw(leader);
            if leader != 0 {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            } else {
                let _ = self.container.kill();
            }
        }
        let _ = self.container.wait();
    }
}

fn launch(name: &str, network: &str, root: &Path) -> Child {
    Command::new("systemd-nspawn")
        .args(["--quiet", "--register=no", "--keep-unit", "--boot", network])
        .args(["--bind=/dev/fuse", "--console=pipe"])
        .arg(format!("--machine={name}"))
        .arg(format!("--hostname={name}"))
        .arg("--directory")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("systemd-nspawn")
}

fn child_of(process: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    children.ok()?.split_whitespace().next()?.parse().ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
