//! A further mount of a running node, by a `wolfdisk-fuse` of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::mounts::is_mounted;
use crate::processes::{kill_hard, signal};
use crate::programs::program;
use crate::scratch::Scratch;
use crate::wait::wait_until;

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// See the module. Unmounted when dropped.
pub struct SecondMount {
    mount: PathBuf,
    log: PathBuf,
    child: Child,
}

impl SecondMount {
    pub(crate) fn start(data: &Path, scratch: &Scratch, options: &str) -> SecondMount {
        static NEXT: AtomicU32 = AtomicU32::new(2);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mount = scratch.directory(&format!("mount{number}"));
        let log = scratch.path().join(format!("mount{number}.log"));
        let file = File::create(&log).expect("a file");
        let mut child = Command::new(program("wolfdisk-fuse"))
            .arg("--data-dir")
            .arg(data)
            .arg("--mount")
            .arg(&mount)
            .args(["-o", options])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor"))
            .stderr(file)
            .spawn()
            .expect("wolfdisk-fuse can be started");
        wait_until("the second mount is there", || {
            let ended = child.try_wait().expect("a child");
            assert!(
                ended.is_none(),
                "the second mount failed: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            is_mounted(&mount)
        });
        SecondMount { mount, log, child }
    }

    /// The root of the mount.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// A file or directory in the mount.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.mount.join(name)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id of its `wolfdisk-fuse`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for SecondMount {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::SIGTERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > STOP_DEADLINE {
                eprintln!("the second mount does not stop: killed");
                kill_hard(self.child.id());
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = self.child.wait() {
            eprintln!("the second mount cannot be waited for: {error}");
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- the log of {}\n{log}", self.mount.display());
        }
    }
}
