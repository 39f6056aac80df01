//! A watchdog over what a test runs: nothing outlives its deadline, and no call to the mount waits longer
//! than the daemons have for an answer. What is stuck is shown with its kernel stack, and ended.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::processes::{descendants, end_group};

/// A call that the file system does not answer for so long is stuck: calls to the daemons end after
/// 60 s at the most, and a system call makes two in a row at the worst.
const CALL_DEADLINE: Duration = Duration::from_secs(150);
/// Pause between two looks whether the program has ended.
const PAUSE: Duration = Duration::from_millis(2);
/// Pause between two looks at its threads.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// Waits for the end of a child that leads a process group.
///
/// # Errors
/// It runs for longer than `limit`, or one of its calls is stuck. Then it has been killed with its group;
/// the text tells where it was and whether that helped.
pub(crate) fn watch(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let start = Instant::now();
    let (mut threads, mut looked) = (Threads::default(), start);
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Ok(status);
        }
        let mut wrong = (start.elapsed() > limit).then(|| format!("{limit:?} were not enough"));
        if looked.elapsed() > LOOK_PAUSE {
            looked = Instant::now();
            wrong = wrong.or(threads.look(&with_descendants(child.id())));
        }
        if let Some(wrong) = wrong {
            let place = where_it_waits(&with_descendants(child.id()));
            return Err(format!("{wrong}; {}\n{place}", end_group(child)));
        }
        std::thread::sleep(PAUSE);
    }
}

fn with_descendants(pid: u32) -> Vec<u32> {
    let below = descendants(pid).into_iter().map(|(pid, _)| pid);
    std::iter::once(pid).chain(below).collect()
}

/// State, place and kernel stack of all threads of these processes.
pub fn where_it_waits(pids: &[u32]) -> String {
    let mut report = String::new();
    for (pid, tid) in pids.iter().flat_map(|pid| threads_of(*pid)) {
        // A thread that has ended meanwhile says nothing.
        let told = |name: &str| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}"));
        let read = |name: &str| told(name).unwrap_or_default().trim().to_owned();
        let state = read("status")
            .lines()
            .find_map(|line| line.strip_prefix("State:").map(str::to_owned))
            .unwrap_or_default();
        let (name, wchan, call) = (read("comm"), read("wchan"), read("syscall"));
        let stack = read("stack");
        writeln!(
            report,
            "{pid}/{tid} {name}:{state}, in {wchan}, system call {call}\n{stack}"
        )
        .expect("a string");
    }
    report
}

fn threads_of(pid: u32) -> Vec<(u32, u32)> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let ids = threads.flatten().filter_map(|thread| {
        let name = thread.file_name();
        name.to_str().and_then(|name| name.parse().ok())
    });
    ids.map(|tid| (pid, tid)).collect()
}

/// Since when which thread has not run.
#[derive(Default)]
pub struct Threads(HashMap<(u32, u32), (String, Instant)>);

impl Threads {
    /// Looks at all threads of these processes. Tells of the first that waits too long for the mount.
    pub fn look(&mut self, pids: &[u32]) -> Option<String> {
        let mut seen = HashMap::new();
        let mut stuck = None;
        for thread in pids.iter().flat_map(|pid| threads_of(*pid)) {
            let (pid, tid) = thread;
            let Some(switches) = switches(pid, tid) else {
                continue;
            };
            let since = match self.0.remove(&thread) {
                Some((before, since)) if before == switches => since,
                _ => Instant::now(),
            };
            if since.elapsed() > CALL_DEADLINE && waits_for_fuse(pid, tid) {
                stuck = Some(format!("a call of {pid}/{tid} waits since {since:?}"));
            }
            seen.insert(thread, (switches, since));
        }
        self.0 = seen;
        stuck
    }
}

/// How often a thread was put to sleep; it has not run while that stays the same.
fn switches(pid: u32, tid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    Some(lines.collect())
}

fn waits_for_fuse(pid: u32, tid: u32) -> bool {
    let stack = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stack"));
    stack.is_ok_and(|stack| stack.contains("fuse"))
}
