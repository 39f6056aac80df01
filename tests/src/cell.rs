//! A place of its own for servers that want well-known ports and directories: a network that holds nothing
//! but its loopback, an empty `/run`, and processes that end with it. Needs root.

use std::path::Path;
use std::process::Command;

use crate::background::Background;
use crate::processes::descendants;
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// See the module. Everything in it is killed when dropped.
pub struct Cell {
    servers: Background,
}

/// `exec`ed by the first process of the cell after its own preparations.
const PREPARE: &str =
    "PATH=$PATH:/usr/sbin:/sbin; mount -t tmpfs tmpfs /run; ip link set lo up; echo prepared\n";

impl Cell {
    /// Runs `script` in a new cell, in `directory`; it must go on as long as the cell is wanted. What is
    /// mounted later elsewhere cannot be seen in it.
    pub fn start(script: &str, directory: &Path, name: &str, scratch: &Scratch) -> Cell {
        let mut command = Command::new("unshare");
        command
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["bash", "-euo", "pipefail", "-c"])
            .arg(format!("{PREPARE}{script}"))
            .current_dir(directory);
        let mut servers = Background::start(&mut command, name, scratch);
        wait_until("the cell is prepared", || {
            let ended = servers.ended();
            assert!(ended.is_none(), "{name} ended: {}", servers.said());
            servers.said().contains("prepared")
        });
        Cell { servers }
    }

    /// Waits until `script` succeeds in the cell's network.
    pub fn wait_until(&mut self, what: &str, directory: &Path, script: &str) {
        wait_until(what, || {
            let ended = self.servers.ended();
            assert!(
                ended.is_none(),
                "the servers ended: {}",
                self.servers.said()
            );
            let outcome = crate::command::run(&mut self.bash(directory, script));
            outcome.code == Some(0)
        });
    }

    /// Runs a script with `set -eu` in the cell's network, which must succeed, and gives what it printed.
    pub fn sh(&self, directory: &Path, script: &str) -> String {
        let outcome = crate::command::run(&mut self.bash(directory, script));
        assert_eq!(outcome.code, Some(0), "failed: {script}\n{outcome:?}");
        outcome.stdout
    }

    /// A command that runs a script in the cell's network, but sees the files of the test.
    pub fn bash(&self, directory: &Path, script: &str) -> Command {
        let inside = descendants(self.servers.pid());
        let (first, _) = inside.first().expect("the cell has a first process");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{first}/ns/net"))
            .args(["bash", "-euo", "pipefail", "-c", script])
            .current_dir(directory);
        command
    }

    /// What the servers said so far.
    pub fn said(&self) -> String {
        self.servers.said()
    }
}
