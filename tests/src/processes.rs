//! Processes that a test started: their children, signals, memory. Nothing is ever found by name alone.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::wait::wait_until;
use crate::watchdog::where_it_waits;

/// Pause between two looks at a child.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a killed process may take to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// The ids of all processes below `root`, with their names.
pub fn descendants(root: u32) -> Vec<(u32, String)> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // A process that has ended meanwhile is no error.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let Some((name, rest)) = stat
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'))
        else {
            continue;
        };
        let mut fields = rest.split_whitespace();
        let is_zombie = fields.next() == Some("Z");
        if let (false, Some(parent)) = (
            is_zombie,
            fields.next().and_then(|text| text.parse::<u32>().ok()),
        ) {
            parents.push((pid, parent, name.to_owned()));
        }
    }
    let (mut found, mut ancestors) = (Vec::new(), vec![root]);
    while let Some(ancestor) = ancestors.pop() {
        for (pid, _, name) in parents.iter().filter(|(_, parent, _)| *parent == ancestor) {
            found.push((*pid, name.clone()));
            ancestors.push(*pid);
        }
    }
    found
}

/// Whether the process runs; a zombie does not.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Sends a signal; a process that has ended is no error.
pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot signal {pid}: {error}"),
    }
}

/// `kill -9`.
pub fn kill_hard(pid: u32) {
    signal(pid, Signal::SIGKILL);
}

/// A process that stands still: all its threads are stopped. Goes on when this is dropped.
pub struct Stopped(u32);

impl Stopped {
    /// SIGSTOP; returns when it stands.
    pub fn stop(pid: u32) -> Stopped {
        let stopped = Stopped(pid);
        signal(pid, Signal::SIGSTOP);
        wait_until("a process is stopped", || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
            threads.flatten().all(|thread| {
                let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
                state.is_some_and(|state| state.starts_with('T'))
            })
        });
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, Signal::SIGCONT);
    }
}

/// What of a process's memory is asked for: a line of `/proc/PID/status`.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// What is resident now.
    Resident,
    /// The most that ever was.
    Peak,
}

/// Memory of a process.
pub fn memory_bytes(pid: u32, what: Memory) -> u64 {
    let name = match what {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("a line for it");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse::<u64>().ok());
    kib.expect("a number") * 1024
}

/// Resident memory.
pub fn vm_rss_bytes(pid: u32) -> u64 {
    memory_bytes(pid, Memory::Resident)
}

/// Waits for a child's end, at most `limit`.
pub(crate) fn end_of(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        let status = child.try_wait().expect("a child");
        if status.is_some() || start.elapsed() > limit {
            return status;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills a child that leads a process group, with the group, and says how that went.
pub(crate) fn end_group(child: &mut Child) -> String {
    let leader = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    match killpg(leader, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot signal the group of {leader}: {error}"),
    }
    match end_of(child, KILL_DEADLINE) {
        Some(status) => format!("it was killed ({status})"),
        None => format!(
            "it cannot even be killed:\n{}",
            where_it_waits(&[child.id()])
        ),
    }
}

/// Descriptors that a process has open.
pub fn open_descriptors(pid: u32) -> u64 {
    let listed = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    listed.count() as u64
}

/// The processes whose command lines name `path`.
pub(crate) fn working_on(path: &Path) -> Vec<u32> {
    let wanted = path.as_os_str().as_bytes();
    let processes = std::fs::read_dir("/proc").expect("proc");
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == wanted)
        })
        .collect()
}
