//! One run of a daemon: a process, its readiness, its age.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wolfdisk_common::kept::{self, KEPT_VARIABLE};
use wolfdisk_common::shutdown::LIFELINE_VARIABLE;

use super::daemon::Daemon;
use super::error::{SupervisorError, system};
use super::lifeline::{Lent, Lifeline};
use super::readiness::{NotifyDir, Readiness, Word};

/// How often it is looked whether a daemon died of which a thread cannot end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What runs of a daemon leave to the next, by name.
pub(super) type Kept = BTreeMap<String, OwnedFd>;

/// A process that was started and has not been seen to end.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    readiness: Readiness,
    started: Instant,
    ready: bool,
    status: Option<String>,
    /// It serves a mount: a thread of it may stay when it has died.
    may_linger: bool,
}

impl Child {
    /// Starts `daemon` in our process group, with its own lifeline and what earlier runs left; it keeps
    /// those in `needs` from ending before it does.
    pub(super) fn spawn(
        daemon: &Daemon,
        lifeline: &Lifeline,
        needs: &[&Lifeline],
        kept: &Kept,
        notify: &NotifyDir,
    ) -> Result<Child, SupervisorError> {
        let pipe = "cannot hand a pipe to a daemon";
        let readiness = Readiness::new(notify, daemon.name, daemon.user)
            .map_err(system("cannot listen for a daemon"))?;
        let _own = lifeline.lend_reader().map_err(system(pipe))?;
        let lent: Result<Vec<_>, _> = needs.iter().map(|needed| needed.lend_writer()).collect();
        let _lent = lent.map_err(system(pipe))?;
        let left: Result<Vec<_>, _> = kept.values().map(|fd| Lent::new(fd.as_fd())).collect();
        let _left = left.map_err(system("cannot hand on what was kept"))?;
        let mut command = Command::new(&daemon.program);
        command
            .args(&daemon.arguments)
            .env(LIFELINE_VARIABLE, lifeline.number().to_string())
            .env("NOTIFY_SOCKET", readiness.path())
            .env(
                KEPT_VARIABLE,
                kept::announced(kept.iter().map(|(name, fd)| (name.as_str(), fd.as_fd()))),
            )
            .stdin(Stdio::null())
            // Our standard output is read by programs; what a daemon says is for people.
            .stdout(std::io::stderr());
        if let Some((uid, gid)) = daemon.user {
            lifeline.give((uid, gid)).map_err(system(pipe))?;
            command.uid(uid).gid(gid);
        }
        if let Some(path) = &daemon.log {
            let log = std::fs::File::create(path).map_err(system("cannot make a log"))?;
            let copy = log.try_clone().map_err(system("cannot make a log"))?;
            command.stdout(log).stderr(copy);
        }
        let process = command.spawn().map_err(|source| SupervisorError::Spawn {
            program: daemon.program.clone(),
            source,
        })?;
        Ok(Child {
            process,
            readiness,
            started: Instant::now(),
            ready: false,
            status: None,
            may_linger: daemon.mount.is_some(),
        })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.readiness.as_fd()
    }

    /// Whether it has said that it is ready. What it wants to be kept goes to `kept`.
    pub(super) fn is_ready(&mut self, kept: &mut Kept) -> bool {
        for word in self.readiness.words() {
            match word {
                Word::Ready => self.ready = true,
                Word::Status(text) => self.status = Some(text),
                Word::Keep(name, fd) => drop(kept.insert(name, fd)),
            }
        }
        self.ready
    }

    /// What it last said it was doing.
    pub(super) fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How it ended, once it has. Of a wolfdisk-fuse that died while it told the kernel of a change a
    /// thread may be left that waits in there for a lock, whose holder waits for an answer of its successor.
    /// No thread runs any code of ours then.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, SupervisorError> {
        let ended = self.process.try_wait();
        let ended = ended.map_err(system("cannot wait for a daemon"))?;
        Ok(match self.may_linger {
            true => ended.or_else(|| status_of_dead(self.process.id())),
            false => ended,
        })
    }

    /// How long to wait for word of its end before looking: nothing tells of one of which a thread is left.
    pub(super) fn look_every(&self) -> Option<Duration> {
        self.may_linger.then_some(LOOK_EVERY)
    }

    /// What is left of it when it has died: the socket goes, its successor listens there.
    pub(super) fn into_process(self) -> Process {
        self.process
    }

    pub(super) fn signal(&self, signal: Signal) {
        // The only failure is that it has just ended, which is what a signal is for. The number cannot
        // have been taken by another process: we have not waited for it yet.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// How the first thread of a process ended while others are left; no signal tells of that.
fn status_of_dead(pid: u32) -> Option<ExitStatus> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may hold anything, ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(") ")?;
    if !fields.starts_with('Z') {
        return None;
    }
    let status = fields.split_whitespace().last()?.parse().ok()?;
    Some(ExitStatus::from_raw(status))
}
